"""What the terminal commands show: a live picture or a table on a terminal, plain lines anywhere else.

Everything the service sent is shown with its control characters escaped and never read as markup.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from service.telemetry.logs.format import printable

COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}
COLUMNS = ("process_id", "status", "start_time", "end_time", "products_processed", "products_failed")
LEFT_OUT_FIRST = ("end_time", "products_failed", "products_processed", "start_time")
"""Columns of a table that a narrow terminal does without."""
UNKNOWN = "-"

Process = Mapping[str, Any]


def text_of(value: object) -> str:
    return UNKNOWN if value is None else printable(str(value))


def status_text(status: object) -> Text:
    return Text(text_of(status), style=COLOURS.get(str(status), ""))


def change_line(process: Process) -> str:
    """One change as a line: when, which process, its state and counts."""
    shown = {key: text_of(process.get(key)) for key in (*COLUMNS, "last_updated")}
    counts = f"processed={shown['products_processed']} failed={shown['products_failed']}"
    return f"{shown['last_updated']} {shown['process_id']} {shown['status']} {counts}"


def elapsed(process: Process, now: datetime) -> str:
    """`h:mm:ss` from the start to the end, or to now."""
    start, end = _time(process.get("start_time")), _time(process.get("end_time"))
    if start is None:
        return UNKNOWN
    seconds = max(0, int(((end or now) - start).total_seconds()))
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class WatchView:
    """One process as it goes on. A context manager, so that a terminal is always left as it was found.

    `messages` takes what is not the process's state; on a terminal that is shown above the live picture.
    """

    def __init__(self, console: Console, messages: Console, now: Callable[[], datetime]) -> None:
        self._console = console
        self._messages = console if console.is_terminal else messages
        self._now = now
        self._process: Process = {}
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

    def show(self, process: Process | None, freshness: str) -> None:
        """The process as it is now, or None where only its freshness is news."""
        self._freshness = freshness
        if process is None or process == self._process:
            return
        self._process = process
        if self._live is None:
            write_line(self._console, change_line(process))
        else:
            self._live.refresh()

    def tell(self, message: str) -> None:
        write_line(self._messages, printable(message))

    def _picture(self) -> Table:
        picture = Table.grid(padding=(0, 2))
        if not self._process:
            return picture
        process = self._process
        picture.add_row("process", Text(text_of(process.get("process_id")), style="bold"))
        picture.add_row("status", status_text(process.get("status")))
        picture.add_row("processed", Text(text_of(process.get("products_processed"))))
        picture.add_row("failed", Text(text_of(process.get("products_failed"))))
        picture.add_row("elapsed", elapsed(process, self._now()))
        picture.add_row("updated", Text(text_of(process.get("last_updated"))))
        picture.add_row("freshness", Text(printable(self._freshness), style="dim"))
        return picture


def write_line(console: Console, line: str) -> None:
    """A line as it is: not wrapped, not highlighted, no markup, no emoji."""
    console.print(Text(line), soft_wrap=True)


def show_table(console: Console, processes: Sequence[Process]) -> None:
    """Each process on one line. Columns are left out until the rest fits; an ID is never broken, however long it is."""
    columns = _columns_within(console.width, processes)
    table = Table(box=None, pad_edge=False, width=_table_width(columns, processes))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.startswith("products_") else "left"
        table.add_column(_title(column), justify=justify, no_wrap=True, min_width=_width(column, processes))
    for process in processes:
        table.add_row(*(_cell(process, column) for column in columns))
    console.print(table, crop=False, no_wrap=True, overflow="ignore")


def _columns_within(width: int, processes: Sequence[Process]) -> list[str]:
    columns = list(COLUMNS)
    for dispensable in LEFT_OUT_FIRST:
        if _table_width(columns, processes) <= width:
            break
        columns.remove(dispensable)
    return columns


def _table_width(columns: Sequence[str], processes: Sequence[Process]) -> int:
    return sum(_width(column, processes) for column in columns) + len(columns) - 1


def _width(column: str, processes: Sequence[Process]) -> int:
    return max(cell_len(_title(column)), *(cell_len(_cell(process, column).plain) for process in processes), 0)


def _title(column: str) -> str:
    return column.removeprefix("products_").replace("_", " ")


def _cell(process: Process, column: str) -> Text:
    value = process.get(column)
    return status_text(value) if column == "status" else Text(text_of(value))


def show_lines(console: Console, processes: Sequence[Process]) -> None:
    """One process a line, its columns separated by tabs, for other programs."""
    rows = ("\t".join(text_of(process.get(column)) for column in COLUMNS) for process in processes)
    try:
        console.file.write("".join(f"{row}\n" for row in rows))  # as it is: rich would expand the tabs
        console.file.flush()
    except BrokenPipeError:
        console.on_broken_pipe()
