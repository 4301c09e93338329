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
        (cygrpc, "PollerCompletionQueue", "grpcio 1.2.3 has no PollerCompletionQueue: the listener falls behind"),
        (cygrpc, "_AioCall", "grpcio 1.2.3 has no _AioCall._handle_status_once_received: the log has tasks"),
        (_call, "StreamStreamCall", "grpcio 1.2.3 has no StreamStreamCall._prepare_rpc: the log has tasks"),
        (
            Client,
            "_firestore_api",
            "google-cloud-firestore 1.2.3 has no Client._firestore_api: LISTENER=on_snapshot uses",
        ),
        (Watch, "push", "google-cloud-firestore 1.2.3 has no Watch.push: LISTENER=on_snapshot does not work; set"),
        (
            Watch,
            "on_snapshot",
            "google-cloud-firestore 1.2.3 has no Watch.on_snapshot: LISTENER=on_snapshot does not work",
        ),
    ],
)
def test_a_private_name_that_an_upgrade_has_removed_is_named(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, reported: str
) -> None:
    monkeypatch.setattr(compat, "version", lambda _: "1.2.3")
    monkeypatch.delattr(owner, name)
    (line,) = compat.check()
    assert line.startswith(reported)


def test_state_that_an_upgrade_has_renamed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "__init__", lambda self: None)
    monkeypatch.setattr(Client, "_firestore_api_helper", None)
    monkeypatch.setattr(_call.Call, "__init__", lambda self: None)
    named = [line.partition(" has no ")[2].partition(":")[0] for line in compat.check()]
    assert named == ["Call._cython_call"] + [f"Watch.{name}" for name in compat.WATCH_STATE] + [
        f"Client.{name}" for name in compat.CLIENT_STATE
    ]
