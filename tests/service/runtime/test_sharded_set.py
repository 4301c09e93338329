"""A set of many strings whose tables all stay small, and which is freed string by string."""

from service.runtime.sharded_set import SHARDS, ShardedSet


def test_it_holds_what_was_added_and_no_shard_is_large() -> None:
    held = ShardedSet()
    for number in range(20_000):
        held.add(f"p{number}")
        held.add(f"p{number}")
    assert len(held) == 20_000
    assert "p19999" in held
    assert "p20000" not in held
    assert max(map(len, held._shards.values())) < 500
    shard = max(held._shards.values(), key=len)
    assert len({hash(text) % SHARDS for text in shard}) > SHARDS // 2  # or nearly all would collide in its table


def test_it_is_drained_one_string_per_step() -> None:
    held = ShardedSet()
    for number in range(500):
        held.add(f"p{number}")
    assert [len(held) for _ in held.drain()] == list(reversed(range(500)))


def test_what_is_discarded_is_gone_and_what_is_not_there_can_be_discarded_too() -> None:
    held = ShardedSet()
    held.add("p1")
    held.discard("p2")
    assert "p1" in held
    held.discard("p1")
    assert ("p1" in held, len(held)) == (False, 0)


def test_it_can_be_looked_into_while_it_is_drained() -> None:
    held = ShardedSet()
    for number in range(20):
        held.add(f"p{number}")
    for number, _ in enumerate(held.drain()):
        assert f"q{number}" not in held
