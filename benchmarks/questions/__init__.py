"""The questions, one file each, in the order of a whole run. A new one: a file with a QUESTION, and its line here."""

from benchmarks.question import Question
from benchmarks.questions import (
    cost,
    hit,
    list,  # noqa: A004 - a question's name
    listener,
    loop,
    memory,
    miss,
    mixed,
    propagation,
    watchers,
    workers,
)

_MODULES = (hit, miss, mixed, propagation, cost, workers, watchers, listener, loop, memory, list)
QUESTIONS: dict[str, Question] = {each.QUESTION.name: each.QUESTION for each in _MODULES}
