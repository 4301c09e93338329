"""Compares each answer with the history: was it true, as fresh as it claims, and never older than what was known? Pure.

A `HIT`, `CACHED`, `STALE` or `MISS` must have been Firestore's state at an instant no earlier than its `Age` before the
question; the answer to a strong read at or after the question. Each row of a batch is as fresh as the whole claims.
What Firestore itself kept from its listener may be believed until the audit must have noticed; such answers are counted
apart. Every answer is there within its bound, counted from when it was its turn; the time in which the replica was
frozen is no fault of its own.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

import orjson

from benchmarks.chaos.history import History, Page, Query, Version, rendered_page
from benchmarks.chaos.intervals import Intervals
from benchmarks.chaos.names import id_of, key_of
from benchmarks.chaos.questions import Answered, Batch

CLOCKS_US = 1_000
"""What two readings of one clock through different time scales may differ by."""

EXAMPLES = 10


@dataclass(frozen=True)
class Bounds:
    """The settings of the service that bound an answer's age, in seconds."""

    lease_s: float
    cache_ttl_s: float
    stale_if_error_s: float
    answered_s: float
    """Within which every answer is there, waiting that was asked for aside."""

    def of(self, source: str) -> float:
        """The greatest Age that may be claimed; -1 for what is no source."""
        limits = {
            "HIT": math.ceil(self.lease_s),
            "MISS": 0,
            "CACHED": math.ceil(self.cache_ttl_s),
            "STALE": math.ceil(self.stale_if_error_s),
        }
        return limits.get(source, -1)


@dataclass
class Verdicts:
    """What came of the checks. Forbidden is what the property of that name adds up. `latest_s`: beyond its wait."""

    checked: int = 0
    wrong: int = 0
    bound_broken: int = 0
    backwards: int = 0
    server_errors: int = 0
    unanswered: int = 0
    late: int = 0
    latest_s: float = 0.0
    refused: int = 0
    believed_a_lie: int = 0
    by_source: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def forbidden(self) -> int:
        return self.wrong + self.bound_broken + self.backwards + self.server_errors + self.unanswered + self.late


