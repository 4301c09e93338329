"""The HTTP API for the terminal commands: a request returns one Answer, or raises one of two failures.

Unavailable can be over soon (nothing listens, a timeout, 429, 5xx). Refused is permanent, and its text says in one line
what to do. Redirects are not followed, because they would send the API key to another server.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from service import __version__
from service.api.description import PATH as DESCRIPTION_PATH
from service.api.description import Description, read_description

API_KEY_HEADER = "X-API-Key"
HOW_TO_GIVE_A_KEY = "set PROCESS_STATUS_API_KEY to a valid one, or name the file that holds it with --api-key-file"
LONGEST_RETRY_AFTER_S = 60.0


class Refused(Exception):
    """Trying again is useless. `status` is the HTTP status, 0 if there was none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(Exception):
    """There is no answer now. `retry_after_s` is the service's Retry-After; None if it sent none."""

    def __init__(self, message: str, *, unreachable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.unreachable = unreachable
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200 with its body, or a 304 without. `freshness` is X-Cache with Age, for example `HIT, 0 s`."""

    body: dict[str, Any] | None
    etag: str | None
    freshness: str
    is_stalled: bool = False
    """Known only if the request asked for it."""


class StatusClient:
    """Sends requests to one service. An async context manager. `url` is the service's address, with any path prefix."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"User-Agent": f"process-status/{__version__}", "Accept": "application/json"}
        if api_key:
            self._headers[API_KEY_HEADER] = api_key

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def process(
        self, process_id: str, etag: str | None, wait_s: int, variables: Mapping[str, str] | None = None
    ) -> Answer:
        """The process, or a 304 if its version is still `etag` after up to `wait_s` of waiting.

        `variables` are those of its path, if the collection is a pattern.
        """
        if not process_id or process_id in {".", ".."} or "/" in process_id or not _is_utf8(process_id):
            raise Refused("that is not a process ID: give the ID of a Firestore document, without its path")
        path = f"/status/{quote(process_id, safe='')}"
        headers = {"If-None-Match": etag} if etag else {}
        wait = {"wait": str(wait_s)} if wait_s else {}
        return await self._get(path, {**(variables or {}), **wait}, headers, timeout_s=wait_s + 15)

    async def is_stalled(self, process_id: str, variables: Mapping[str, str]) -> bool:
        """Whether the process stalls. Takes at most a second."""
        path = f"/status/{quote(process_id, safe='')}"
        return (await self._get(path, {**variables, "wait": "1", "until": "stalled"}, {}, timeout_s=16)).is_stalled

    async def page(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """One page of the list."""
        answer = await self._get("/status", parameters, {}, timeout_s=30)
        if answer.body is None or not isinstance(answer.body.get("processes"), list):
            raise self._not_the_service(200)
        return answer.body

    async def description(self) -> Description:
        """The description of the answers, from the service's schema."""
        answer = await self._get(DESCRIPTION_PATH, {}, {}, timeout_s=30)
        try:
            return read_description(answer.body or {})
        except ValueError:
            raise self._not_the_service(200) from None

    async def _get(
        self, path: str, parameters: Mapping[str, str], headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        try:
            async with self._session.get(
                URL(self._url + path, encoded=True),
                params=parameters,
                headers={**self._headers, **headers},
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                return self._answer(response, await response.read())
        except TimeoutError:
            raise Unavailable(f"{self._url} did not answer in time", unreachable=True) from None
        except ValueError as error:  # an invalid URL or header
            raise Refused(f"can't ask {self._url}: {error}; check --url and the API key") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"can't reach {self._url} ({_reason(error)})", unreachable=True) from None

    def _answer(self, response: aiohttp.ClientResponse, content: bytes) -> Answer:
        status, headers = response.status, response.headers
        freshness = f"{headers.get('X-Cache', '?')}, {headers.get('Age', '?')} s"
        if status == 304:
            return Answer(None, headers.get("ETag"), freshness)
        body = _json_object(content)
        if status == 200 and body is not None:
            return Answer(body, headers.get("ETag"), freshness, headers.get("X-Stalled") == "true")
        message = str(body["message"]) if body is not None and "message" in body else f"HTTP {status}"
        if status == 429 or status >= 500:
            retry_after_s = retry_after(headers.get("Retry-After"), time.time())
            raise Unavailable(f"the service says: {message}", unreachable=False, retry_after_s=retry_after_s)
        if status in (401, 403):
            raise Refused(f"the service wants an API key: {HOW_TO_GIVE_A_KEY} ({message})", status)
        if 300 <= status < 400:
            raise Refused(f"{self._url} redirects to {headers.get('Location')}: give that with --url", status)
        if body is None or "message" not in body:
            raise self._not_the_service(status)
        raise Refused(message, status)

    def _not_the_service(self, status: int) -> Refused:
        return Refused(f"{self._url} is not a process-status-service (HTTP {status}): check --url", status)


def retry_after(value: str | None, now_s: float) -> float | None:
    """The seconds in a Retry-After header, at most LONGEST_RETRY_AFTER_S; None if it cannot be read."""
    if value is None:
        return None
    try:
        wait_s = float(value) if value.isdecimal() else parsedate_to_datetime(value).timestamp() - now_s
    except ValueError:
        return None
    return min(max(wait_s, 0.0), LONGEST_RETRY_AFTER_S)


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, ConnectionError) and cause.errno:
            return os.strerror(cause.errno)  # asyncio's own text repeats the address
        return cause.strerror or str(cause) or type(error).__name__
    return str(error) or type(error).__name__
