"""The private names of dependencies are there, and one that is missing is named."""

import pytest
from google.cloud.firestore import Client
from google.cloud.firestore_v1.watch import Watch
from grpc._cython import cygrpc
from grpc.aio import _call

from listeners import compat


def test_the_installed_versions_have_every_private_name() -> None:
    assert compat.check() == []


@pytest.mark.parametrize(
    ("owner", "name", "reported"),
    [
        (cygrpc, "PollerCompletionQueue", "grpc: PollerCompletionQueue"),
        (cygrpc, "_AioCall", "grpc: _AioCall._handle_status_once_received"),
        (_call, "StreamStreamCall", "grpc: StreamStreamCall._prepare_rpc"),
        (Client, "_firestore_api", "firestore: Client._firestore_api"),
        (Watch, "push", "firestore: Watch.push"),
        (Watch, "on_snapshot", "firestore: Watch.on_snapshot"),
    ],
)
def test_a_private_name_that_an_upgrade_has_removed_is_named(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, reported: str
) -> None:
    monkeypatch.delattr(owner, name)
    assert compat.check() == [reported]


def test_state_that_an_upgrade_has_renamed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "__init__", lambda self: None)
    monkeypatch.setattr(Client, "_firestore_api_helper", None)
    assert compat.check() == [
        *(f"firestore: Watch.{name}" for name in compat.WATCH_STATE),
        *(f"firestore: Client.{name}" for name in compat.CLIENT_STATE),
    ]