class Checker:
    """Judges answers; the history must reach to the time at which the last of them was received."""

    def __init__(self, history: History, bounds: Bounds, frozen: Intervals | None = None) -> None:
        self._history = history
        self._bounds = bounds
        self._frozen = frozen or Intervals()
        self.verdicts = Verdicts()

    def check(self, answer: Answered) -> None:
        """Judge one answer."""
        verdicts = self.verdicts
        verdicts.checked += 1
        self._check_time(answer)
        if answer.status == 0:
            return self._blame("unanswered", answer, answer.body.decode())
        if answer.status >= 500:
            return self._check_refusal(answer)
        kind = f"304 {answer.source}" if answer.status == 304 else f"{answer.status} {answer.source}"
        verdicts.by_source[kind] += 1
        if answer.status not in (200, 304, 404):
            return self._blame("wrong", answer, "no such status is expected")
        if not self._claim_is_possible(answer):
            return self._blame("bound_broken", answer, "more than may be claimed")
        self._judge(answer)
        return None

    def _check_time(self, answer: Answered) -> None:
        turn_us, received_us = answer.turn_us or answer.sent_us, answer.received_us
        took_us = received_us - turn_us - self._frozen.overlap_us(turn_us, received_us)
        beyond_s = took_us / 1_000_000 - answer.question.wait_s
        self.verdicts.latest_s = max(self.verdicts.latest_s, beyond_s)
        if beyond_s > self._bounds.answered_s:
            self._blame("late", answer, f"{beyond_s:.1f} s")

    def _check_refusal(self, answer: Answered) -> None:
        if answer.status == 503 and answer.may_retry:
            self.verdicts.refused += 1
        else:
            self._blame("server_errors", answer, "not a 503 with Retry-After")

    def _claim_is_possible(self, answer: Answered) -> bool:
        question = answer.question
        if answer.age_s < 0 or self._bounds.of(answer.source) < 0:
            return False
        if question.max_age_s is not None and (answer.age_s > question.max_age_s):
            return False
        if question.max_age_s == 0 and answer.source in ("STALE", "CACHED"):
            return False
        sources = ("HIT", "MISS", "CACHED", "STALE") if question.kind == "batch" else (answer.source,)
        return answer.age_s <= max(self._bounds.of(source) for source in sources)

    def _from_us(self, answer: Answered) -> int:
        """The earliest instant whose state may be answered."""
        age_s, question = answer.age_s, answer.question
        if question.max_age_s is not None:
            return answer.sent_us - min(age_s, question.max_age_s) * 1_000_000 - CLOCKS_US
        return answer.sent_us - age_s * 1_000_000 - CLOCKS_US

    def _judge(self, answer: Answered) -> None:
        fault = self._fault(answer, believing_lies=False)
        is_from_model = answer.source == "HIT" or answer.question.kind == "batch"  # whose source is its least fresh
        if fault is not None and is_from_model:
            fault = self._fault(answer, believing_lies=True)
            self.verdicts.believed_a_lie += fault is None
        if fault is not None:
            self._blame(fault.column, answer, fault.why)

    def _fault(self, answer: Answered, *, believing_lies: bool) -> "Fault | None":
        target = answer.question.target
        if isinstance(target, Query):
            return self._fault_of_page(answer, target, believing_lies)
        if isinstance(target, Batch):
            return self._fault_of_batch(answer, target.keys, believing_lies)
        return self._fault_of_status(answer, target, believing_lies)

    def _fault_of_status(self, answer: Answered, process_id: str, believing_lies: bool) -> "Fault | None":
        question = answer.question
        if answer.status == 404:
            name = id_of(process_id).encode()
            if answer.body != b'{"status":"error","message":"Process with ID %b not found"}' % name:
                return Fault("wrong", "another message")
            return self._fault_of_absence(answer, process_id, believing_lies)
        version = self._history.by_version.get((process_id, _version_of(answer.etag)))
        if version is None:
            return Fault("wrong", "there never was such a version")
        if answer.status == 304:
            if answer.etag != question.etag:
                return Fault("wrong", "304 for another ETag")
        elif answer.body != version.body(with_products=question.kind == "products"):
            return Fault("wrong", "another body than that version's")
        older_by_us = question.known - _version_of(answer.etag)
        if older_by_us > 0:
            return Fault("backwards", f"{older_by_us} us older than the ETag sent")
        return self._fault_of_version(answer, version, believing_lies)

    def _fault_of_version(self, answer: Answered, version: Version, believing_lies: bool) -> "Fault | None":
        from_us = self._from_us(answer)
        if version.was_state(from_us, answer.received_us, believing_lies=believing_lies):
            return None
        return Fault("bound_broken", f"superseded {from_us - version.until_us} us before what may be answered")

    def _fault_of_absence(self, answer: Answered, process_id: str, believing_lies: bool) -> "Fault | None":
        from_us, until_us = self._from_us(answer), answer.received_us
        if self._history.was_absent(process_id, from_us, until_us, believing_lies=believing_lies):
            return None
        return Fault("bound_broken", f"{process_id} existed all that time")

    def _fault_of_batch(self, answer: Answered, process_ids: tuple[str, ...], believing_lies: bool) -> "Fault | None":
        """Each for itself: they are several answers in one."""
        body = orjson.loads(answer.body)
        found = {key_of(row): row for row in body["processes"]}
        present = [process_id for process_id in process_ids if id_of(process_id) not in body["missing"]]
        if list(found) != present or body["count"] != len(present):
            return Fault("wrong", "not those that were asked for")
        for process_id in process_ids:
            if process_id in found:
                version = self._history.by_sequence.get(found[process_id]["products_processed"])
                if version is None or orjson.loads(version.row()) != found[process_id]:
                    return Fault("wrong", f"there never was such a version of {process_id}")
                fault = self._fault_of_version(answer, version, believing_lies)
            else:
                fault = self._fault_of_absence(answer, process_id, believing_lies)
            if fault is not None:
                return fault
        return None

    def _fault_of_page(self, answer: Answered, query: Query, believing_lies: bool) -> "Fault | None":
        """The rows narrow the time down to when all of them held; at one of its instants the whole page must hold."""
        body = orjson.loads(answer.body)
        rows: list[Version] = []
        from_us, until_us = self._from_us(answer), answer.received_us
        for row in body["processes"]:
            version = self._history.by_sequence.get(row["products_processed"])
            if version is None:
                return Fault("wrong", f"there never was such a version of {row['process_id']}")
            rows.append(version)
            from_us = max(from_us, version.from_us)
            end_us = max(version.until_us, version.lied_until_us) if believing_lies else version.until_us
            until_us = min(until_us, end_us - 1)
        if not answer.body.startswith(rendered_page(rows)):
            return Fault("wrong", "another body than that of its rows")
        if from_us > until_us:
            return Fault("bound_broken", f"its rows never held together then, by {from_us - until_us} us")
        page = Page(tuple(rows), body["next_page_token"] is not None)
        for instant_us in self._history.instants(from_us, until_us):
            if page == self._history.page(query, instant_us):
                return None
            if believing_lies and self._history.may_believe(query, page, instant_us):
                return None
        return Fault("bound_broken", f"never the query's answer then, but: {self._difference(query, page, until_us)}")

    def _difference(self, query: Query, page: Page, instant_us: int) -> str:
        """From what it should have been at that instant, and what is known of those processes."""
        there = self._history.page(query, instant_us)
        odd = {version.written.process_id for version in {*page.rows} ^ {*there.rows}}
        known = [version.written for process_id in sorted(odd) for version in self._history.versions[process_id][-3:]]
        return f"at {instant_us} more pages {there.has_more}, {known}"

    def _blame(self, column: str, answer: Answered, why: str) -> None:
        setattr(self.verdicts, column, getattr(self.verdicts, column) + 1)
        if len(self.verdicts.examples) < EXAMPLES:
            self.verdicts.examples.append(f"{column}: {why}: {answer}")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an answer is not allowed, and the column it counts in."""

    column: str
    why: str


def _version_of(etag: str) -> int:
    """-1 for what is no version's ETag."""
    digits = etag.removeprefix('"v').removesuffix('"').removesuffix("-p")
    return int(digits) if digits.isdecimal() else -1
