"""A set of many strings none of whose tables is large, let go of one by one."""

from service.runtime.sharded_set import PartedSet


def test_it_holds_what_was_added_and_no_part_of_it_is_large() -> None:
    held = PartedSet()
    for number in range(20_000):
        held.add(f"p{number}")
        held.add(f"p{number}")
    assert len(held) == 20_000
    assert "p19999" in held
    assert "p20000" not in held
    assert max(map(len, held._parts)) < 500


def test_it_is_drained_one_a_step() -> None:
    held = PartedSet()
    for number in range(500):
        held.add(f"p{number}")
    assert [len(held) for _ in held.drain()] == list(reversed(range(500)))
