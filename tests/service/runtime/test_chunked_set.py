"""Members are visited in small chunks, in the order of insertion, while members come and go."""

from service.runtime.chunked_set import CHUNK, ChunkedSet


def filled(count: int) -> ChunkedSet[int]:
    made: ChunkedSet[int] = ChunkedSet()
    for member in range(count):
        made.add(member)
    return made


def test_members_are_visited_in_order_and_no_chunk_is_large() -> None:
    chunks = list(filled(1_000).chunks())
    assert [member for chunk in chunks for member in chunk] == list(range(1_000))
    assert max(map(len, chunks)) == CHUNK <= 128


def test_a_walk_skips_members_that_left_and_misses_no_other() -> None:
    members = filled(1_000)
    visited: list[int] = []
    for chunk in members.chunks():
        visited += chunk
        for leaving in range(chunk[-1] - 3, chunk[-1] + 4):
            members.discard(leaving)
        members.add(1_000 + chunk[0])
    left = {member for first in range(0, 1_000, CHUNK) for member in range(first + CHUNK, first + CHUNK + 3)}
    remaining = [number for number in range(1_000) if number not in left]
    assert [member for member in visited if member < 1_000] == remaining


def test_an_emptied_set_is_empty() -> None:
    members = filled(CHUNK + 1)
    assert (len(members), bool(members), list(members)[-1]) == (CHUNK + 1, True, CHUNK)
    for member in range(CHUNK + 1):
        members.discard(member)
    members.discard(7)
    assert (len(members), bool(members), list(members)) == (0, False, [])
