"""Remembered reads each key once, within its bound."""

from service.runtime.remembered import Remembered


def test_a_key_is_read_once() -> None:
    read: list[str] = []

    def length(key: str) -> int:
        read.append(key)
        return len(key)

    remembered = Remembered(length, 10)
    assert [remembered[key] for key in ("a", "bb", "a", "bb")] == [1, 2, 1, 2]
    assert read == ["a", "bb"]
    remembered.clear()
    assert remembered["a"] == 1
    assert read == ["a", "bb", "a"]


def test_what_is_remembered_never_weighs_more_than_the_limit() -> None:
    remembered: Remembered[int, int] = Remembered(lambda key: key, 10, lambda key, _: key)
    for key in (1, 2, 3, 4, 5, 6, 7):
        assert remembered[key] == key
        assert sum(remembered) <= 10
    assert list(remembered) == [7]
    assert remembered[3] == 3
    assert list(remembered) == [7, 3]


def test_what_alone_is_over_the_limit_is_not_kept_and_displaces_nothing() -> None:
    remembered: Remembered[int, int] = Remembered(lambda key: key, 10, lambda key, _: key)
    assert [remembered[key] for key in (4, 11)] == [4, 11]
    assert list(remembered) == [4]
