"""A mirror of `/events` finds what contradicts, and what is missing in the end."""

import orjson
import pytest

from benchmarks.chaos.history import History, Version, Written
from benchmarks.chaos.mirror import Batch, Event, Mirror, Mirrors

WINDOW = 2
NOW_US = 1_000


class Firestore:
    """Processes with their versions; each commit is one unit of time after the last."""

    def __init__(self) -> None:
        self.history = History(1_000_000, WINDOW)
        self.now_us = 0

    def write(self, process_id: str, status: str = "running", start_us: int = 0) -> Version:
        self.now_us += 1
        self.history.add([Written(self.now_us, process_id, self.now_us, status, start_us)])
        return self.history.by_sequence[self.now_us]

    def delete(self, process_id: str) -> None:
        self.now_us += 1
        self.history.add([Written(self.now_us, process_id, 0)])


def shown(*versions: Version, event_id: int = NOW_US) -> Batch:
    return Batch(0, "replica", event_id, tuple(Event("status", version.body()) for version in versions))


def removed(process_id: str, *, deleted: bool | None = True, event_id: int = NOW_US) -> Batch:
    data = orjson.dumps({"process_id": process_id, "deleted": deleted})
    return Batch(0, "replica", event_id, (Event("removed", data),))


RESET = Batch(0, "replica", 1, (Event("reset", b"{}"),))


@pytest.fixture
def firestore() -> Firestore:
    return Firestore()


def test_a_mirror_that_is_told_all_equals_firestore(firestore: Firestore) -> None:
    mirrors = Mirrors(firestore.history, (None,))
    first, second, third = (firestore.write(each, start_us=n) for n, each in enumerate("abc"))
    mirrors.apply(shown(first, second))
    unwanted, unseen = mirrors.differences(NOW_US)
    assert unwanted == f"mirror 0: a: {first} where Firestore has None"
    assert unseen == f"mirror 0: c: None where Firestore has {third}"
    mirrors.apply(removed("a", deleted=False))
    mirrors.apply(shown(third))
    assert (mirrors.differences(NOW_US), mirrors.contradictions) == ([], [])


def test_a_row_that_was_deleted_and_never_removed_is_found(firestore: Firestore) -> None:
    mirrors = Mirrors(firestore.history, (None,))
    mirrors.apply(shown(firestore.write("a")))
    firestore.delete("a")
    assert len(mirrors.differences(NOW_US)) == 1


def test_a_row_that_left_the_filter_is_gone(firestore: Firestore) -> None:
    mirrors = Mirrors(firestore.history, ("running",))
    mirrors.apply(shown(firestore.write("a")))
    mirrors.apply(shown(firestore.write("a", "failed")))
    assert mirrors.each[0].rows == {}
    assert (mirrors.differences(NOW_US), mirrors.contradictions) == ([], [])


def test_an_older_version_is_a_contradiction_unless_a_reset_came_first(firestore: Firestore) -> None:
    old, new = firestore.write("a"), firestore.write("a")
    mirror = Mirror(None)
    assert mirror.apply(shown(new), firestore.history) == []
    assert mirror.apply(shown(new), firestore.history) == [], "at least once, not exactly once"
    (fault,) = mirror.apply(shown(old), firestore.history)
    assert fault.startswith("went back from 2")
    mirror.apply(RESET, firestore.history)
    assert mirror.apply(shown(old), firestore.history) == []


def test_what_was_deleted_does_not_come_back(firestore: Firestore) -> None:
    version, mirror = firestore.write("a"), Mirror(None)
    mirror.apply(shown(version), firestore.history)
    mirror.apply(removed("a"), firestore.history)
    assert len(mirror.apply(shown(version), firestore.history)) == 1
    mirror.apply(removed("a", deleted=False), firestore.history)
    assert mirror.apply(shown(version), firestore.history) == [], "it had only left the window"


def test_a_removal_from_before_what_is_shown_is_a_contradiction(firestore: Firestore) -> None:
    firestore.now_us = 10
    version, mirror = firestore.write("a"), Mirror(None)
    mirror.apply(shown(version), firestore.history)
    assert len(mirror.apply(removed("a", event_id=9), firestore.history)) == 1


def test_a_version_that_never_was_is_a_contradiction(firestore: Firestore) -> None:
    version, mirror = firestore.write("a"), Mirror(None)
    forged = Batch(0, "replica", 1, (Event("status", version.body().replace(b"running", b"failed")),))
    assert len(mirror.apply(forged, firestore.history)) == 1
