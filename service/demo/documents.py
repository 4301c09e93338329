"""Documents of any schema, for simulated processes, as the programs of another company would write them. Pure.

If the schema has a small collection beside it (`jobs.json` beside `jobs.toml`, in the form of Firestore's REST API),
its documents are the templates: a simulated process looks like one with the same status, with its own times and counts.
Without such a file each key of the answers gets a value of its type.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

from google.cloud.firestore_v1._helpers import decode_dict
from google.cloud.firestore_v1.types import Document
from google.protobuf.json_format import ParseDict

from listeners.field_paths import FieldPath, parse_field_path
from service.api.description import Description, Kind
from service.demo.processes import SimulatedProcess
from service.schema.compiled import Schema
from service.schema.description import describe
from service.schema.schema_file import Answer, variable_in

Fields = dict[str, Any]

USUAL_WORDS: Mapping[Kind, str] = {"waiting": "queued", "running": "running"}
"""Words for statuses that a schema cannot name, because they end nothing."""
KINDS: Mapping[str, Kind] = {"pending": "waiting"}
"""The kinds of the simulation's statuses; the other statuses have the names of their kinds."""
NEXT_BEST: Mapping[Kind, Sequence[Kind]] = {
    "waiting": ("running",),
    "running": ("waiting",),
    "completed": ("cancelled", "failed"),
    "failed": ("cancelled", "completed"),
    "cancelled": ("failed", "completed"),
}


def read_templates(schema_file: Path) -> list[Fields]:
    """The documents beside a schema file; none if there is no such file."""
    collection = schema_file.with_suffix(".json")
    if not collection.exists():
        return []
    return [_python_values(fields) for fields in json.loads(collection.read_text()).values()]


def _python_values(fields: Fields) -> Fields:
    message = ParseDict({"fields": fields}, Document.pb()())
    values: Any = decode_dict(Document.wrap(message).fields, None)
    return dict(values)


