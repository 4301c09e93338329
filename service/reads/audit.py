"""The audit: compares a sample of the model with Firestore, and finds changes for which no event came.

A difference counts only if it is more than the normal lag of a live listener. A probe decides this: when Firestore has
answered a probe that was sent after the audit's read, the model holds all that the read can have seen. Without an
answer the audit decides nothing. A listener that cannot confirm the model on demand (`on_snapshot`) gets `SETTLE_S`
instead, during which this process must have run, and longer if it has reported no consistent point since the audit's
read. Then the audit reads a second time. After a difference that counts, the model is distrusted until the listener has
loaded a whole result.

An audit without a difference renews no lease, because a sample proves nothing about the other processes. The audit also
logs, once, why the model is empty although the collection is not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Protocol

from listeners.collection_path import readable
from listeners.listener import CannotConfirm, Clock, ListenerState
from service.api.list_query import ListQuery
from service.api.ordering import Order
from service.errors import ReadRefused, Unreachable
from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.reads.firestore_reader import FirestoreReader
from service.schema.compiled import ProcessSummary

log = logging.getLogger(__name__)

_YEAR_5138_S = 1e11
"""Greater numbers are no epoch seconds of our time."""

SETTLE_S = 3.0
"""How long a difference must last before it is more than the lag of a listener that can't confirm the model."""

SETTLE_STEP_S = 0.25
"""The time is counted in steps. A step that took twice as long does not count: the process was not running."""

SETTLE_STEPS = 120
"""Steps after which the audit gives up: either this process hardly runs, or its listener hears nothing."""


