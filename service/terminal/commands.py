"""`process-status watch` and `process-status list`: a terminal client of the HTTP API.

Both follow the schema of the service, which the service describes to them. Both return the exit code. For `watch` it is
0, 1 or 3 if the process ended well, failed ([status] failed of the schema) or was cancelled; 0 if it has another status
of `until`; STALLED if it stalls and `until` names that; TIMED_OUT after `timeout_s`. For `list` it is 0, even if
nothing was found. For both it is 2 if the command could not do its work, or no process has the requested status: then
one line says what to do. Output goes to `console`, messages to `messages` (stderr). The command line reads environment
and arguments.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from rich.console import Console

from service.api.description import Description, Kind
from service.telemetry.logs.format import printable
from service.terminal.client import Answer, Refused, StatusClient, Unavailable
from service.terminal.view import Process, WatchView, show_lines, show_table, write_line

DEFAULT_URL = "http://127.0.0.1:8080"
EXIT_CODES: Mapping[Kind, int] = {"completed": 0, "failed": 1, "cancelled": 3}
USUAL_STATUSES = frozenset({"pending", "running"})
"""Like terminal statuses, these are accepted in `--status` even if no process has them at the moment."""
USAGE = 2
STALLED = 4
TIMED_OUT = 124
"""The exit code of timeout(1)."""

POLL_INTERVAL_S = 1.0
LEAST_INTERVAL_S = 0.2
"""The pause between two answers about a process that changes all the time, because people do not read faster."""
WAIT_S = 30
STALL_CHECK_S = 5
"""The time between two checks whether the process stalls. This is no change of the process, so it ends no wait."""
LARGEST_PAGE = 1000

Result = TypeVar("Result")
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """`give_up_after_s`: how long to try again while the service does not answer. `until`: statuses that end the watch,
    in addition to those that end the process; `stalled` can be one. `timeout_s`: for the whole watch. `variables`:
    those of the process's path, if the collection is a pattern."""

    process_id: str
    url: str = DEFAULT_URL
    api_key: str | None = field(default=None, repr=False)
    give_up_after_s: float = 300
    until: frozenset[str] = frozenset()
    timeout_s: float | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Dates in the API's form, ISO 8601. `all` requests every page, whatever `limit` is. `filters`: name → value."""

    url: str = DEFAULT_URL
    api_key: str | None = field(default=None, repr=False)
    status: str | None = None
    limit: int = 10
    start_date: str | None = None
    end_date: str | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    all: bool = False
    stalled: bool = False
    give_up_after_s: float = 30


@dataclass(frozen=True, slots=True)
class Pace:
    """The clock and sleep, which tests replace."""

    sleep: Sleep = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


async def watch(
    options: WatchOptions, console: Console, messages: Console | None = None, pace: Pace | None = None
) -> int:
    """Show the process until it has ended."""
    pace = pace or Pace()
    messages = messages or Console(stderr=True)
    with WatchView(console, messages, pace.now) as view:
        try:
            async with asyncio.timeout(options.timeout_s):
                return await _watch(options, view, pace)
        except Refused as refused:
            view.tell(_advice(refused))
        except TimeoutError:
            view.tell(f"process-status: not reached after {options.timeout_s:g} s")
            return TIMED_OUT
    return USAGE


async def _watch(options: WatchOptions, view: WatchView, pace: Pace) -> int:
    """Watch the process; returns the exit code. Raises: Refused."""
    async with StatusClient(options.url, options.api_key) as client:
        persistence = Persistence(options.give_up_after_s, view.tell, pace)
        described: Description | None = None
        async for answer in _answers(client, options, persistence, pace):
            if described is None:
                described = await persistence.get(client.description)
                for wanted in options.until - {"stalled", "terminal"}:
                    await _check_status(client, wanted, persistence)
            view.show(described, answer.body, answer.freshness)
            status = (answer.body or {}).get("status")
            if described.is_terminal(status):
                return EXIT_CODES[described.kind(status)]
            if status in options.until:
                return 0
            ask = partial(client.is_stalled, options.process_id, options.variables)
            if "stalled" in options.until and await persistence.get(ask):
                view.tell("process-status: the process stalls: it has not ended, and nothing writes it")
                return STALLED
    return USAGE