class DocumentMaker:
    """Makes the document of a simulated process in its present state."""

    def __init__(self, schema: Schema, templates: Sequence[Fields] = ()) -> None:
        self._schema = schema
        self._described: Description = describe(schema.file)
        self._answers = {key: each for key, each in schema.file.answer.items() if variable_in(each.path) is None}
        self._paths = {key: parse_field_path(answer.path or key) for key, answer in self._answers.items()}
        self._templates = templates
        self._by_kind: dict[Kind, list[Fields]] = {}
        for template in templates:
            status = schema.summarize("", 1, schema.projection.of_values(template))[0].status
            self._by_kind.setdefault(self._described.kind(status), []).append(template)

    def fields(self, process: SimulatedProcess) -> Fields:
        """The document."""
        kind = KINDS.get(process.status) or _as_kind(process.status)
        fields = self._from_template(process, kind) if self._templates else self._from_types(process, kind)
        for key, answer in self._answers.items():
            self._set_role(fields, process, key, answer)
        order = self._schema.file.order
        _put(fields, self._schema.order_path, _time_as(order.type, process.start_time))
        children = self._schema.file.children.get("products")
        if children is not None and process.embeds_products:
            _put(fields, parse_field_path(children.path or "products"), process.fields()["products"])
        return fields

    def running_word(self) -> str:
        """A status of running processes."""
        if not self._templates:
            return self._word("running")
        [template] = self._alike("running")[:1]
        status = self._schema.summarize("", 1, self._schema.projection.of_values(template))[0].status
        return str(status)

    def _alike(self, kind: Kind) -> list[Fields]:
        return next(self._by_kind[each] for each in (kind, *NEXT_BEST[kind], *self._by_kind) if each in self._by_kind)

    def _from_template(self, process: SimulatedProcess, kind: Kind) -> Fields:
        """A template with the same status. The values of filters stay the same for the whole life of the process."""
        number = crc32(process.id.encode())
        alike = self._alike(kind)
        fields = deepcopy(alike[number % len(alike)])
        own = self._schema.projection.of_values(self._templates[number % len(self._templates)])
        for path in self._schema.filter_paths.values():
            if path.text in own and path.text != self._paths["status"].text:
                _put(fields, path, own[path.text])
        return fields

    def _from_types(self, process: SimulatedProcess, kind: Kind) -> Fields:
        fields: Fields = {}
        number = crc32(process.id.encode()) % 5
        for key, answer in self._answers.items():
            value: Any = {
                "string": f"{key}-{number}",
                "time": process.start_time,
                "integer": number,
                "number": number / 2,
                "boolean": number % 2 == 0,
                "json": {"number": number},
            }[answer.type]
            _put(fields, self._paths[key], value)
        for name, path in self._schema.filter_paths.items():
            _put(fields, path, number if self._schema.file.filters[name].type == "integer" else f"{name}-{number}")
        _put(fields, self._paths["status"], self._raw(self._word(kind)))
        return fields

    def _word(self, kind: Kind) -> str:
        """A status of this kind, or of a similar kind, in the words of the answers."""
        words = [*self._schema.file.status.names.values(), *self._described.terminal]
        for each in (kind, *NEXT_BEST[kind]):
            found = next((word for word in words if self._described.kind(word) == each), USUAL_WORDS.get(each))
            if found is not None:
                return found
        return self._described.terminal[0] if self._described.terminal else "ended"

    def _raw(self, word: str) -> str | int:
        """The same in the form of the documents: an integer if the schema gives names to integers."""
        return self._schema.raw_statuses(word)[-1]

    def _set_role(self, fields: Fields, process: SimulatedProcess, key: str, answer: Answer) -> None:
        roles = self._described.roles
        path, has_begun = self._paths[key], process.status != "pending"
        handled = 1.0 if process.status == "completed" else (process.processed + process.failed) / process.size
        role = next((role for role, named in roles.items() if named == key), None)
        match role:
            case "started":
                _put(fields, path, self._time(key, answer, process.start_time if has_begun else None, process))
            case "ended":
                _put(fields, path, self._time(key, answer, process.end_time, process))
            case "updated":
                _put(fields, path, self._time(key, answer, process.last_updated, process))
            case "progress":
                _put(fields, path, round(handled * self._described.progress_of, 2))
            case "processed":
                _put(fields, path, process.processed)
            case "failed":
                _put(fields, path, process.failed)
            case "total":
                _put(fields, path, process.size)
            case "error" if process.status != "failed":
                _put(fields, path, None)

    def _time(self, key: str, answer: Answer, time: datetime | None, process: SimulatedProcess) -> Any:
        if time is None:
            return 0 if answer.zero_is_null else None
        if answer.unit is not None:
            return _time_as("milliseconds" if answer.unit == "ms" else "seconds", time)
        found = [self._schema.projection.of_values(each).get(self._paths[key].text) for each in self._templates]
        kinds = {type(value) for value in found if value is not None and value != 0}
        if str in kinds and (len(kinds) == 1 or process.status == "pending"):  # some programs first write a text
            return _time_as("string", time)
        return time if not kinds or datetime in kinds else _time_as("seconds", time)


def _as_kind(status: str) -> Kind:
    kinds: Mapping[str, Kind] = {each: each for each in NEXT_BEST}
    return kinds[status]


def _time_as(type_: str, time: datetime) -> Any:
    if type_ == "timestamp":
        return time
    if type_ == "string":
        return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return round(time.timestamp() * (1000 if type_ == "milliseconds" else 1))


def _put(fields: Fields, path: FieldPath, value: Any) -> None:
    """Set the value at a path or, with None, remove it. Missing maps and one-element arrays are made."""
    place: Any = fields
    for step, next_step in zip(path.steps, path.steps[1:], strict=False):
        if isinstance(step, str) and not isinstance(place.get(step), dict | list):
            if value is None:
                return
            place[step] = {} if isinstance(next_step, str) else [{}]
        place = place[step]
    last = path.steps[-1]
    if value is not None:
        place[last] = value
    elif isinstance(last, str):
        place.pop(last, None)
