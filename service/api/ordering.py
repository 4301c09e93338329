"""The order of lists: a document's value as a key, a key as Firestore's value, a date as a bound. Pure.

Keys compare as Firestore compares values of the order's type. Values of other types have no key: documents with them
are in no list, and the range filter `>= smallest` keeps them out of Firestore's queries too.
"""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from listeners.times import microseconds, moment
from listeners.window import Ordering
from service.runtime.times import render_time

Key = int | float | str

_MICROSECONDS = {"milliseconds": 1_000, "seconds": 1_000_000}


class Order(Ordering):
    """The ordering field, with the meaning of its values."""

    __slots__ = ()

    def key_reader(self) -> Callable[[object], Key | None]:
        """The function from a document's value to a key; it returns None for a value of another type."""
        if self.type == "timestamp":
            return lambda value: microseconds(value) if isinstance(value, datetime) else None
        if self.type == "string":
            return lambda value: value if isinstance(value, str) else None
        return _number

    def value(self, key: Key) -> Any:
        """The value in Firestore for a key."""
        return moment(key) if self.type == "timestamp" else key  # type: ignore[arg-type] # its keys are integers

    def is_key(self, key: object) -> bool:
        """Whether a value is a key of this order. A page token can contain any value."""
        if self.type == "string":
            return isinstance(key, str)
        if self.type != "timestamp":
            return _number(key) is not None
        try:
            return type(key) is int and moment(key) is not None
        except OverflowError:
            return False

    def following(self, key: Key) -> Key:
        """The next key after this one. With it as the bound, `<` means the same as `<=` this key."""
        if isinstance(key, str):
            return key + "\0"
        return int(key) + 1 if self.type == "timestamp" else math.nextafter(key, math.inf)

    def lower_bound(self, instant: datetime, day: str | None) -> Key:
        """The least key of an instant, inclusive. `day`: the date whose midnight the instant is, as text.

        Texts are compared as texts, so the bound is the shortest text of the instant. Every other way to write it, with
        a fraction or an offset, comes at or after that.
        """
        if self.type == "string":
            return day or render_time(instant).removesuffix("Z")
        return self._time(instant)

    def upper_bound(self, instant: datetime) -> Key:
        """The greatest key of an instant, inclusive."""
        return render_time(instant) if self.type == "string" else self._time(instant)

    def _time(self, instant: datetime) -> Key:
        key = microseconds(instant)
        if self.type == "timestamp":
            return key
        per_unit = _MICROSECONDS[self.type]
        return key // per_unit if key % per_unit == 0 else key / per_unit


def _number(value: object) -> Key | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if isinstance(value, float) and math.isnan(value) else value
