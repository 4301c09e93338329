"""What the listener has told of each process, and that nothing older is ever answered (invariant 1).

Looked at in the step in which an answer is decided, so it does not matter how long it takes to reach its client.
"""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.chaos.history import History
from service.api.caller import Caller
from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.reads.answers import Answer, Answers


class Heard:
    """The read time (µs) of the last word about each process. `now_us` is Firestore's clock."""

    def __init__(self, history: History, now_us: Callable[[], int]) -> None:
        self._history = history
        self._now_us = now_us
        self._read_times: dict[str, int] = {}
        self.answered_older: list[str] = []

    def listen(self, model: ReadModel) -> None:
        """Hear all that the model hears."""
        model.subscribe(self._on_applied)

    def watch_answers(self, patch: pytest.MonkeyPatch) -> None:
        """Judge every answer that is asked for asynchronously: those that a read may have gone into."""
        original = Answers.status

        async def status(answers: Answers, process_id: str, caller: Caller, **how: Any) -> Answer:
            answer = await original(answers, process_id, caller, **how)
            self._judge(process_id, answer)
            return answer

        patch.setattr(Answers, "status", status)

    def _on_applied(self, applied: Applied) -> None:
        told = [*(summary.process_id for summary in applied.upserts), *applied.removed]
        self._read_times.update(dict.fromkeys(told, applied.read_time))

    def _judge(self, process_id: str, answer: Answer) -> None:
        """It must have been Firestore's state at, or at some instant after, what the listener told last."""
        heard_us, now_us = self._read_times.get(process_id), self._now_us()
        if heard_us is None:
            return
        if answer.summary is None:
            is_true = self._history.was_absent(process_id, heard_us, now_us)
        else:
            version = self._history.by_version.get((process_id, answer.version))
            is_true = version is not None and version.was_state(heard_us, now_us)
        if not is_true:
            self.answered_older.append(f"{process_id}: the listener had told of {heard_us} before {answer}")
