"""Whether this replica can answer: from the model, or by direct reads that are proven to work."""

import logging
from dataclasses import dataclass
from typing import Protocol

from listeners.listener import ListenerState
from service.errors import BudgetExhausted, ReadRefused, Unreachable
from service.model.read_model import ReadModel
from service.reads.firestore_reader import PROOF_ID
from service.reads.read_through import ReadThrough

log = logging.getLogger(__name__)

PROVEN_FOR_S = 10.0
"""How long a direct read's success counts as a proof where the budget allows no other: longer than one may hang."""


class SupervisedListener(Protocol):
    """What is asked of the listener's supervisor."""

    @property
    def state(self) -> ListenerState:
        """What it is doing."""

    @property
    def reason(self) -> str:
        """Why: a short word, then what only the log may show."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of /readyz, `confirmed_s_ago` None before the first sync."""

    ready: bool
    reason: str
    listener_kind: str
    listener_state: str
    listener_reason: str
    documents: int
    confirmed_s_ago: float | None
    model_trusted: bool


class ReadinessCheck:
    """Asks the model first; a direct read is made only while the model can't answer, and shared and remembered."""

    def __init__(self, model: ReadModel, listener: SupervisedListener, listener_kind: str, reads: ReadThrough) -> None:
        self._model = model
        self._listener = listener
        self._listener_kind = listener_kind
        self._reads = reads

    async def check(self) -> Readiness:
        """Never raises for what Firestore does: that is the answer."""
        ready, reason = True, "the model is confirmed"
        if not self._model.is_trusted():
            ready, reason = await self._direct_reads_work()
        age_s = self._model.age_s
        return Readiness(
            ready=ready,
            reason=reason,
            listener_kind=self._listener_kind,
            listener_state=self._listener.state.value,
            listener_reason=self._listener.reason.partition(":")[0],
            documents=len(self._model),
            confirmed_s_ago=None if age_s is None else round(age_s, 3),
            model_trusted=self._model.is_trusted(),
        )

    async def _direct_reads_work(self) -> tuple[bool, str]:
        why = "the model is not synced yet" if not self._model.has_synced else "the model's lease has lapsed"
        if self._reads.remembered(PROOF_ID, include_products=False) is not None:
            return True, f"{why}; direct reads work"
        try:
            await self._reads.get(PROOF_ID, include_products=False)
        except BudgetExhausted:
            since_s = self._reads.since_success_s
            proven = since_s is not None and since_s <= PROVEN_FOR_S
            return proven, f"{why}; direct reads are at the limit of their budget"
        except Unreachable as error:
            log.warning("not ready: %s, and Firestore can't be reached: %s", why, error)
            return False, f"{why}, and Firestore can't be reached"
        except ReadRefused as error:
            log.error("not ready: %s, and Firestore refuses direct reads: %s", why, error)
            return False, f"{why}, and Firestore refuses direct reads; the log has its reason"
        return True, f"{why}; direct reads work"
