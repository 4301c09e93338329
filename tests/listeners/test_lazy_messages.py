"""Of a large document only what is wanted is parsed, and what is wanted is the same."""

from typing import Any

import pytest
from google.protobuf.message import DecodeError

from listeners.lazy_messages import LARGE_BYTES, parse_batch_get, parse_lazy_value, parse_listen, parse_value
from tests.listeners.responses import FIELDS, Response, changed, point

NO_VALUE = b"\x0a\xff"
"""A field's tag, a length that is not there: no message."""


def with_text(**fields: str) -> Any:
    response = changed("a", 7)
    for name, text in fields.items():
        response.document_change.document.fields[name].string_value = text
    return response


def with_bytes(response: Any, name: bytes, value: bytes) -> bytes:
    """The response's document with one field more, whatever its bytes are."""
    entry = b"\x0a" + bytes([len(name)]) + name + b"\x12" + _varint(len(value)) + value
    field = b"\x12" + _varint(len(entry)) + entry
    document = response.document_change.document.SerializeToString() + field
    change = b"\x0a" + _varint(len(document)) + document + b"\x2a\x01\x01"
    response_bytes: bytes = b"\x1a" + _varint(len(change)) + change
    return response_bytes


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def test_a_large_document_keeps_the_wanted_fields_and_the_rest_unparsed() -> None:
    sent = with_text(status="running", products="x" * LARGE_BYTES)
    sent.document_change.removed_target_ids.append(3)
    sent.document_change.document.create_time.seconds = 5
    read = parse_listen(sent.SerializeToString(), FIELDS)
    del sent.document_change.document.fields["products"]
    assert read == sent
    assert type(read) is Response


def test_what_is_not_wanted_of_a_large_document_is_never_parsed() -> None:
    raw = with_bytes(with_text(status="running"), b"products", NO_VALUE * LARGE_BYTES)
    with pytest.raises(DecodeError):
        Response.FromString(raw)
    read = parse_listen(raw, FIELDS)
    assert read.document_change.document.fields["status"].string_value == "running"
    assert list(read.document_change.target_ids) == [1]


def test_a_small_document_is_parsed_as_it_is() -> None:
    sent = with_text(status="running", other="x")
    assert parse_listen(sent.SerializeToString(), FIELDS) == sent


def test_a_large_message_of_another_kind_is_parsed_as_it_is() -> None:
    sent = point(7, b"t" * LARGE_BYTES)
    assert parse_listen(sent.SerializeToString(), FIELDS) == sent


def test_bytes_that_are_no_message_are_refused_whatever_their_size() -> None:
    for raw in (NO_VALUE, NO_VALUE * LARGE_BYTES):
        with pytest.raises(DecodeError):
            parse_listen(raw, FIELDS)


def test_the_answer_to_a_get_has_values_as_bytes() -> None:
    from google.cloud.firestore_v1.types import BatchGetDocumentsResponse

    sent = BatchGetDocumentsResponse.pb()()
    sent.found.name = "a/b"
    sent.found.fields["n"].array_value.values.add().integer_value = 5
    sent.found.update_time.seconds, sent.read_time.nanos = 7, 9
    read = parse_batch_get(sent.SerializeToString())
    assert (read.found.name, read.found.update_time.seconds, read.read_time.nanos) == ("a/b", 7, 9)
    lazy = parse_lazy_value(read.found.fields["n"])
    assert [parse_value(value).integer_value for value in lazy.array_value.values] == [5]
    sent.missing = "a/b"
    assert not parse_batch_get(sent.SerializeToString()).HasField("found")
