"""Faults of single calls: the next calls of one RPC fail, are late, or wait."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable

import grpc

from service.local_firestore.errors import FirestoreError
from service.local_firestore.fault import Fault

RPCS = frozenset(
    {
        "GetDocument",
        "BatchGetDocuments",
        "ListDocuments",
        "ListCollectionIds",
        "RunQuery",
        "RunAggregationQuery",
        "Commit",
        "BatchWrite",
        "CreateDocument",
        "UpdateDocument",
        "DeleteDocument",
        "BeginTransaction",
        "Rollback",
        "Write",
        "Listen",
    }
)


class CallFault(Fault):
    """A fault of the next calls of one RPC, or of their answers. `act` delays, holds or fails one of them."""

    def __init__(
        self,
        rpc: str,
        name: str,
        on_release: Callable[[Fault], None],
        times: int | None,
        act: Callable[["CallFault"], Awaitable[None]],
        *,
        is_of_answers: bool,
    ) -> None:
        super().__init__(name, on_release, times)
        self.rpc = rpc
        self.is_of_answers = is_of_answers
        self._act = act
        self._acting = 0

    async def act(self) -> None:
        """Affect one call. The last of the calls releases the fault when it is done."""
        self.strike()
        self._acting += 1
        try:
            await self._act(self)
        finally:
            self._acting -= 1
            if self.is_spent and not self._acting:
                self.release()


class CallFaults:
    """The faults that every call passes. `active` has every fault in force, also those of other kinds."""

    def __init__(self, active: list[Fault]) -> None:
        self._active = active
        self._by_rpc: defaultdict[str, list[CallFault]] = defaultdict(list)

    def fail_calls(
        self, rpc: str, code: grpc.StatusCode, *, calls: int | None = 1, detail: str = "failed by a fault"
    ) -> Fault:
        """Answer the next calls of one RPC with a status, without executing them. `calls` None: until released."""

        async def fail(fault: CallFault) -> None:
            raise FirestoreError(code, detail)

        return self._on_calls(rpc, "fail_calls", calls, fail)

    def delay_calls(self, rpc: str, delay_s: float, *, calls: int | None = 1) -> Fault:
        """Start the next calls of one RPC `delay_s` later, or when released."""

        async def delay(fault: CallFault) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await fault.released.wait()

        return self._on_calls(rpc, "delay_calls", calls, delay)

    def hold_calls(self, rpc: str, *, calls: int | None = None) -> Fault:
        """Accept the next calls of one RPC, and start them when released. `hits` is the number of waiting calls."""

        async def hold(fault: CallFault) -> None:
            await fault.released.wait()

        return self._on_calls(rpc, "hold_calls", calls, hold)

    def hold_answers(self, rpc: str, *, calls: int | None = None) -> Fault:
        """Execute the next calls of one RPC, and answer when released: by then the answer can be outdated."""
        if rpc in {"Listen", "Write"}:
            raise ValueError(f"{rpc} is a stream and has no answer to hold")

        async def hold(fault: CallFault) -> None:
            await fault.released.wait()

        return self._on_calls(rpc, "hold_answers", calls, hold, is_of_answers=True)

    def _on_calls(
        self,
        rpc: str,
        name: str,
        calls: int | None,
        act: Callable[[CallFault], Awaitable[None]],
        *,
        is_of_answers: bool = False,
    ) -> Fault:
        if rpc not in RPCS:
            raise ValueError(f"{rpc} is none of {', '.join(sorted(RPCS))}")

        def release(released: Fault) -> None:
            self._by_rpc[rpc].remove(fault)
            self._active.remove(released)

        fault = CallFault(rpc, name, release, calls, act, is_of_answers=is_of_answers)
        self._by_rpc[rpc].append(fault)
        self._active.append(fault)
        return fault

    async def gate(self, rpc: str) -> None:
        """Every call passes here first. Raises or waits if a fault is in force."""
        await self._pass(rpc, is_answer=False)

    async def gate_of_answer(self, rpc: str) -> None:
        """Every answer passes here before it is sent."""
        await self._pass(rpc, is_answer=True)

    async def _pass(self, rpc: str, *, is_answer: bool) -> None:
        faults = [fault for fault in self._by_rpc.get(rpc, ()) if fault.is_of_answers is is_answer]
        for fault in [fault for fault in faults if not fault.is_spent]:
            await fault.act()
