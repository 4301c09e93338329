"""Calls of the protocol without any client library: requests as JSON, answers that compare between servers.

`$D` in a request is the project's documents path, `$B` its database.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.cloud.firestore_v1 import types
from google.protobuf import empty_pb2, json_format

from tests.local_firestore.raw_listen import PATIENCE_S

Request = dict[str, Any]
Call = tuple[str, Request]

_STREAMING = {"BatchGetDocuments", "RunQuery", "RunAggregationQuery"}
_OTHER_RESPONSES = {
    "GetDocument": types.Document.pb(),
    "CreateDocument": types.Document.pb(),
    "UpdateDocument": types.Document.pb(),
    "DeleteDocument": empty_pb2.Empty,
    "Rollback": empty_pb2.Empty,
}
_TIMES = {"readTime", "createTime", "updateTime", "commitTime"}
_INCOMPARABLE = _TIMES | {"transaction", "nextPageToken", "done", "skippedResults"}
"""Where the emulator reports skipped results is arbitrary."""


@dataclass(frozen=True)
class Answer:
    """A status's name and detail, and the responses as JSON without times and tokens."""

    code: str
    detail: str = ""
    responses: tuple[str, ...] = ()

    @property
    def is_refusal(self) -> bool:
        return self.code != "OK"

    @property
    def without_detail(self) -> "Answer":
        return Answer(self.code, responses=self.responses)


class RawCalls:
    """One project on one server; a context manager."""

    def __init__(self, host: str, project: str) -> None:
        self._channel = grpc.insecure_channel(host, [("grpc.max_receive_message_length", -1)])
        self._database = f"projects/{project}/databases/(default)"

    def close(self) -> None:
        self._channel.close()

    def ask(self, call: Call) -> Answer:
        return self._outcome(lambda: self.responses(call))

    def _outcome(self, responses: Callable[[], list[Any]]) -> Answer:
        try:
            found = responses()
        except grpc.RpcError as refused:
            return Answer(refused.code().name, _without_order(self._anonymous(refused.details())))
        shown = (json.dumps(_lasting(json_format.MessageToDict(each)), sort_keys=True) for each in found)
        return Answer("OK", responses=tuple(text for each in shown if (text := self._anonymous(each)) != "{}"))

    def ask_with_value(self, value: Any) -> Answer:
        """A commit of a document whose field has this value, which JSON has no form for."""
        request = types.CommitRequest.pb()(database=self._database)
        request.writes.add().update.name = f"{self._database}/documents/c/d"
        request.writes[0].update.fields["a"].CopyFrom(value)
        return self._outcome(lambda: self._responses("Commit", request))

    def responses(self, call: Call) -> list[Any]:
        """The responses as messages. Raises RpcError."""
        rpc, request = call
        text = json.dumps(request).replace("$D", f"{self._database}/documents").replace("$B", self._database)
        return self._responses(rpc, json_format.Parse(text, getattr(types, f"{rpc}Request").pb()()))

    def _responses(self, rpc: str, request: Any) -> list[Any]:
        response_type = _OTHER_RESPONSES.get(rpc) or getattr(types, f"{rpc}Response").pb()
        method = self._channel.unary_stream if rpc in _STREAMING else self._channel.unary_unary
        call = method(
            f"/google.firestore.v1.Firestore/{rpc}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_type.FromString,
        )
        answered = call(request, metadata=[("authorization", "Bearer owner")], timeout=PATIENCE_S)
        return list(answered) if rpc in _STREAMING else [answered]

    def _anonymous(self, text: str) -> str:
        return text.replace(f"{self._database}/documents", "$D").replace(self._database, "$B")


def _lasting(value: Any) -> Any:
    """The same without what differs from moment to moment."""
    if isinstance(value, dict):
        return {name: _lasting(part) for name, part in value.items() if name not in _INCOMPARABLE}
    return [_lasting(part) for part in value] if isinstance(value, list) else value


def _without_order(text: str) -> str:
    """A detail with lists like "[b, a]" in order: the emulator lists what it holds in a hash table."""
    return re.sub(r"\[((?:\w+, )+\w+)\]", lambda found: str(sorted(found[1].split(", "))), text)


# -- requests


def integer(number: int) -> Request:
    return {"integerValue": str(number)}


def double(number: float | str) -> Request:
    return {"doubleValue": number}


def string(text: str) -> Request:
    return {"stringValue": text}


def array(*values: Request) -> Request:
    return {"arrayValue": {"values": list(values)}}


def mapping(**fields: Request) -> Request:
    return {"mapValue": {"fields": fields}}


def vector(*values: Request, **more: Request) -> Request:
    return mapping(__type__=string("__vector__"), value=array(*values), **more)


def reference(name: str) -> Request:
    return {"referenceValue": name}


def geo(latitude: float | str, longitude: float | str) -> Request:
    return {"geoPointValue": {"latitude": latitude, "longitude": longitude}}


def nested(levels: int, leaf: Request) -> Request:
    """So many maps, each the only field of the one around it."""
    for _ in range(levels):
        leaf = mapping(a=leaf)
    return leaf


def write(fields: Request, name: str = "$D/c/d", **parts: Any) -> Call:
    return "Commit", {"database": "$B", "writes": [{"update": {"name": name, "fields": fields}, **parts}]}


def transform(*transforms: Request, name: str = "$D/c/d") -> Call:
    return write({}, name, updateMask={"fieldPaths": []}, updateTransforms=list(transforms))


def _structured(query: Request) -> Request:
    """`frm` are the collections; otherwise it is the one called c."""
    return {"from": query.pop("frm", [{"collectionId": "c"}]), **query}


def query(parent: str = "$D", **parts: Any) -> Call:
    return "RunQuery", {"parent": parent, "structuredQuery": _structured(parts)}


def where(*filters: Request, **parts: Any) -> Call:
    return query(where=filters[0] if len(filters) == 1 else both(*filters), **parts)


def compare(path: str, operator: str, value: Request) -> Request:
    return {"fieldFilter": {"field": {"fieldPath": path}, "op": operator, "value": value}}


def unary(path: str, operator: str) -> Request:
    return {"unaryFilter": {"field": {"fieldPath": path}, "op": operator}}


def both(*filters: Request) -> Request:
    return {"compositeFilter": {"op": "AND", "filters": list(filters)}}


def either(*filters: Request) -> Request:
    return {"compositeFilter": {"op": "OR", "filters": list(filters)}}


def up(path: str) -> Request:
    return {"field": {"fieldPath": path}, "direction": "ASCENDING"}


def down(path: str) -> Request:
    return {"field": {"fieldPath": path}, "direction": "DESCENDING"}


def aggregate(*aggregations: Request, **parts: Any) -> Call:
    asked = {"structuredQuery": _structured(parts), "aggregations": list(aggregations)}
    return "RunAggregationQuery", {"parent": "$D", "structuredAggregationQuery": asked}


def total(path: str, alias: str = "sum") -> Request:
    return {"alias": alias, "sum": {"field": {"fieldPath": path}}}


def average(path: str, alias: str = "avg") -> Request:
    return {"alias": alias, "avg": {"field": {"fieldPath": path}}}


def counted(alias: str = "count", **parts: Any) -> Request:
    return {"alias": alias, "count": parts}
