"""A set of many strings whose tables all stay small, and which is freed string by string."""

from service.runtime.sharded_set import ShardedSet


def test_it_holds_what_was_added_and_no_shard_is_large() -> None:
    held = ShardedSet()
    for number in range(20_000):
        held.add(f"p{number}")
        held.add(f"p{number}")
    assert len(held) == 20_000
    assert "p19999" in held
    assert "p20000" not in held
    assert max(map(len, held._shards.values())) < 500


def test_it_is_drained_one_string_per_step() -> None:
    held = ShardedSet()
    for number in range(500):
        held.add(f"p{number}")
    assert [len(held) for _ in held.drain()] == list(reversed(range(500)))
