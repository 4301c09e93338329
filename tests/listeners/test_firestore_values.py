"""Raw values as events have them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.cloud.firestore_v1.types import Document as DocumentType
from google.cloud.firestore_v1.types import Value as ValueType

from listeners.firestore_values import UNDECODED, DocumentDecoder, microseconds, value_of
from tests.listeners.responses import COLLECTION
from tests.listeners.wanted import wanted

Value: Any = ValueType.pb()
RawDocument: Any = DocumentType.pb()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Value(null_value=0), None),
        (Value(boolean_value=False), False),
        (Value(integer_value=-(2**63)), -(2**63)),
        (Value(double_value=1.5), 1.5),
        (Value(string_value=""), ""),
        (Value(string_value="ä"), "ä"),
        (Value(bytes_value=b"\0"), b"\0"),
        (Value(timestamp_value={"seconds": 0, "nanos": 1_999}), datetime(1970, 1, 1, 0, 0, 0, 1, UTC)),
        (Value(timestamp_value={"seconds": -1, "nanos": 999_999_000}), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)),
        (Value(timestamp_value={"seconds": -62135596800}), datetime(1, 1, 1, tzinfo=UTC)),
        (Value(timestamp_value={"seconds": 253402300799}), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (Value(timestamp_value={"seconds": 253402300800}), UNDECODED),
        (Value(array_value={}), UNDECODED),
        (Value(map_value={}), UNDECODED),
        (Value(geo_point_value={}), UNDECODED),
        (Value(reference_value="projects/p"), UNDECODED),
        (Value(), UNDECODED),
    ],
)
def test_a_value_is_what_events_promise(value: Any, expected: object) -> None:
    found = value_of(value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_document_has_only_the_fields_asked_for_and_only_those_it_has() -> None:
    raw = RawDocument(name=f"{COLLECTION}/a")
    raw.fields["status"].string_value = "done"
    raw.fields["products"].array_value.values.add().integer_value = 1
    decoder = DocumentDecoder(wanted("status", "end_time").of_message)
    document = decoder.decode("a", 5, raw)
    assert (document.id, document.update_time, document.fields) == ("a", 5, {"status": "done"})
    assert "end_time" not in raw.fields  # to look for a field must not create it


def test_times_are_whole_microseconds() -> None:
    assert microseconds(Value(timestamp_value={"seconds": 2, "nanos": 3_999}).timestamp_value) == 2_000_003