class AuditedListener(Protocol):
    """The part of the listener's supervisor that the audit uses."""

    @property
    def state(self) -> ListenerState:
        """The present state."""

    async def confirm(self) -> float:
        """See `Listener.confirm`."""

    def resync(self, reason: str) -> None:
        """Load a whole result again."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A process whose version in Firestore (None: deleted) differs from the model's (None: not in the model)."""

    process_id: str
    in_firestore: ProcessSummary | int | None
    held_version: int | None


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """How often to compare, how many processes at a time, the order of lists, and how to wait."""

    interval_s: float
    sample: int
    order: Order
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Audit:
    """Compares as often as the options say. The first comparison comes as soon as the model has synced."""

    def __init__(
        self,
        model: ReadModel,
        reader: FirestoreReader,
        listener: AuditedListener,
        options: AuditOptions,
        *,
        clock: Clock,
        rng: Random,
        on_mismatch: Callable[[], None],
    ) -> None:
        self._model = model
        self._reader = reader
        self._listener = listener
        self._options = options
        self._clock = clock
        self._rng = rng
        self._on_mismatch = on_mismatch
        self._first_sync = asyncio.Event()
        self._has_explained_emptiness = False
        model.subscribe(self._on_applied)

    def _on_applied(self, _: Applied) -> None:
        self._first_sync.set()

    async def run(self) -> None:
        """Run until cancelled."""
        await self._first_sync.wait()
        while True:
            try:
                await self.once()
            except Unreachable as error:
                log.info("no audit: Firestore can't be reached: %s", error)
            except ReadRefused as error:
                log.error("no audit: Firestore refuses to be read directly: %s", error)
            await self._options.sleep(self._options.interval_s * self._rng.uniform(0.9, 1.1))

    async def once(self) -> bool:
        """One comparison. Returns whether model and Firestore agree. Raises: Unreachable, ReadRefused."""
        if not self._model.has_synced:
            return False
        differences = await self._compare()
        if differences:
            if not await self._has_caught_up():
                return False
            differences = await self._lasting(differences)
        if differences:
            if self._listener.state is ListenerState.LIVE:  # else it is known to be behind: the lease sees to that
                self._report(differences)
            return False
        await self._explain_emptiness()
        return True

    async def _compare(self) -> list[Difference]:
        sample = self._model.sample(self._options.sample, self._rng)
        newest = await self._reader.rows(ListQuery(limit=1), billed_as="audit")
        versions = await self._reader.versions([summary.process_id for summary in sample]) if sample else {}
        found = [Difference(id_, version, self._held_version(id_)) for id_, version in versions.items()]
        found += [Difference(each.process_id, each, self._held_version(each.process_id)) for each in newest.summaries]
        return [difference for difference in found if self._differs(difference)]

    def _held_version(self, process_id: str) -> int | None:
        held = self._model.get(process_id)
        return None if held is None else held.version

    def _differs(self, difference: Difference) -> bool:
        """Whether the model is behind. It can be ahead of the read, and its window can have dropped the process."""
        there, held_version = difference.in_firestore, difference.held_version
        if isinstance(there, ProcessSummary):
            if held_version is not None:
                return held_version < there.version
            newest = self._model.newest()
            if newest is None:  # foreign documents of a collection group can fill the window
                return self._model.is_complete
            return newest.position < there.position  # type: ignore[operator] # both are listed
        return held_version is not None and (there is None or held_version < there)

    async def _has_caught_up(self) -> bool:
        """Whether the model now holds everything that Firestore had when this was called."""
        called_at = self._clock()
        try:
            await self._listener.confirm()
        except CannotConfirm as cannot:
            if not cannot.is_final:
                log.info("no audit: the listener can be behind: %s", cannot)
                return False
            return await self._settles(called_at)
        return True

    async def _settles(self, read_by: float) -> bool:
        """Wait until this process has run for SETTLE_S and the model has reached `read_by`. False if it takes long."""
        awake_s = 0.0
        for _ in range(SETTLE_STEPS):
            began_at = self._clock()
            await self._options.sleep(SETTLE_STEP_S)
            if self._clock() - began_at < 2 * SETTLE_STEP_S:
                awake_s += SETTLE_STEP_S
            if awake_s >= SETTLE_S and self._model.is_confirmed_since(read_by):
                return True
        log.info(
            "no audit: the machine hardly runs this process"
            if awake_s < SETTLE_S
            else "no audit: the listener can be behind"
        )
        return False

    async def _lasting(self, differences: list[Difference]) -> list[Difference]:
        """The differences that still exist. Firestore is read again, so a difference that has gone does not count."""
        lasting = [difference for difference in differences if self._lasts(difference)]
        ids = list(dict.fromkeys(each.process_id for each in lasting))
        versions = await self._reader.versions(ids) if ids else {}
        return [each for each in lasting if self._is_still_true(each, versions[each.process_id]) and self._lasts(each)]

    def _is_still_true(self, difference: Difference, version: int | None) -> bool:
        """Whether the second read confirms the first."""
        first = difference.in_firestore
        if first is None or version is None:
            return version is first
        return version >= (first.version if isinstance(first, ProcessSummary) else first)

    def _lasts(self, difference: Difference) -> bool:
        held_version = self._held_version(difference.process_id)
        if difference.in_firestore is None and held_version != difference.held_version:
            return False
        return self._differs(Difference(difference.process_id, difference.in_firestore, held_version))

    def _report(self, differences: list[Difference]) -> None:
        ids = sorted({readable(difference.process_id) for difference in differences})
        log.error(
            "the model differs from Firestore in %d of the processes compared (%s): it answers nothing until it has "
            "been fetched anew",
            len(ids),
            ", ".join(ids[:10]),
            extra={"process_ids": ids},
        )
        self._on_mismatch()
        self._model.distrust()
        self._listener.resync("audit_mismatch")

    async def _explain_emptiness(self) -> None:
        if self._has_explained_emptiness or not self._model.lists_nothing:
            return
        found = await self._reader.order_value_found()
        if found is None or self._options.order.key_reader()(found) is not None:
            return  # the collection is empty, or its first document is new and the listener will report it
        self._has_explained_emptiness = True
        kind = _order_type_of(found)
        if kind is None:
            advice = "lists can't hold that: write it as a timestamp; until then processes are served by ID only"
        else:
            advice = f"set START_TIME_TYPE={kind}"
        log.warning(
            "lists are empty, the collection is not: START_TIME_TYPE is %s, a %s found there is a %s; %s",
            self._options.order.type,
            self._options.order.field,
            "number" if kind in ("seconds", "milliseconds") else kind or type(found).__name__,
            advice,
        )


def _order_type_of(value: object) -> str | None:
    """The START_TIME_TYPE with which lists would show a document with this value; None if there is none."""
    if isinstance(value, datetime):
        return "timestamp"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return "milliseconds" if value > _YEAR_5138_S else "seconds"
