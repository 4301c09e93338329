"""The provider's keys in memory: fetched from a real server, in the test's time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from service.access.key_fetcher import MAX_BODY_BYTES, CannotFetch, KeyFetcher
from service.access.provider_keys import REFETCH_INTERVAL_S, ProviderKeys
from service.access.providers import Provider
from service.errors import ProviderUnreachable
from tests.service.access.issuer import KeyServer, ec_key, key_server, rsa_key
from tests.waiting import until


class Time:
    """A clock that only the test moves, and the pauses that the keys make."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self._woken = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self._woken.wait()
        self._woken.clear()

    async def wake(self) -> float:
        """End the present pause; returns the next one."""
        count = len(self.pauses)
        self._woken.set()
        await until(lambda: len(self.pauses) > count, "the next pause")
        return self.pauses[-1]


@asynccontextmanager
async def fetching(provider: Provider) -> AsyncIterator[KeyFetcher]:
    fetcher = KeyFetcher(provider)
    yield fetcher
    await fetcher.close()


@asynccontextmanager
async def kept_keys(server: KeyServer, time: Time) -> AsyncIterator[ProviderKeys]:
    """Keys that are being kept current; the first fetch has ended."""
    async with fetching(Provider(server.url, ("shop",))) as fetcher:
        keys = ProviderKeys(fetcher, clock=lambda: time.now, rng=random.Random(1))
        task = asyncio.create_task(keys.run(time.sleep))
        await until(lambda: time.pauses, "the first fetch")
        yield keys
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await keys.close()


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with key_server(rsa_key()) as server:
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


async def test_keys_are_fetched_again_before_their_time_is_over(server: KeyServer, time: Time) -> None:
    async with kept_keys(server, time) as keys:
        assert 0.7 * 3600 < time.pauses[0] < 0.81 * 3600
        server.publish(ec_key())
        server.headers = {"Cache-Control": "max-age=600"}
        assert 0.7 * 600 < await time.wake() < 0.81 * 600
        assert await keys.key("ec-1") is not None
        assert await keys.key("rsa-1") is None  # a key that was taken back is gone


async def test_keys_stay_through_an_outage(server: KeyServer, time: Time) -> None:
    async with kept_keys(server, time) as keys:
        server.status = 503
        pauses = [await time.wake() for _ in range(9)]
        assert await keys.key("rsa-1") is not None
        assert pauses[0] < 2
        assert 40 < pauses[-1] < 80
        server.status = 200
        assert await time.wake() > 2000


async def test_without_any_key_the_provider_is_unreachable_until_it_is_back(server: KeyServer, time: Time) -> None:
    server.status = 500
    async with kept_keys(server, time) as keys:
        assert not keys.has_keys
        with pytest.raises(ProviderUnreachable):
            await keys.key("rsa-1")
        server.status = 200
        await time.wake()
        assert await keys.key("rsa-1") is not None


async def test_a_new_key_is_fetched_when_a_token_names_it(server: KeyServer, time: Time) -> None:
    async with kept_keys(server, time) as keys:
        server.publish(rsa_key(), ec_key())
        assert await keys.key("ec-1") is not None
        assert server.asked.count("/keys") == 2


async def test_unknown_key_ids_fetch_once_in_a_while_however_many(server: KeyServer, time: Time) -> None:
    async with kept_keys(server, time) as keys:
        before = len(server.asked)
        assert await asyncio.gather(*(keys.key(f"made-up-{number}") for number in range(500))) == [None] * 500
        for number in range(500, 600):
            assert await keys.key(f"made-up-{number}") is None
        assert server.asked[before:] == ["/.well-known/openid-configuration", "/keys"]
        time.now += REFETCH_INTERVAL_S
        assert await keys.key("made-up") is None
        assert server.asked.count("/keys") == 3


async def test_who_leaves_does_not_end_the_fetch_of_others(server: KeyServer, time: Time) -> None:
    async with kept_keys(server, time) as keys:
        server.publish(ec_key())
        leaving, staying = (asyncio.create_task(keys.key("ec-1")) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying is not None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda server: setattr(server, "status", 404), "answered 404"),
        (lambda server: setattr(server, "key_set", b"{}"), "cannot be used"),
        (lambda server: setattr(server, "key_set", b" " * (MAX_BODY_BYTES + 1)), "sends more than"),
        (lambda server: setattr(server, "document", {}), "names no key set"),
        (lambda server: setattr(server, "document", []), "names no key set"),
        (
            lambda server: setattr(
                server, "document", {"issuer": "https://evil.example", "jwks_uri": "https://e.example"}
            ),
            "belongs to another issuer",
        ),
        (
            lambda server: setattr(server, "document", {"issuer": server.url, "jwks_uri": "http://192.0.2.1/keys"}),
            "names no key set over https",
        ),
    ],
)
async def test_an_answer_that_is_no_key_set_says_why(
    server: KeyServer, change: Callable[[KeyServer], None], fault: str
) -> None:
    change(server)
    async with fetching(Provider(server.url, ("shop",))) as fetcher:
        with pytest.raises(CannotFetch, match=fault):
            await fetcher.fetch()


async def test_a_redirect_is_not_followed(server: KeyServer) -> None:
    async with fetching(Provider("https://any.example", ("shop",), f"{server.url}/elsewhere")) as fetcher:
        with pytest.raises(CannotFetch, match="answered 302"):
            await fetcher.fetch()


async def test_a_server_that_is_not_there_is_named(server: KeyServer) -> None:
    async with fetching(Provider("http://127.0.0.1:1", ("shop",))) as fetcher:
        with pytest.raises(CannotFetch, match=r"127\.0\.0\.1:1/.* cannot be reached"):
            await fetcher.fetch()
