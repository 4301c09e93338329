"""Resume tokens: the consistent point that a stream had reached. Only the store that issued a token can read it."""

import os

_LENGTH = 24


class Tokens:
    """Issues tokens and reads them. An expired, foreign or malformed token has no time."""

    def __init__(self) -> None:
        # Another run of the server has other documents, so it must not accept this run's tokens.
        self._instance = os.urandom(16)
        self._expired_until_us = 0

    def issue(self, time_us: int) -> bytes:
        return self._instance + time_us.to_bytes(8, "big")

    def time_of(self, token: bytes) -> int | None:
        if len(token) != _LENGTH or token[:16] != self._instance:
            return None
        time_us = int.from_bytes(token[16:], "big")
        return None if time_us <= self._expired_until_us else time_us

    def expire(self, until_us: int) -> None:
        """Forget every token issued up to then."""
        self._expired_until_us = until_us
