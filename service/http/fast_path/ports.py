"""What a connection needs of aiohttp's server: somebody to lend a request to, or to hand everything over to."""

import asyncio
from typing import Protocol


class Handler(Protocol):
    """aiohttp's own protocol for one connection."""

    lent_at: float | None
    """When the request came in that it is given next and that has had its turn. Whoever answers it takes this away."""

    @property
    def has_answered_all(self) -> bool:
        """Whether all it was given is answered and the connection stays open."""

    def count_from_now(self) -> None:
        """The connection has been used just now: how long it may be idle counts from here."""

    def close(self) -> None:
        """Once what it was given is answered."""

    def keep_open(self) -> None:
        """Until `release`, however often it is asked to close: somebody waits for an answer that is none of its."""

    def release(self) -> None:
        """Close now, where it has been asked to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def pause_writing(self) -> None: ...


class Server(Protocol):
    """Whom a connection is lent, and handed over, to."""

    keepalive_timeout_s: float

    def handler(self) -> Handler:
        """aiohttp's part of one connection."""
