"""Firestore document → ProcessSummary. Pure.

Documents come from many writers, so decoding is tolerant: what can't be read becomes null and its field is named
in `malformed`; nothing raises, whatever a document holds. The rendered JSON is made here, once per version.
"""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from listeners.gc_untrack import untrack
from listeners.times import microseconds, moment
from service.api.list_query import Position, position_of
from service.runtime.times import render_time

SUMMARY_FIELDS = (
    "status",
    "start_time",
    "end_time",
    "last_updated",
    "csv_url",
    "products_processed",
    "products_failed",
)

_INT64 = range(-(2**63), 2**63)
_CANONICAL_LENGTH = len("2026-11-23T09:30:00Z")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-]\d\d:\d\d))?", re.ASCII)


@dataclass(slots=True)
class ProcessSummary:
    """One version of one process, ready to send. Never changed once made.

    `version` is the document's update time in microseconds. `position` is None where `start_time` has not the type
    that lists hold. `body` is the JSON of the 200 answer; a list's row is that without `csv_url`, which stands from
    `csv_from` to `csv_to`.
    """

    process_id: str
    version: int
    status: str | None
    position: Position | None
    body: bytes
    csv_from: int
    csv_to: int

    @property
    def row(self) -> bytes:
        """The process as a list shows it, as JSON."""
        return self.body[: self.csv_from] + self.body[self.csv_to :]


def summarize(
    process_id: str,
    version: int,
    fields: Mapping[str, object],
    start_time_type: Literal["timestamp", "string"],
) -> tuple[ProcessSummary, tuple[str, ...]]:
    """Decode one document's fields. Returns the summary and the names of the fields that could not be read."""
    malformed: list[str] = []

    def read(name: str, reader: Any) -> Any:
        value = fields.get(name)
        if value is None:
            return None
        result = reader(value)
        if result is None:
            malformed.append(name)
        return result

    status = read("status", _text)
    head = orjson.dumps(
        {
            "process_id": process_id,
            "status": status,
            "start_time": read("start_time", read_time_text),
            "end_time": read("end_time", read_time_text),
            "last_updated": read("last_updated", read_time_text),
        }
    )[:-1]
    csv_url = b',"csv_url":' + orjson.dumps(read("csv_url", _text))
    counts = orjson.dumps(
        {
            "products_processed": read("products_processed", _count),
            "products_failed": read("products_failed", _count),
        }
    )
    summary = ProcessSummary(
        process_id=process_id,
        version=version,
        status=sys.intern(status) if status is not None and type(status) is str else status,
        position=_position(process_id, fields.get("start_time"), start_time_type),
        body=b"".join((head, csv_url, b",", counts[1:])),
        csv_from=len(head),
        csv_to=len(head) + len(csv_url),
    )
    untrack(summary)
    if summary.position is not None:
        untrack(summary.position)
    return summary, tuple(malformed)


def _position(process_id: str, start_time: object, start_time_type: str) -> Position | None:
    if start_time_type == "timestamp":
        return position_of(microseconds(start_time), process_id) if isinstance(start_time, datetime) else None
    return position_of(start_time, process_id) if isinstance(start_time, str) else None


def read_time_text(value: object) -> str | None:
    """A timestamp, an RFC 3339 string (UTC where it names no offset) or epoch seconds, rendered; None otherwise."""
    try:
        if isinstance(value, datetime):
            return render_time(value)
        if isinstance(value, str):
            return _time_of_text(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return render_time(moment(round(value * 1_000_000)))
    except (ValueError, OverflowError):
        pass  # a date that does not exist, or one outside the years that can be written
    return None


def _time_of_text(text: str) -> str | None:
    if len(text) == _CANONICAL_LENGTH and text[-1] == "Z":  # as most writers write it: checked without the pattern
        parsed = datetime.fromisoformat(text)
        if parsed.isoformat()[: -len("+00:00")] + "Z" == text:
            return text
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    date, time, fraction, _, offset = match.groups()
    parsed = datetime.fromisoformat(f"{date}T{time}.{(fraction or '0')[:6]:0<6}{offset or '+00:00'}")
    return render_time(parsed)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and value in _INT64 else None


def with_products(summary: ProcessSummary, products: bytes) -> bytes:
    """The 200 body with its last key `products`, which are JSON already."""
    return b"".join((summary.body[:-1], b',"products":', products, b"}"))
