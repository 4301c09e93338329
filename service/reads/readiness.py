"""Whether this replica can answer: from the model, or with direct reads that are proven to work."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from listeners.listener import ListenerState
from service.api.caller import SEES_EVERYTHING
from service.errors import BudgetExhausted, ReadRefused, Unreachable
from service.model.read_model import ReadModel
from service.reads.read_through import ReadThrough

PROVEN_FOR_S = 10.0
"""How long a successful direct read counts as a proof: longer than one read can take."""


_REFUSED = "Firestore refuses direct reads; the log has its reason"
_UNREACHABLE = "Firestore can't be reached"


class DirectReads(StrEnum):
    """Proven: a direct read has succeeded recently. Failing: reads are known to fail now. Unproven: neither."""

    PROVEN = "proven"
    FAILING = "failing"
    UNPROVEN = "unproven"


class SupervisedListener(Protocol):
    """The part of the listener's supervisor that this module uses."""

    @property
    def state(self) -> ListenerState:
        """The present state."""

    @property
    def reason(self) -> str:
        """The reason: a short word, followed by details that only the log may show."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of /readyz. `confirmed_s_ago` is None before the first sync."""

    ready: bool
    reason: str
    listener_kind: str
    listener_state: str
    listener_reason: str
    documents: int
    confirmed_s_ago: float | None
    model_trusted: bool
    direct_reads: DirectReads


class ReadinessCheck:
    """Asks the model first.

    It makes a direct read only while the model cannot answer; checks share the read's result.
    """

    def __init__(
        self,
        model: ReadModel,
        listener: SupervisedListener,
        listener_kind: str,
        reads: ReadThrough,
        trouble: Callable[[], str] = lambda: "",
    ) -> None:
        """`trouble` returns a further problem to report although this replica can answer; "" if there is none."""
        self._model = model
        self._listener = listener
        self._listener_kind = listener_kind
        self._reads = reads
        self._trouble = trouble

    async def check(self) -> Readiness:
        """Never raises because of Firestore's failures: they are the answer."""
        ready, reason = True, "the model is confirmed"
        if not self._model.is_trusted():
            ready, reason = await self._direct_reads_work()
        age_s = self._model.age_s
        return Readiness(
            ready=ready,
            reason="; ".join(filter(None, (reason, self._trouble()))),
            listener_kind=self._listener_kind,
            listener_state=self._listener.state.value,
            listener_reason=self._listener.reason.partition(":")[0],
            documents=len(self._model),
            confirmed_s_ago=None if age_s is None else round(age_s, 3),
            model_trusted=self._model.is_trusted(),
            direct_reads=self._direct_reads(),
        )

    def _direct_reads(self) -> DirectReads:
        if not self._reads.circuit.is_closed:
            return DirectReads.FAILING
        since_s = self._reads.since_success_s
        return DirectReads.PROVEN if since_s is not None and since_s <= PROVEN_FOR_S else DirectReads.UNPROVEN

    async def _direct_reads_work(self) -> tuple[bool, str]:
        why = "the model is not synced yet" if not self._model.has_synced else "the model's lease has lapsed"
        is_closed = self._reads.circuit.is_closed
        if is_closed and self._reads.remembered(self._reads.proof_key, SEES_EVERYTHING) is not None:
            return True, f"{why}; direct reads work"
        try:
            await self._reads.get(self._reads.proof_key, SEES_EVERYTHING)
        except BudgetExhausted:
            is_proven = self._direct_reads() is DirectReads.PROVEN
            return is_proven, f"{why}; direct reads are at the limit of their budget"
        except ReadRefused:
            return False, f"{why}, and {_REFUSED}"
        except Unreachable:
            return False, f"{why}, and {_REFUSED if self._reads.circuit.is_refused else _UNREACHABLE}"
        return True, f"{why}; direct reads work"
