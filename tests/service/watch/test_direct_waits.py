"""Waits without a task: each client is completed once, whatever the completion of another does."""

import pytest
from google.cloud.firestore_v1 import AsyncCollectionReference

from service.api.caller import SEES_EVERYTHING
from service.api.waits import Wanted
from service.reads.answers import Answer
from service.watch.long_poll_waiter import LongPollWaiter, WaitCondition
from tests.service.running import RunningService
from tests.service.virtual_time import settle
from tests.service.watch.test_long_poll import held, put
from tests.waiting import until

CLIENTS = 100


class Clients:
    """CLIENTS that wait for one process. The first completion makes others leave that come later in the order."""

    def __init__(self, running: RunningService, version: int, leavers: range) -> None:
        self.completed: list[tuple[int, Answer | None]] = []
        self._leavers = leavers
        self._waiters = [self._begin(running, version, number) for number in range(CLIENTS)]

    def _begin(self, running: RunningService, version: int, number: int) -> LongPollWaiter:
        condition = WaitCondition(SEES_EVERYTHING, 60, Wanted(), f'"v{version}"')
        waiter = running.service._long_polls.begin("import-1", condition, lambda answer: self._complete(number, answer))
        assert isinstance(waiter, LongPollWaiter)
        return waiter

    def _complete(self, number: int, answer: Answer | None) -> None:
        self.completed.append((number, answer))
        self._waiters[number].leave()
        for leaver in self._leavers if len(self.completed) == 1 else ():
            self._waiters[leaver].leave()


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
@pytest.mark.parametrize("end", [True, False], ids=["the service ends", "a change"])
async def test_waiters_that_left_are_not_completed_and_all_others_are(
    running: RunningService, collection: AsyncCollectionReference, end: bool
) -> None:
    version = await held(running, collection)
    clients = Clients(running, version, leavers=range(50, 55))
    if end:
        running.service.watchers.stop()
    else:
        await put(collection, "import-1", "completed")
    await until(lambda: running.service.watchers.count == 0, "no request waits")
    await settle()
    assert [number for number, _ in clients.completed] == [*range(50), *range(55, CLIENTS)]
    assert all(answer is not None for _, answer in clients.completed)
