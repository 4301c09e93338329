"""Waits without a task: who is told, once, whatever becomes of the others meanwhile."""

import pytest
from google.cloud.firestore_v1 import AsyncCollectionReference

from service.api.parameters import Wanted
from service.reads.answers import Answer
from service.watch.long_polls import Awaited, DirectWait
from tests.service.running import RunningService
from tests.service.virtual_time import settle
from tests.service.watch.test_long_poll import held, put
from tests.waiting import until

CROWD = 100


class Crowd:
    """So many wait for one process. The first one to be told makes others leave, who stand behind it."""

    def __init__(self, running: RunningService, version: int, leavers: range) -> None:
        self.told: list[tuple[int, Answer | None]] = []
        self._leavers = leavers
        self._waits = [self._begin(running, version, number) for number in range(CROWD)]

    def _begin(self, running: RunningService, version: int, number: int) -> DirectWait:
        awaited = Awaited(60, Wanted(), f'"v{version}"')
        wait = running.service._long_polls.begin("import-1", awaited, lambda answer: self._end(number, answer))
        assert isinstance(wait, DirectWait)
        return wait

    def _end(self, number: int, answer: Answer | None) -> None:
        self.told.append((number, answer))
        self._waits[number].leave()
        for leaver in self._leavers if len(self.told) == 1 else ():
            self._waits[leaver].leave()


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
@pytest.mark.parametrize("end", [True, False], ids=["the service ends", "a change"])
async def test_who_has_left_is_told_nothing_and_all_others_are(
    running: RunningService, collection: AsyncCollectionReference, end: bool
) -> None:
    version = await held(running, collection)
    crowd = Crowd(running, version, leavers=range(50, 55))
    if end:
        running.service.watchers.stop()
    else:
        await put(collection, "import-1", "completed")
    await until(lambda: running.service.watchers.count == 0, "nobody waits")
    await settle()
    assert [number for number, _ in crowd.told] == [*range(50), *range(55, CROWD)]
    assert all(answer is not None for _, answer in crowd.told)