async def list_processes(
    options: ListOptions, console: Console, messages: Console | None = None, pace: Pace | None = None
) -> int:
    """Show the newest processes: on a terminal as a table, otherwise as lines with columns separated by tabs."""
    pace = pace or Pace()
    messages = messages or Console(stderr=True)
    shown: list[Process] = []
    described: Description | None = None
    try:
        async with StatusClient(options.url, options.api_key) as client:
            persistence = Persistence(options.give_up_after_s, lambda text: write_line(messages, text), pace)
            async for page in _pages(client, options, persistence):
                if not page:
                    continue
                if described is None:
                    described = await persistence.get(client.description)
                if console.is_terminal:
                    shown += page
                else:
                    show_lines(console, described, page)
            if described is None and options.status is not None:
                await _check_status(client, options.status, persistence)
    except Refused as refused:
        write_line(messages, _advice(refused))
        return USAGE
    if described is not None and console.is_terminal:
        show_table(console, described, shown)
    return 0


async def _check_status(client: StatusClient, status: str, persistence: "Persistence") -> None:
    """Raises Refused if the status is most likely misspelt, because none of the newest processes has it."""
    page = await persistence.get(partial(client.page, {"limit": str(LARGEST_PAGE)}))
    seen = {str(process.get("status")) for process in page["processes"] if process.get("status") is not None}
    described = await persistence.get(client.description)
    if status not in seen | USUAL_STATUSES | set(described.terminal):
        known = printable(", ".join(sorted(seen | USUAL_STATUSES | set(described.terminal))))
        raise Refused(f"no process has the status '{printable(status)}'; there are: {known}")


def _advice(refused: Refused) -> str:
    hint = " (see `process-status list` for the newest ones)" if refused.status == 404 else ""
    return f"process-status: {refused}{hint}"


async def _answers(
    client: StatusClient, options: WatchOptions, persistence: "Persistence", pace: Pace
) -> AsyncIterator[Answer]:
    """Every answer of interest, without end: waits for changes if the service can, otherwise asks every second."""
    etag: str | None = None
    can_wait = True
    while True:
        longest_s = STALL_CHECK_S if "stalled" in options.until else WAIT_S
        wait_s = longest_s if etag and can_wait else 0
        asked_at = pace.clock()
        try:
            answer = await persistence.get(partial(client.process, options.process_id, etag, wait_s, options.variables))
        except Refused as refused:
            if refused.status == 400 and wait_s:  # the service does not know `wait`
                can_wait = False
                continue
            raise
        yield answer
        etag = answer.etag if answer.body is not None else etag
        waited = bool(wait_s) and (answer.body is not None or pace.clock() - asked_at >= POLL_INTERVAL_S)
        await pace.sleep(LEAST_INTERVAL_S if waited else POLL_INTERVAL_S)


async def _pages(
    client: StatusClient, options: ListOptions, persistence: "Persistence"
) -> AsyncIterator[list[Process]]:
    filters = {
        **options.filters,
        "status": options.status,
        "stalled": "true" if options.stalled else None,
        "start_date": options.start_date,
        "end_date": options.end_date,
    }
    parameters = {key: value for key, value in filters.items() if value is not None}
    remaining = options.limit
    while True:
        size = LARGEST_PAGE if options.all else min(remaining, LARGEST_PAGE)
        parameters["limit"] = str(size)
        page = await persistence.get(partial(client.page, parameters))
        yield page["processes"]
        remaining -= size
        token = page.get("next_page_token")
        if not token or (remaining <= 0 and not options.all):
            return
        parameters["page_token"] = token


class Persistence:
    """Tries again while the service is unavailable, but not for ever: after its Retry-After, or with backoff.

    A service that was never reached is not tried again: more often the URL is wrong than the service restarts.
    """

    LONGEST_DELAY_S = 10.0

    def __init__(self, give_up_after_s: float, tell: Callable[[str], None], pace: Pace) -> None:
        self._give_up_after_s = give_up_after_s
        self._tell = tell
        self._pace = pace
        self._reached = False

    async def get(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `ask`, as soon as there is one. Raises: Refused."""
        since, delay_s, reported = self._pace.clock(), POLL_INTERVAL_S, ""
        while True:
            try:
                result = await ask()
            except Unavailable as fault:
                if fault.unreachable and not self._reached:
                    advice = "start it with `process-status serve`, or say where it is with --url"
                    raise Refused(f"{fault}: {advice}") from None
                if self._pace.clock() - since >= self._give_up_after_s:
                    raise Refused(f"{fault}; gave up after {self._give_up_after_s:g} s") from None
                self._reached = True
                if str(fault) != reported:  # one line per outage, not one per try
                    reported = str(fault)
                    self._tell(f"{reported}; trying again")
                asked_s = delay_s if fault.retry_after_s is None else fault.retry_after_s
                await self._pace.sleep(max(asked_s, LEAST_INTERVAL_S))
                delay_s = min(delay_s * 1.5, self.LONGEST_DELAY_S)
            else:
                self._reached = True
                if reported:
                    self._tell("the service answers again")
                return result
