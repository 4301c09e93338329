"""The rules of access: keys, tokens, and the paths that need neither."""

import hmac

import pytest

from service.access.rules import AccessRules, place_of_key
from service.api.caller import SEES_EVERYTHING, Caller
from service.api.headers import OPEN_PATHS


def sent(header: str) -> bytes:
    """As it comes in."""
    return header.encode("utf-8", "surrogateescape")


KEYS = (b"first-key", "zweiter-schlüssel".encode())


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "allowed"),
    [
        ("Bearer first-key", "", True),
        ("bearer   first-key ", "", True),
        ("", "first-key", True),
        ("", "zweiter-schlüssel", True),
        ("Bearer wrong", "first-key", True),
        ("", "", False),
        ("Bearer", "", False),
        ("Bearer ", "", False),
        ("Basic first-key", "", False),
        ("first-key", "", False),
        ("Bearer first-ke", "", False),
        ("Bearer first-key-and-more", "", False),
        ("", "FIRST-KEY", False),
        ("Bearer \udcff", "\udcff", False),
    ],
)
def test_a_request_needs_one_of_the_keys(authorization: str, x_api_key: str, allowed: bool) -> None:
    assert (place_of_key(KEYS, sent(authorization), sent(x_api_key)) is not None) is allowed


@pytest.mark.parametrize("given", ["first-key", "zweiter-schlüssel", "no key"])
def test_every_key_is_compared_in_constant_time_whichever_it_is(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(key: bytes, candidate: bytes) -> bool:
        compared.append((key, candidate.decode()))
        return key == candidate

    monkeypatch.setattr(hmac, "compare_digest", compare)
    place_of_key(KEYS, sent(f"Bearer {given}"), b"other")
    assert compared == [(key, candidate) for key in KEYS for candidate in (given, "other")]


def test_without_keys_everybody_may_ask() -> None:
    assert AccessRules().caller("/status", {}) is SEES_EVERYTHING


def test_keys_see_everything_and_are_told_apart() -> None:
    rules = AccessRules(KEYS)
    first, second = (rules.caller("/status", {b"x-api-key": key}) for key in KEYS)
    assert first is not None
    assert second is not None
    assert (first.owner, second.owner) == (None, None)
    assert first.name != second.name
    assert rules.caller("/status", {b"authorization": b"Bearer first-key"}) == first
    assert "first-key" not in first.name


class Ann:
    """Every token is hers, and remembered or not."""

    def __init__(self, *, is_remembered: bool) -> None:
        self._is_remembered = is_remembered

    def remembered(self, _: bytes) -> Caller | None:
        return ANN if self._is_remembered else None

    async def caller(self, _: bytes) -> Caller:
        return ANN


ANN = Caller("ann", "ann")


@pytest.mark.parametrize("is_remembered", [False, True])
async def test_a_key_counts_before_a_token_whether_that_is_remembered_or_not(is_remembered: bool) -> None:
    rules = AccessRules(KEYS, tokens=Ann(is_remembered=is_remembered))
    token = {b"authorization": b"Bearer a.b.c"}
    assert await rules.admit("/status", token) is ANN
    with_key = await rules.admit("/status", {**token, b"x-api-key": KEYS[1]})
    assert with_key == rules.caller("/status", {b"x-api-key": KEYS[1]})


def test_each_header_that_says_who_asks_can_be_there_once_alone() -> None:
    rules = AccessRules(KEYS, tokens=Ann(is_remembered=True), token_header=b"x-goog-iap-jwt-assertion")
    assert rules.credential_headers() == {b"authorization", b"x-api-key", b"x-goog-iap-jwt-assertion"}
    assert AccessRules().credential_headers() == frozenset()


def test_metrics_and_status_are_never_open() -> None:
    assert "/" in OPEN_PATHS
    assert "/healthz" in OPEN_PATHS
    assert OPEN_PATHS.isdisjoint({"/metrics", "/status", "/events", "/ui"})
