"""Which published keys are used, and for how long."""

import json
from typing import Any

import pytest

from service.access.key_set import WrongKeySet, kept_s, read_key_set
from tests.service.access.issuer import ec_key, public_key_set, rsa_key


def test_keys_are_known_by_their_ids_each_for_one_algorithm() -> None:
    keys = read_key_set(public_key_set(rsa_key(), ec_key()))
    assert {key_id: key.algorithm for key_id, key in keys.items()} == {"rsa-1": "RS256", "ec-1": "ES256"}


def entry(key: Any = None, **more: Any) -> dict[str, Any]:
    entry = {**(key or rsa_key()).as_dict(private=False), **more}
    return {name: value for name, value in entry.items() if value is not None}


@pytest.mark.parametrize(
    "useless",
    [
        entry(kid=None),
        entry(kid=7),
        entry(use="enc"),
        entry(alg="RS512"),
        entry(ec_key(), alg="RS256"),
        entry(kty="oct", k="c2VjcmV0"),
        entry(ec_key("p384", "P-384")),
        entry(ec_key(), x="AAAA"),
        entry(n="AQAB"),
        entry(n="_" * 20_000),
        entry(n="§§§"),
        entry(e=3),
        "rsa-1",
        None,
    ],
)
def test_a_key_that_can_verify_no_token_is_left_out(useless: Any) -> None:
    good = entry(rsa_key("rsa-2"))
    assert list(read_key_set(json.dumps({"keys": [useless, good]}).encode())) == ["rsa-2"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [1]}', b"\xff"])
def test_a_set_without_any_key_is_refused(body: bytes) -> None:
    with pytest.raises(WrongKeySet):
        read_key_set(body)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Cache-Control": "public, max-age=21600, must-revalidate"}, 21_600),
        ({"Cache-Control": "public,max-age=3600", "Age": "600"}, 3000),
        ({"Cache-Control": 'MAX-AGE="3600"'}, 3600),
        ({"Cache-Control": "s-maxage=9999"}, 300),
        ({"Cache-Control": "max-age=3600, no-store"}, 300),
        ({"Cache-Control": "max-age=0"}, 60),
        ({"Cache-Control": "max-age=3600", "Age": "9999"}, 60),
        ({"Cache-Control": "max-age=999999999"}, 86_400),
        ({"Cache-Control": "max-age=99999999999999999999"}, 86_400),
        ({"Cache-Control": "max-age=x", "Age": "x"}, 300),
        ({}, 300),
    ],
)
def test_keys_are_kept_as_cache_control_says(headers: dict[str, str], seconds: float) -> None:
    assert kept_s(headers) == seconds
