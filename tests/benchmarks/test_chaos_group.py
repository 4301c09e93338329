"""The chaos run of a collection group: same IDs below several parents, and foreign documents that no answer has."""

from benchmarks.chaos.checker import Bounds, Checker
from benchmarks.chaos.history import History, Query, Version, Written, rendered_page
from benchmarks.chaos.names import document_path, foreign_keys, process_keys
from benchmarks.chaos.questions import Answered, Batch, Question

FOREIGN = foreign_keys(1)[0]
KEYS = ("ann/a", "bob/a", "bob/b", FOREIGN)


def history() -> History:
    """One commit for each key, at the times 1, 2, …; the window has place for three documents."""
    firestore = History(0, 3)
    firestore.add(Written(at, key, at, "running", at) for at, key in enumerate(KEYS, start=1))
    return firestore


def judged(kind: str, target: str | Batch | Query, body: bytes, etag: str = "") -> int:
    """How much is wrong with the answer."""
    checker = Checker(history(), Bounds(1, 1, 1, 1))
    checker.check(Answered(Question(kind, target), 10, 10, 200, "MISS", 0, etag, body=body))
    return checker.verdicts.forbidden


def version(number: int) -> Version:
    return history().versions[KEYS[number]][0]


def page(*numbers: int) -> bytes:
    return rendered_page(map(version, numbers)) + b'"next_page_token":null}'


def test_processes_of_a_group_are_asked_for_by_parent() -> None:
    assert Question("status", "bob/a", wait_s=1).path == "/status/a?uid=bob&wait=1"
    assert Question("products", "bob/a").path == "/status/a?uid=bob&include_products=1"
    assert Question("batch", Batch(("bob/a", "bob/b"))).path == "/status?process_id=a&process_id=b&uid=bob"
    assert Question("list", Query(3, parent="bob")).path == "/status?limit=3&uid=bob"
    assert Question("batch", Batch(("a", "b"))).path == "/status?process_id=a&process_id=b"
    keys = process_keys(8, is_group=True)
    assert keys[4] == "user-0/process-001"
    assert document_path(keys[4]) == "users/user-0/webServiceLogs/process-001"


def test_an_answer_of_another_parent_is_wrong() -> None:
    assert judged("status", "bob/a", version(1).body(), '"v2"') == 0
    assert judged("status", "bob/a", version(0).body(), '"v2"') == 1
    batch = Batch(("bob/a", "bob/b"))
    rows = b'{"processes":[%b,%b],"count":2,"missing":[]}'
    assert judged("batch", batch, rows % tuple(version(each).row().encode() for each in (1, 2))) == 0
    assert judged("batch", batch, rows % tuple(version(each).row().encode() for each in (0, 2))) == 1


def test_a_list_holds_one_parents_rows_and_no_foreign_documents() -> None:
    assert judged("list", Query(9), page(2, 1, 0)) == 0
    assert judged("list", Query(9), page(3, 2, 1, 0)) == 1
    assert judged("list", Query(9, parent="bob"), page(2, 1)) == 0
    assert judged("list", Query(9, parent="bob"), page(2, 1, 0)) == 1


def test_foreign_documents_take_places_of_the_window() -> None:
    assert list(history().window(10)) == ["bob/a", "bob/b"]
