"""Firestore's messages, parsed so that field values and array elements stay bytes.

A document can have 1 MiB. Parsing all of it takes 4 to 12 ms, and the event loop would wait meanwhile. On the wire, a
message inside a message is a length and bytes. So the same data can be parsed with `bytes` declared where Firestore
declares a message. This takes 0.3 ms, and the consumer parses the values that it needs. Fields that are not declared
here are kept unchanged (https://protobuf.dev/programming-guides/encoding/, "Unknown Fields").
"""

from collections.abc import Collection

from google.cloud.firestore_v1.types import ListenResponse, Value
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from listeners.firestore_values import Message

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "process_status_lazy"

LARGE_BYTES = 16 * 1024
"""A message smaller than this is parsed whole: that is faster than looking for parts to skip."""


def _declare(file: descriptor_pb2.FileDescriptorProto, message: str, **fields: tuple[int, str]) -> Message:
    """Declare a message. A field is a number and a type: `bytes`, `string`, `[bytes]`, or a message's full name."""
    declared = file.message_type.add(name=message)
    for field_name, (number, kind) in fields.items():
        field = declared.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
        if kind.startswith("["):
            field.label = _Field.LABEL_REPEATED
        plain = {"bytes": _Field.TYPE_BYTES, "string": _Field.TYPE_STRING}.get(kind.strip("[]"))
        field.type = plain or _Field.TYPE_MESSAGE
        if plain is None:
            field.type_name = f".{kind.strip('[]')}"
    return declared


def _declarations() -> descriptor_pb2.FileDescriptorProto:
    """The numbers of the fields come from google/firestore/v1/{firestore,write,document}.proto."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    file.dependency.append(timestamp_pb2.DESCRIPTOR.name)
    time = timestamp_pb2.Timestamp.DESCRIPTOR.full_name
    entries = f"{_PACKAGE}.Document.FieldsEntry"
    document = _declare(file, "Document", name=(1, "string"), fields=(2, f"[{entries}]"), update_time=(4, time))
    entry = document.nested_type.add(name="FieldsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_BYTES)
    _declare(file, "DocumentChange", document=(1, f"{_PACKAGE}.Document"))
    _declare(file, "ListenResponse", document_change=(3, f"{_PACKAGE}.DocumentChange"))
    _declare(
        file,
        "BatchGetDocumentsResponse",
        found=(1, f"{_PACKAGE}.Document"),
        missing=(2, "string"),
        read_time=(4, time),
    )
    _declare(file, "ArrayValue", values=(1, "[bytes]"))
    _declare(file, "Value", array_value=(9, f"{_PACKAGE}.ArrayValue"))
    return file


def _class(name: str) -> Message:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


_pool = descriptor_pool.Default()
_pool.AddSerializedFile(_declarations().SerializeToString())

parse_value = Value.pb().FromString
"""Parses one value completely."""

parse_lazy_value = _class("Value").FromString
"""Parses an array so that `array_value.values` are bytes; a value of another type has no `array_value`."""

parse_batch_get = _class("BatchGetDocumentsResponse").FromString
"""Parses an answer so that `found.fields` are bytes by name."""

_parse_listen = ListenResponse.pb().FromString
_parse_lazy_listen = _class("ListenResponse").FromString


def parse_listen(response: bytes, field_names: Collection[str]) -> Message:
    """Parse a ListenResponse; of a large document only these fields. Raises: DecodeError."""
    if len(response) < LARGE_BYTES:
        return _parse_listen(response)
    lazy = _parse_lazy_listen(response)
    if lazy.HasField("document_change"):
        fields = lazy.document_change.document.fields
        wanted = {name: fields[name] for name in field_names if name in fields}
        fields.clear()
        for name, value in wanted.items():
            fields[name] = value
    return _parse_listen(lazy.SerializeToString())
