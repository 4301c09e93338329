"""The terminal client against a real HTTP server that implements the part of the contract it needs."""

import asyncio
import io
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console

from service.schema.description import describe
from service.schema.schema_file import default_schema, read_schema_file
from service.terminal.client import retry_after
from service.terminal.commands import ListOptions, Pace, WatchOptions, list_processes, watch
from service.terminal.view import elapsed
from tests.examples import schema_file

NOW = datetime(2026, 11, 23, 20, 1, 5, tzinfo=UTC)


def process(status: str = "running", processed: int | None = 0, **changed: Any) -> dict[str, Any]:
    return {
        "process_id": "import-1",
        "status": status,
        "start_time": "2026-11-23T20:00:00Z",
        "end_time": None,
        "last_updated": f"2026-11-23T20:00:{processed or 0:02d}Z",
        "csv_url": None,
        "products_processed": processed,
        "products_failed": 1,
        **changed,
    }


def error(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"status": "error", "message": message}, status=status, headers=headers)


class Service:
    """One process that takes the next of its `states` each time somebody waits for, or polls, a change."""

    def __init__(self) -> None:
        self.states: deque[dict[str, Any] | None] = deque([process()])
        self.version = 1
        self.knows_wait = True
        self.sends_etags = True
        self.api_key: str | None = None
        self.listed: list[dict[str, Any]] = []
        self.faults: deque[web.Response] = deque()
        self.requests: list[web.Request] = []
        self.app = web.Application()
        self.app.router.add_get("/status/{id}", self._one)
        self.app.router.add_get("/status", self._list)
        self.app.router.add_get("/ui/schema.json", self._description)
        self.described = describe(default_schema())

    def _refusal(self, request: web.Request) -> web.Response | None:
        self.requests.append(request)
        if self.faults:
            return self.faults.popleft()
        if self.api_key is not None and request.headers.get("X-API-Key") != self.api_key:
            return error(401, "API key missing or unknown")
        return None

    async def _description(self, _: web.Request) -> web.Response:
        return web.json_response(self.described.as_json())

    async def _one(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if "wait" in request.query and not self.knows_wait:
            return error(400, "Unknown query parameter: wait")
        seen = request.headers.get("If-None-Match") == f'"v{self.version}"'
        if seen and len(self.states) > 1:
            self.states.popleft()
            self.version += 1
            seen = False
        state = self.states[0]
        if state is None or request.match_info["id"] != state["process_id"]:
            return error(404, f"Process with ID {request.match_info['id']} not found")
        headers = {"X-Cache": "HIT", "Age": "2"}
        if self.sends_etags:
            headers["ETag"] = f'"v{self.version}"'
        return web.Response(status=304, headers=headers) if seen else web.json_response(state, headers=headers)

    async def _list(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        first, limit = int(request.query.get("page_token", "0")), int(request.query["limit"])
        if not 1 <= limit <= 1000:
            return error(400, "limit must be between 1 and 1000")
        rows = [row for row in self.listed if request.query.get("status") in (None, row["status"])]
        token = str(first + limit) if first + limit < len(rows) else None
        page = rows[first : first + limit]
        return web.json_response({"processes": page, "count": len(page), "next_page_token": token})


@dataclass
class Terminal:
    """What a user sees, and how long the command slept before it asked again."""

    out: Console
    messages: Console = field(default_factory=lambda: console(terminal=False))
    delays: list[float] = field(default_factory=list)
    on_sleep: Callable[[], Awaitable[object]] = field(default=lambda: asyncio.sleep(0))
    clock: Callable[[], float] = field(default_factory=lambda: iter(range(10_000)).__next__)

    @property
    def pace(self) -> Pace:
        return Pace(self._sleep, self.clock, lambda: NOW)

    async def _sleep(self, delay_s: float) -> None:
        self.delays.append(delay_s)
        await self.on_sleep()

    async def watch(self, server: TestServer | str, process_id: str = "import-1", **options: Any) -> int:
        return await watch(WatchOptions(process_id, str(url(server)), **options), self.out, self.messages, self.pace)

    async def list_processes(self, server: TestServer | str, **options: Any) -> int:
        return await list_processes(ListOptions(str(url(server)), **options), self.out, self.messages, self.pace)

    @property
    def lines(self) -> list[str]:
        return written(self.out).splitlines()

    @property
    def told(self) -> list[str]:
        return written(self.messages).splitlines()


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None, legacy_windows=False)


def written(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def url(server: TestServer | str) -> str:
    return server if isinstance(server, str) else f"http://127.0.0.1:{server.port}"


@pytest.fixture
def piped() -> Terminal:
    return Terminal(console(terminal=False))


@pytest.fixture
def tty() -> Terminal:
    return Terminal(console(terminal=True))


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def server(service: Service) -> AsyncIterator[TestServer]:
    started = TestServer(service.app, host="127.0.0.1")
    await started.start_server()
    yield started
    await started.close()


async def test_a_piped_watch_is_one_line_a_change_until_the_end(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    service.states.extend([process(processed=5), process("completed", 9)])
    assert await piped.watch(server) == 0
    assert piped.lines == [
        "2026-11-23T20:00:00Z import-1 running processed=0 failed=1",
        "2026-11-23T20:00:05Z import-1 running processed=5 failed=1",
        "2026-11-23T20:00:09Z import-1 completed processed=9 failed=1",
    ]
    assert piped.told == []


async def test_watch_waits_at_the_service_for_a_version_it_has_not_seen(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    service.states.append(process("completed"))
    await piped.watch(server)
    first, second = service.requests
    assert first.query_string == ""
    assert "If-None-Match" not in first.headers
    assert second.query_string == "wait=30"
    assert second.headers["If-None-Match"] == '"v1"'


async def test_a_service_that_knows_no_wait_is_polled_once_a_second(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    service.knows_wait = False
    service.states.extend([process(processed=5), process("completed", 9)])
    assert await piped.watch(server) == 0
    assert [request.query_string for request in service.requests] == ["", "wait=30", "", ""]
    assert service.requests[-1].headers["If-None-Match"] == '"v2"'
    assert piped.delays == [1.0, 1.0]


async def test_a_service_that_ignores_wait_is_not_asked_in_a_tight_loop(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    piped.clock = lambda: 0.0  # every answer comes at once

    async def end_after_three() -> None:
        if len(piped.delays) == 3:
            service.states.append(process("completed"))

    piped.on_sleep = end_after_three
    assert await piped.watch(server) == 0
    assert piped.delays == [1.0, 1.0, 1.0]


async def test_a_proxy_that_strips_etags_costs_polls_but_no_lines(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    service.sends_etags = False

    async def end_after_three() -> None:
        if len(piped.delays) == 3:
            service.states[0] = process("completed")

    piped.on_sleep = end_after_three
    assert await piped.watch(server) == 0
    assert [request.query_string for request in service.requests] == [""] * 4
    assert len(piped.lines) == 2


@pytest.mark.parametrize(("status", "exit_code"), [("completed", 0), ("failed", 1), ("cancelled", 3)])
async def test_the_exit_code_tells_how_the_process_ended(
    service: Service, server: TestServer, piped: Terminal, tty: Terminal, status: str, exit_code: int
) -> None:
    service.states[0] = process(status)
    assert await piped.watch(server) == exit_code
    assert await tty.watch(server) == exit_code


async def test_a_terminal_shows_the_process_live(service: Service, server: TestServer, tty: Terminal) -> None:
    service.states.append(process("completed", 12, end_time="2026-11-23T20:01:02.5Z"))
    assert await tty.watch(server) == 0
    shown = written(tty.out)
    for part in ("import-1", "running", "completed", "12", "0:01:05", "0:01:02", "HIT, 2 s"):
        assert part in shown
    assert shown.endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize("terminal", [False, True])
async def test_what_a_process_holds_can_t_steer_the_terminal(
    service: Service, server: TestServer, *, terminal: bool
) -> None:
    service.states[0] = process("\x1b[2J[bold]odd", last_updated="[red]\n:smile:")
    service.states.append(process("completed"))
    shown = Terminal(console(terminal=terminal))
    assert await shown.watch(server) == 0
    text = written(shown.out)
    assert "\\x1b[2J[bold]odd" in text
    assert "[red]\\n:smile:" in text
    assert "\x1b[2J" not in text


async def test_an_unknown_process_is_one_line_and_exit_code_2(server: TestServer, piped: Terminal) -> None:
    assert await piped.watch(server, "other/one") == 2
    assert await piped.watch(server, "import-2") == 2
    assert piped.lines == []
    assert len(piped.told) == 2
    assert piped.told[0].startswith("process-status: that is not a process ID")
    assert piped.told[1] == (
        "process-status: Process with ID import-2 not found (see `process-status list` for the newest ones)"
    )


async def test_an_id_is_sent_as_it_is_whatever_characters_it_has(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    odd = "a%2Fb ü?wait=1#x..+&"
    service.states[0] = process("completed", process_id=odd)
    assert await piped.watch(server, odd) == 0
    assert service.requests[0].match_info["id"] == odd


async def test_a_process_deleted_while_watched_ends_the_watch(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    service.states.append(None)
    assert await piped.watch(server) == 2
    assert "Process with ID import-1 not found" in piped.told[0]


async def test_a_service_that_was_never_reached_is_not_waited_for(server: TestServer, piped: Terminal) -> None:
    address = url(server)
    await server.close()
    assert await piped.watch(address) == 2
    assert await piped.list_processes(address) == 2
    assert piped.delays == []
    assert (
        piped.told
        == [
            f"process-status: can't reach {address} (Connection refused): start it with `process-status serve`, "
            "or say where it is with --url"
        ]
        * 2
    )


async def test_watching_survives_a_restart_of_the_service(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    restarted = Service()
    restarted.version, restarted.states = 2, deque([process("completed", 7)])
    address = url(server)
    new_server = TestServer(restarted.app, host="127.0.0.1", port=server.port)

    async def restart() -> None:
        if len(piped.delays) == 1:
            await server.close()
        elif len(piped.delays) == 3:
            await new_server.start_server()

    piped.on_sleep = restart
    assert await piped.watch(server) == 0
    await new_server.close()
    assert piped.lines[-1] == "2026-11-23T20:00:07Z import-1 completed processed=7 failed=1"
    assert len(piped.told) == 2
    assert piped.told[0].startswith(f"can't reach {address} (")
    assert piped.told[0].endswith("; trying again")
    assert piped.told[1] == "the service answers again"
    assert piped.delays[1:3] == [1.0, 1.5]


async def test_messages_of_a_terminal_stand_above_the_live_picture(
    service: Service, server: TestServer, tty: Terminal
) -> None:
    service.faults.append(error(503, "starting"))
    service.states[0] = process("completed")
    assert await tty.watch(server) == 0
    assert "the service says: starting; trying again" in written(tty.out)
    assert tty.told == []


async def test_a_busy_service_is_asked_again_when_it_says(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    service.faults.extend([error(503, "Firestore is unavailable", **{"Retry-After": "7"}), error(500, "odd")])
    service.states[0] = process("completed")
    assert await piped.watch(server) == 0
    assert piped.delays == [7.0, 1.5]


async def test_a_service_that_stays_away_is_given_up(service: Service, server: TestServer, piped: Terminal) -> None:
    service.faults.extend(error(503, "no") for _ in range(100))
    assert await piped.watch(server, give_up_after_s=3) == 2
    assert piped.told[-1] == "process-status: the service says: no; gave up after 3 s"


async def test_the_api_key_is_sent_and_never_shown(service: Service, server: TestServer, piped: Terminal) -> None:
    service.api_key = "the-key"
    service.states[0] = process("completed")
    assert await piped.watch(server, api_key="the-key") == 0
    assert await piped.watch(server, api_key="wrong-key") == 2
    assert await piped.watch(server, api_key="broken\nkey") == 2
    assert "PROCESS_STATUS_API_KEY" in piped.told[0]
    assert "API key" in piped.told[1]
    assert "-key" not in written(piped.messages).replace("--api-key-file", "")
    assert "the-key" not in repr(WatchOptions("a", api_key="the-key"))


async def test_a_redirect_is_told_and_never_followed(service: Service, server: TestServer, piped: Terminal) -> None:
    service.faults.append(web.Response(status=308, headers={"Location": "https://elsewhere.example/"}))
    assert await piped.watch(server, api_key="the-key") == 2
    assert piped.told == [
        f"process-status: {url(server)} redirects to https://elsewhere.example/: give that with --url"
    ]


@pytest.mark.parametrize("wrong", ["http://", "not a url", "http://127.0.0.1:99999", "ftp://127.0.0.1"])
async def test_a_wrong_url_is_one_line_and_exit_code_2(piped: Terminal, wrong: str) -> None:
    assert await piped.watch(wrong) == 2
    assert len(piped.told) == 1
    assert "--url" in piped.told[0]


async def test_another_server_is_told_apart(service: Service, server: TestServer, piped: Terminal) -> None:
    service.faults.extend([web.Response(text="<html>"), web.Response(status=404, text="nginx")])
    assert await piped.watch(server) == 2
    assert await piped.list_processes(server) == 2
    assert [line.split(" (HTTP")[0] for line in piped.told] == [
        f"process-status: {url(server)} is not a process-status-service"
    ] * 2


def row(number: int, status: str = "completed") -> dict[str, Any]:
    return process(status, number % 60, process_id=f"import-{number}")


async def test_a_piped_list_is_one_process_a_line_with_tabs(
    service: Service, server: TestServer, piped: Terminal
) -> None:
    service.listed = [row(3), {**row(2), "products_processed": None, "status": "a\tb"}]
    assert await piped.list_processes(server) == 0
    assert piped.lines == [
        "import-3\tcompleted\t2026-11-23T20:00:00Z\t-\t3\t1",
        "import-2\ta\\tb\t2026-11-23T20:00:00Z\t-\t-\t1",
    ]


async def test_a_list_on_a_terminal_is_a_table(service: Service, server: TestServer, tty: Terminal) -> None:
    service.listed = [row(3), row(2, "[bold]")]
    assert await tty.list_processes(server) == 0
    assert tty.lines[0].split() == ["process", "id", "status", "start", "time", "end", "time", "processed", "failed"]
    assert tty.lines[1].split() == ["import-3", "completed", "2026-11-23T20:00:00Z", "-", "3", "1"]
    assert "[bold]" in tty.lines[2]


def narrow(width: int) -> Terminal:
    out = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, legacy_windows=False)
    return Terminal(out)


LONG_ID = "import-20261123-a1b2c3-northwind-winter-collection"


@pytest.mark.parametrize(
    ("width", "process_id", "columns"),
    [
        (200, LONG_ID, ["process id", "status", "start time", "end time", "processed", "failed"]),
        (100, "import-1", ["process id", "status", "start time", "end time", "processed", "failed"]),
        (80, "import-20261123-a1b2c3", ["process id", "status", "start time", "processed", "failed"]),
        (80, LONG_ID, ["process id", "status"]),
        (20, LONG_ID, ["process id", "status"]),
    ],
)
async def test_a_narrow_table_has_fewer_columns_and_whole_ids(
    service: Service, server: TestServer, width: int, process_id: str, columns: list[str]
) -> None:
    ended = "2026-11-23T20:05:00.123Z"
    service.listed = [process("completed", 1, process_id=process_id, end_time=ended, start_time=ended)]
    terminal = narrow(width)
    assert await terminal.list_processes(server) == 0
    assert re.split(r"  +|(?<=d) (?=f)|(?<=e) (?=p|e)|(?<=s) (?=s)", terminal.lines[0].strip()) == columns
    assert terminal.lines[1].startswith(process_id + " ")
    assert len(terminal.lines) == 2


async def test_a_misspelt_status_is_told_with_those_there_are(
    service: Service, server: TestServer, piped: Terminal, tty: Terminal
) -> None:
    service.listed = [row(1, "running"), row(2, "parsing")]
    for terminal in (piped, tty):
        assert await terminal.list_processes(server, status="runing") == 2
        assert terminal.lines == []
        assert terminal.told == [
            "process-status: no process has the status 'runing'; "
            "there are: cancelled, completed, failed, parsing, pending, running"
        ]


@pytest.mark.parametrize("options", [{"status": "failed"}, {"status": "parsing", "end_date": "2026-11-01"}])
async def test_a_status_that_exists_may_have_no_process_now(
    service: Service, server: TestServer, piped: Terminal, options: dict[str, str]
) -> None:
    service.listed = [row(1, "running"), row(2, "parsing")] if len(options) == 1 else []
    if len(options) == 2:
        service.faults.append(web.json_response({"processes": [], "count": 0, "next_page_token": None}))
        service.listed = [row(2, "parsing")]
    assert await piped.list_processes(server, **options) == 0
    assert (piped.lines, piped.told) == ([], [])


async def test_filters_are_passed_on(service: Service, server: TestServer, piped: Terminal) -> None:
    service.listed = [row(1, "failed"), row(2)]
    assert (
        await piped.list_processes(server, status="failed", start_date="2026-11-01", end_date="2026-11-23", limit=5)
        == 0
    )
    assert dict(service.requests[0].query) == {
        "status": "failed",
        "start_date": "2026-11-01",
        "end_date": "2026-11-23",
        "limit": "5",
    }
    assert len(piped.lines) == 1


@pytest.mark.parametrize(
    ("options", "pages", "count"),
    [({}, ["10"], 10), ({"limit": 1500}, ["1000", "500"], 1500), ({"all": True}, ["1000"] * 3, 2500)],
)
async def test_pages_are_asked_for_as_far_as_needed(
    service: Service, server: TestServer, piped: Terminal, options: dict[str, Any], pages: list[str], count: int
) -> None:
    service.listed = [row(number) for number in range(2500)]
    assert await piped.list_processes(server, **options) == 0
    assert [request.query["limit"] for request in service.requests] == pages
    assert [line.split("\t")[0] for line in piped.lines] == [f"import-{number}" for number in range(count)]


async def test_what_the_service_refuses_is_told_in_its_own_words(server: TestServer, piped: Terminal) -> None:
    assert await piped.list_processes(server, limit=0) == 2
    assert piped.told == ["process-status: limit must be between 1 and 1000"]


async def test_a_page_that_fails_is_asked_for_again(service: Service, server: TestServer, piped: Terminal) -> None:
    service.listed = [row(1)]
    service.faults.append(error(503, "busy", **{"Retry-After": "2"}))
    assert await piped.list_processes(server) == 0
    assert piped.delays == [2.0]
    assert len(piped.lines) == 1


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (None, None),
        ("3", 3.0),
        ("9999", 60.0),
        ("soon", None),
        ("Mon, 23 Nov 2026 20:00:10 GMT", 10.0),
        ("Mon, 23 Nov 2026 19:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, wait_s: float | None) -> None:
    assert retry_after(value, 1_795_464_000.0) == wait_s


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2026-11-23T20:00:00Z", None, "0:01:05"),
        ("2026-11-22T20:00:00Z", "2026-11-23T21:00:00.123456789Z", "25:00:00"),
        ("2026-11-23T21:00:00Z", None, "0:00:00"),
        (None, None, "-"),
        ("odd", None, "-"),
    ],
)
def test_elapsed_runs_from_the_start_to_the_end_or_now(start: str | None, end: str | None, shown: str) -> None:
    assert elapsed(start, end, NOW) == shown


@pytest.fixture
def imports(service: Service) -> Service:
    """A service with a schema of its own."""
    service.described = describe(read_schema_file(schema_file("imports")))
    return service


def job(state: str, **changed: Any) -> dict[str, Any]:
    return {
        "process_id": "import-1",
        "status": state,
        "start_time": "2026-11-23T20:00:00Z",
        "end_time": None,
        "last_updated": "2026-11-23T20:00:30Z",
        "owner": "ann",
        "kind": "csv",
        "processed": 7,
        "total": 200,
        "error": None,
        **changed,
    }


@pytest.mark.parametrize(("status", "exit_code"), [("done", 0), ("error", 1)])
async def test_the_schema_says_which_status_ends_a_watch_and_how(
    imports: Service, server: TestServer, piped: Terminal, status: str, exit_code: int
) -> None:
    imports.states = deque([job("completed"), job(status, error="Row 17")])
    assert await piped.watch(server) == exit_code
    assert piped.lines == [
        "2026-11-23T20:00:30Z import-1 completed owner=ann kind=csv processed=7 total=200 error=-",
        f"2026-11-23T20:00:30Z import-1 {status} owner=ann kind=csv processed=7 total=200 error=Row 17",
    ]


async def test_a_table_has_the_schemas_columns(imports: Service, server: TestServer) -> None:
    imports.listed = [job("done")]
    wide, small = narrow(200), narrow(60)
    assert (await wide.list_processes(server), await small.list_processes(server)) == (0, 0)
    assert re.split(r" {2,}", wide.lines[0].replace("time end", "time  end").strip())[0] == "process id"
    assert wide.lines[1].split() == ["import-1", "done", "2026-11-23T20:00:00Z", "-", "ann", "csv", "7", "200", "-"]
    assert small.lines[1].split() == ["import-1", "done", "2026-11-23T20:00:00Z", "7", "200", "-"]


async def test_colours_follow_what_the_status_means(imports: Service, server: TestServer) -> None:
    imports.listed = [job("done"), job("error"), job("crunching")]
    out = Console(file=io.StringIO(), force_terminal=True, width=200, color_system="standard", legacy_windows=False)
    shown = Terminal(out)
    assert await shown.list_processes(server) == 0
    for word, colour in (("done", 32), ("error", 31), ("crunching", 36)):
        assert any(f"\x1b[{colour}m{word}" in line for line in shown.lines), (word, shown.lines)


async def test_the_schemas_filters_are_passed_on(imports: Service, server: TestServer, piped: Terminal) -> None:
    imports.listed = [job("done")]
    assert await piped.list_processes(server, filters={"owner": "ann"}) == 0
    assert dict(imports.requests[0].query) == {"owner": "ann", "limit": "10"}


async def test_progress_is_shown_in_percent(service: Service, server: TestServer, tty: Terminal) -> None:
    service.described = describe(read_schema_file(schema_file("renders")))
    service.states = deque([{"process_id": "import-1", "status": "finished", "progress": 0.25}])
    assert await tty.watch(server) == 0
    assert re.search(r"progress +25%", written(tty.out))
