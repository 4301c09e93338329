"""Shows on stderr how far a run is: one moving line on a terminal, a line a step where it is no terminal."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console


class ProgressLine:
    """A context manager. `total` benchmarks, of which some are finished."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._finished = 0
        self._started = time.monotonic()
        self._status = console.status("") if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def step(self, text: str) -> None:
        """This begins now."""
        passed = time.monotonic() - self._started
        line = f"{passed:5.0f} s  {self._finished}/{self._total}  {text}"
        if self._status is not None:
            self._status.update(line)
        else:
            self._console.print(line, highlight=False, soft_wrap=True)

    def finished(self) -> None:
        """One more benchmark is finished."""
        self._finished += 1
