"""The output of the terminal commands: a live picture or a table on a terminal, plain lines anywhere else.

Control characters in the service's data are escaped, and the data is never read as markup.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self

import orjson
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from service.api.description import Description, Kind
from service.telemetry.logs.format import printable

COLOURS: Mapping[Kind, str] = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}
TIMES = ("started", "ended", "updated")
"""Roles that a line about one process has no place for, or a fixed place."""
LEFT_OUT_FIRST = ("error", "failed", "total", "processed", "progress", "started")
"""Roles that a narrow table leaves out first, after the end and the keys without a role."""
UNKNOWN = "-"

Process = Mapping[str, Any]


def text_of(value: object) -> str:
    if isinstance(value, bool | dict | list):
        value = orjson.dumps(value).decode()
    return UNKNOWN if value is None else printable(str(value))


def status_text(described: Description, status: object) -> Text:
    style = "" if status is None else COLOURS.get(described.kind(status), "")
    return Text(text_of(status), style=style)


def columns_of(described: Description) -> list[str]:
    """The columns of a list: the keys that lists have, without the time of the last change."""
    updated = described.roles["updated"]
    return ["process_id", *(key.name for key in described.keys if key.in_list and key.name != updated)]


def facts_of(described: Description) -> list[str]:
    """The facts about one process, without its status and its times."""
    times = {described.roles[role] for role in TIMES}
    return [key.name for key in described.keys if key.in_list and key.name not in times and key.name != "status"]


def change_line(described: Description, process: Process, now: datetime) -> str:
    """One change as a line: the time, the process, its state and other keys that lists have."""
    updated = described.value(process, "updated")
    when = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if described.roles["updated"] is None else text_of(updated)
    facts = [f"{_short(name).replace(' ', '_')}={text_of(process.get(name))}" for name in facts_of(described)]
    return " ".join((when, text_of(process.get("process_id")), text_of(process.get("status")), *facts))


def elapsed(start: object, end: object, now: datetime) -> str:
    """`h:mm:ss` from the start to the end, or until now."""
    started, ended = _time(start), _time(end)
    if started is None:
        return UNKNOWN
    seconds = max(0, int(((ended or now) - started).total_seconds()))
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class WatchView:
    """Shows one process while it goes on. A context manager, so that the terminal is always restored.

    `messages` gets everything except the process's state; on a terminal it appears above the live picture.
    """

    def __init__(self, console: Console, messages: Console, now: Callable[[], datetime]) -> None:
        self._console = console
        self._messages = console if console.is_terminal else messages
        self._now = now
        self._process: Process = {}
        self._described: Description | None = None
        self._freshness = ""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._picture,
                console=self._console,
                refresh_per_second=4,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, described: Description, process: Process | None, freshness: str) -> None:
        """Show the present state of the process; None if only its freshness has changed."""
        self._freshness = freshness
        self._described = described
        if process is None or process == self._process:
            return
        self._process = process
        if self._live is None:
            write_line(self._console, change_line(described, process, self._now()))
        else:
            self._live.refresh()

    def tell(self, message: str) -> None:
        write_line(self._messages, printable(message))

    def _picture(self) -> Table:
        picture = Table.grid(padding=(0, 2))
        process, described = self._process, self._described
        if described is None or not process:
            return picture
        picture.add_row("process", Text(text_of(process.get("process_id")), style="bold"))
        picture.add_row("status", status_text(described, process.get("status")))
        for name in facts_of(described):
            picture.add_row(_short(name), Text(_fact(described, process, name)))
        if described.roles["started"] is not None:
            start, end = described.value(process, "started"), described.value(process, "ended")
            picture.add_row("elapsed", elapsed(start, end, self._now()))
        if described.roles["updated"] is not None:
            picture.add_row("updated", Text(text_of(described.value(process, "updated"))))
        picture.add_row("freshness", Text(printable(self._freshness), style="dim"))
        return picture


def _fact(described: Description, process: Process, name: str) -> str:
    value = process.get(name)
    if name == described.roles["progress"] and isinstance(value, int | float):
        return f"{value / described.progress_of:.0%}"
    return text_of(value)


def write_line(console: Console, line: str) -> None:
    """Write a line unchanged: no wrapping, no highlighting, no markup, no emoji."""
    console.print(Text(line), soft_wrap=True)


def show_table(console: Console, described: Description, processes: Sequence[Process]) -> None:
    """Show each process on one line.

    Columns are left out until the rest fits; an ID is never broken, even a long one.
    """
    rows = [{name: _cell(described, process, name) for name in columns_of(described)} for process in processes]
    widths = {name: max(cell_len(_short(name)), *(cell_len(row[name].plain) for row in rows)) for name in rows[0]}
    columns = _columns_within(console.width, described, widths)
    numbers = {key.name for key in described.keys if key.type in ("integer", "number")}
    table = Table(box=None, pad_edge=False, width=_table_width(columns, widths))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        table.add_column(_short(column), justify=justify, no_wrap=True, min_width=widths[column])
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    console.print(table, crop=False, no_wrap=True, overflow="ignore")


def _columns_within(width: int, described: Description, widths: Mapping[str, int]) -> list[str]:
    columns = list(widths)
    roles = described.roles
    without_role = [name for name in columns[2:] if name not in roles.values()]
    for dispensable in (roles["ended"], *reversed(without_role), *(roles[role] for role in LEFT_OUT_FIRST)):
        if _table_width(columns, widths) <= width:
            break
        if dispensable in columns:
            columns.remove(dispensable)
    return columns


def _table_width(columns: Sequence[str], widths: Mapping[str, int]) -> int:
    return sum(widths[column] for column in columns) + len(columns) - 1


def _short(name: str) -> str:
    """A key as a heading."""
    return name.removeprefix("products_").replace("_", " ")


def _cell(described: Description, process: Process, column: str) -> Text:
    value = process.get(column)
    return status_text(described, value) if column == "status" else Text(text_of(value))


def show_lines(console: Console, described: Description, processes: Sequence[Process]) -> None:
    """Show one process per line, with columns separated by tabs, for other programs."""
    columns = columns_of(described)
    rows = ("\t".join(text_of(process.get(column)) for column in columns) for process in processes)
    try:
        console.file.write("".join(f"{row}\n" for row in rows))  # directly, because rich would expand the tabs
        console.file.flush()
    except BrokenPipeError:
        console.on_broken_pipe()
