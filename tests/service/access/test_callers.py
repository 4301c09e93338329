"""From a token to its caller, and what is remembered of it."""

import asyncio
import gc
import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest

from service.access.callers import MAX_REMEMBERED_S, ClaimNames, TokenCallers, caller_of
from service.access.key_set import SigningKey, read_key_set
from service.access.pace import Pace
from service.access.providers import Provider
from service.access.token_reader import SKEW_S, TokenReader
from service.api.caller import Caller
from service.errors import WrongToken
from tests.service.access.issuer import AUDIENCE, HOUR_S, ISSUER, claims_of, public_key_set, rsa_key, segment, signed

NOW = 1_800_000_000.0


class CountedKeys:
    """Counts how often a key is needed."""

    def __init__(self) -> None:
        self.asked = 0
        self._keys: Mapping[str, SigningKey] = read_key_set(public_key_set(rsa_key()))

    async def key(self, key_id: str) -> SigningKey | None:
        self.asked += 1
        return self._keys.get(key_id)


class Callers(TokenCallers):
    """With a clock and keys of the test."""

    def __init__(self, names: ClaimNames = ClaimNames("sub")) -> None:  # noqa: B008 - frozen
        self.now = NOW
        self.keys = CountedKeys()
        super().__init__(TokenReader(Provider(ISSUER, (AUDIENCE,))), self.keys, names, wall_clock=lambda: self.now)
        self.rests: list[float] = []
        self._pace = Pace(sleep=self._rest)

    async def _rest(self, seconds: float) -> None:
        self.rests.append(seconds)


async def test_a_token_is_verified_once_and_found_until_it_expires() -> None:
    callers = Callers()
    token = signed(claims_of(now=NOW)).encode()
    assert callers.remembered(token) is None
    caller = await callers.caller(token)
    assert caller == Caller("token ann", "ann", NOW + HOUR_S + SKEW_S)
    assert callers.remembered(token) is caller
    assert callers.keys.asked == 1

    callers.now = NOW + HOUR_S + SKEW_S
    assert callers.remembered(token) is None
    with pytest.raises(WrongToken, match="has expired"):
        await callers.caller(token)


async def test_a_token_is_remembered_as_long_as_it_would_be_taken() -> None:
    callers = Callers()
    token = signed(claims_of(now=NOW, exp=NOW + 0.5)).encode()
    caller = await callers.caller(token)
    callers.now = NOW + SKEW_S + 0.9
    assert callers.remembered(token) is caller
    assert await callers.caller(token) == caller
    callers.now = NOW + SKEW_S + 1
    assert callers.remembered(token) is None
    with pytest.raises(WrongToken, match="has expired"):
        await callers.caller(token)


async def test_a_token_without_an_end_in_sight_is_verified_again_after_a_day() -> None:
    callers = Callers()
    token = signed(claims_of(now=NOW, exp=10**400)).encode()
    assert (await callers.caller(token)).expires_at == NOW + MAX_REMEMBERED_S


async def test_the_oldest_tokens_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [signed(claims_of(f"caller-{number}", now=NOW)).encode() for number in range(5)]
    monkeypatch.setattr("service.access.callers.MAX_REMEMBERED_BYTES", 3 * (len(tokens[0]) + 512))
    callers = Callers()
    for token in (*tokens, *tokens[-2:]):
        await callers.caller(token)
    assert [callers.remembered(token) is not None for token in tokens] == [False, False, True, True, True]

    callers.now = NOW + HOUR_S + SKEW_S
    assert [callers.remembered(token) for token in tokens] == [None] * 5
    assert repr(callers) == "<TokenCallers 0 remembered>"
    callers.now = NOW
    for token in tokens[:3]:
        await callers.caller(token)
    assert all(callers.remembered(token) for token in tokens[:3])  # what has expired takes no room


async def test_another_signature_on_a_known_token_is_another_token() -> None:
    callers = Callers()
    token = signed(claims_of(now=NOW))
    await callers.caller(token.encode())
    forged = f"{token.rpartition('.')[0]}.{segment(bytes(256))}".encode()
    assert callers.remembered(forged) is None
    with pytest.raises(WrongToken, match="signature"):
        await callers.caller(forged)


async def test_requests_that_come_together_with_a_new_token_share_its_verification() -> None:
    callers = Callers()
    token = signed(claims_of(now=NOW)).encode()
    first, *others = await asyncio.gather(*(callers.caller(token) for _ in range(5)))
    assert all(other is first for other in others)


async def test_forged_tokens_take_no_memory() -> None:
    callers = Callers()
    head, payload, _ = signed(claims_of(now=NOW)).split(".")

    async def forge(numbers: range) -> int:
        for number in numbers:
            with pytest.raises(WrongToken):
                await callers.caller(f"{head}.{payload}.{segment(number.to_bytes(256, 'big'))}".encode())
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = await forge(range(100))
        assert await forge(range(100, 500)) < before + 20_000
    finally:
        tracemalloc.stop()


async def test_forged_tokens_leave_the_loop_to_others() -> None:
    callers = Callers()
    known = signed(claims_of(now=NOW)).encode()
    await callers.caller(known)
    for number in range(5):
        with pytest.raises(WrongToken, match="signature"):
            await callers.caller(known.rpartition(b".")[0] + b"." + segment(bytes([number]) * 256).encode())
    assert len(callers.rests) >= 4
    assert callers.remembered(known) is not None  # which needs no turn


@pytest.mark.parametrize(
    ("names", "claims", "owner"),
    [
        (ClaimNames("sub"), {}, "ann"),
        (ClaimNames("email"), {"email": "ann@shop.example"}, "ann@shop.example"),
        (ClaimNames("tenant"), {"tenant": 7}, 7),
        (ClaimNames(None), {}, None),
        (ClaimNames("sub", "admin"), {"admin": True}, None),
        (ClaimNames("tenant", "admin"), {"admin": True}, None),
        (ClaimNames("sub", "admin"), {"admin": "true"}, "ann"),
        (ClaimNames("sub", "admin"), {"admin": 1}, "ann"),
        (ClaimNames("sub", "admin"), {"admin": False}, "ann"),
        (ClaimNames("sub", ""), {"": True}, "ann"),
    ],
)
def test_the_claims_name_the_owner(names: ClaimNames, claims: dict[str, Any], owner: object) -> None:
    assert caller_of(claims_of(now=NOW, **claims), names, NOW).owner == owner


@pytest.mark.parametrize("claims", [{}, {"tenant": ""}, {"tenant": True}, {"tenant": ["a"]}, {"tenant": 1.5}])
def test_a_token_without_the_owners_claim_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(WrongToken, match="lacks tenant"):
        caller_of(claims_of(now=NOW, **claims), ClaimNames("tenant"), NOW)
