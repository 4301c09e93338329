"""Numbers in order: as a sorted list has them, whatever came and went."""

from bisect import bisect_left, insort
from random import Random

from service.runtime.sorted_numbers import CHUNK, SortedNumbers


def test_numbers_are_ordered_as_in_a_sorted_list() -> None:
    rng, numbers, expected = Random(1), SortedNumbers(), list[float]()
    for step in range(4 * CHUNK):
        if expected and rng.random() < (0.2 if step < 3 * CHUNK else 0.9):
            gone = rng.choice(expected)
            expected.remove(gone)
            numbers.remove(gone)
        else:
            number = float(rng.randrange(CHUNK))
            insort(expected, number)
            numbers.add(number)
        if step % 97 == 0 and expected:
            assert len(numbers) == len(expected)
            place, bound = rng.randrange(len(expected)), rng.randrange(CHUNK)
            assert numbers[place] == expected[place]
            assert numbers.count_below(bound) == bisect_left(expected, bound)
    assert [numbers[place] for place in range(len(numbers))] == expected
    for number in expected:
        numbers.remove(number)
    assert (len(numbers), numbers.count_below(CHUNK)) == (0, 0)
