"""A crowd is gone through in small groups, in the order in which its members came, while they come and go."""

from service.runtime.crowd import GROUP, Crowd


def crowd(count: int) -> Crowd[int]:
    made: Crowd[int] = Crowd()
    for member in range(count):
        made.add(member)
    return made


def test_members_are_met_in_the_order_they_came_and_no_group_is_large() -> None:
    groups = list(crowd(1_000).groups())
    assert [member for group in groups for member in group] == list(range(1_000))
    assert max(map(len, groups)) == GROUP <= 128


def test_whoever_leaves_meanwhile_is_met_no_more_and_nobody_else_is_missed() -> None:
    here = crowd(1_000)
    met: list[int] = []
    for group in here.groups():
        met += group
        for leaving in range(group[-1] - 3, group[-1] + 4):
            here.discard(leaving)
        here.add(1_000 + group[0])
    left = {member for first in range(0, 1_000, GROUP) for member in range(first + GROUP, first + GROUP + 3)}
    assert [member for member in met if member < 1_000] == [number for number in range(1_000) if number not in left]


def test_an_empty_crowd_is_nobody() -> None:
    here = crowd(GROUP + 1)
    assert (len(here), bool(here), list(here)[-1]) == (GROUP + 1, True, GROUP)
    for member in range(GROUP + 1):
        here.discard(member)
    here.discard(7)
    assert (len(here), bool(here), list(here)) == (0, False, [])
