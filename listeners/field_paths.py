"""Firestore field paths, extended by indexes of arrays, and the values that they lead to. Pure.

Dots descend into maps and backticks quote a name, as in Firestore
(https://firebase.google.com/docs/firestore/reference, "FieldReference"); `[0]` and `[-1]` take one element of an array.
A `Projection` reads the values at some paths from a document, which is a protobuf message or Python values of the
client library. It reads nothing else of the document.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.cloud.firestore_v1 import GeoPoint
from google.cloud.firestore_v1.base_document import BaseDocumentReference
from google.cloud.firestore_v1.vector import Vector

from listeners.firestore_values import UNDECODED, Message, value_of

Step = str | int
"""A map's key, or an index of an array; negative indexes count from its end."""

_NAME = re.compile(r"`((?:[^`\\]|\\[`\\])+)`|([A-Za-z_][A-Za-z0-9_]*)")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_INDEX = re.compile(r"\[(-?[0-9]{1,9})\]")


class WrongPath(ValueError):
    """The text is no field path; the message says why."""


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A path: its text, and its steps. The first step is the name of a field of the document."""

    text: str
    steps: tuple[Step, ...]

    @property
    def root(self) -> str:
        """The field of the document with which the path begins."""
        return str(self.steps[0])

    @property
    def in_firestore(self) -> str | None:
        """The path as Firestore's queries take it; None if the path has an index, because queries cannot have one."""
        return None if any(isinstance(step, int) for step in self.steps) else self.text


def parse_field_path(text: str) -> FieldPath:
    """Parse a path. Raises: WrongPath."""
    steps: list[Step] = []
    place = 0
    while True:
        name = _NAME.match(text, place)
        if name is None:
            raise WrongPath(f"{text!r} is no field path: character {place + 1} begins no name; quote it with `…`")
        steps.append(re.sub(r"\\(.)", r"\1", name[1]) if name[1] is not None else name[2])
        place = name.end()
        while index := _INDEX.match(text, place):
            steps.append(int(index[1]))
            place = index.end()
        if place == len(text):
            return FieldPath(text, tuple(steps))
        if text[place] != ".":
            raise WrongPath(f"{text!r} is no field path: '.' or '[' is expected at character {place + 1}")
        place += 1


class Projection:
    """The values at some paths of a document: text of the path → value. Paths that lead nowhere are left out.

    Values are as in `Document.fields`. At the `structured` paths they are plain Python values at every depth: maps are
    dicts, arrays lists, references their paths, geo points dicts of `latitude` and `longitude`.
    """

    def __init__(self, paths: Iterable[FieldPath], structured: Collection[str] = ()) -> None:
        self.paths = tuple({path.text: path for path in paths}.values())
        self.roots = tuple(dict.fromkeys(path.root for path in self.paths))
        self._structured = frozenset(structured)
        self.structures = frozenset(
            path.root for path in self.paths if len(path.steps) > 1 or path.text in self._structured
        )
        """The roots whose maps or arrays can be needed; of all other roots only scalars are."""
        self._is_flat = all(path.steps == (path.text,) and path.text not in self._structured for path in self.paths)

    @property
    def mask(self) -> tuple[str, ...]:
        """The paths to request from Firestore, in reads that can return a part of a document. None contains another."""
        asked = {path.steps[: _leading_names(path)] for path in self.paths}
        outermost = [steps for steps in asked if not any(steps[:length] in asked for length in range(1, len(steps)))]
        return tuple(sorted(".".join(map(_quoted, steps)) for steps in outermost))

    def __repr__(self) -> str:
        return f"<Projection of {', '.join(path.text for path in self.paths)}>"

    def of_message(self, fields: Mapping[str, Message]) -> dict[str, object]:
        """The values from the fields of a document's message: a map from names to Value messages."""
        if self._is_flat:
            return {name: value_of(fields[name]) for name in self.roots if name in fields}
        found: dict[str, object] = {}
        for path in self.paths:
            if path.root not in fields:
                continue
            value = descend(fields[path.root], path.steps)
            if value is not None:
                found[path.text] = _plain(value) if path.text in self._structured else value_of(value)
        return found

    def of_values(self, values: Mapping[str, Any]) -> dict[str, object]:
        """The values from a document's Python values, as the client library returns them."""
        found: dict[str, object] = {}
        for path in self.paths:
            value: Any = values
            for step in path.steps:
                value = _step_into(value, step)
                if value is _NOWHERE:
                    break
            else:
                is_structured = path.text in self._structured
                found[path.text] = _plain_value(value) if is_structured else _scalar_value(value)
        return found


_NOWHERE = object()


def _leading_names(path: FieldPath) -> int:
    """The number of steps before the first index: a mask can contain only these."""
    return next((at for at, step in enumerate(path.steps) if isinstance(step, int)), len(path.steps))


def _quoted(name: Step) -> str:
    text = str(name)
    return text if _PLAIN.fullmatch(text) else "`" + re.sub(r"([\\`])", r"\\\1", text) + "`"


def descend(value: Message, steps: tuple[Step, ...]) -> Message | None:
    """The message at the path. `value` is the message at its first step."""
    for step in steps[1:]:
        if isinstance(step, str):
            if value.WhichOneof("value_type") != "map_value" or step not in value.map_value.fields:
                return None
            value = value.map_value.fields[step]
        else:
            elements = value.array_value.values if value.WhichOneof("value_type") == "array_value" else ()
            if not -len(elements) <= step < len(elements):
                return None
            value = elements[step]
    return value


def _plain(value: Message) -> object:
    match value.WhichOneof("value_type"):
        case "map_value":
            return {name: _plain(each) for name, each in value.map_value.fields.items()}
        case "array_value":
            return [_plain(each) for each in value.array_value.values]
        case "reference_value":
            return _relative(value.reference_value)
        case "geo_point_value":
            return {"latitude": value.geo_point_value.latitude, "longitude": value.geo_point_value.longitude}
        case _:
            return value_of(value)


def _relative(name: str) -> str:
    """The path of a document within its database, from its name."""
    return name.partition("/documents/")[2] or name


def _step_into(value: Any, step: Step) -> Any:
    if isinstance(step, str):
        return value.get(step, _NOWHERE) if isinstance(value, Mapping) else _NOWHERE
    if isinstance(value, list) and -len(value) <= step < len(value):
        return value[step]
    return _NOWHERE


def _scalar_value(value: Any) -> object:
    if isinstance(value, Mapping | list | BaseDocumentReference | GeoPoint | Vector):
        return UNDECODED
    return _plain_time(value) if isinstance(value, datetime) else value


def _plain_time(value: datetime) -> datetime:
    """The same as a plain datetime: the client library's own kind holds nanoseconds, which Firestore does not keep."""
    return datetime.combine(value.date(), value.time(), value.tzinfo)


def _plain_value(value: Any) -> object:
    if isinstance(value, Mapping):
        return {name: _plain_value(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain_value(each) for each in value]
    if isinstance(value, datetime):
        return _plain_time(value)
    if isinstance(value, BaseDocumentReference):
        return value.path
    if isinstance(value, Vector):
        return value.to_map_value()  # type: ignore[no-untyped-call]
    if isinstance(value, GeoPoint):
        return {"latitude": value.latitude, "longitude": value.longitude}
    return value
