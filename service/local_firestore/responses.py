"""Serialized ListenResponses. Streams queue bytes, which all streams with the same message share."""

from collections.abc import Sequence

from service.local_firestore import messages
from service.local_firestore.live_query import Entry, Kind

_NO_CHANGE, _ADD, _REMOVE, _CURRENT, _RESET = range(5)


def consistent(time_us: int, token: bytes) -> bytes:
    """NO_CHANGE without target IDs: everything sent before is valid for the whole stream at this time."""
    response = messages.ListenResponse()
    change = response.target_change
    change.resume_token = token
    messages.set_time(change.read_time, time_us)
    return bytes(response.SerializeToString())


def added(target_id: int) -> bytes:
    return _target_change(_ADD, target_id)


def current(target_id: int, time_us: int, token: bytes) -> bytes:
    return _target_change(_CURRENT, target_id, time_us, token)


def reset(target_id: int, time_us: int) -> bytes:
    return _target_change(_RESET, target_id, time_us)


def removed(target_id: int, code: int = 0, message: str = "") -> bytes:
    """The end of a target. With a code, the client did not request the end."""
    response = messages.ListenResponse()
    response.target_change.target_change_type = _REMOVE
    response.target_change.target_ids.append(target_id)
    if code:
        response.target_change.cause.code = code
        response.target_change.cause.message = message
    return bytes(response.SerializeToString())


def _target_change(kind: int, target_id: int, time_us: int = 0, token: bytes = b"") -> bytes:
    response = messages.ListenResponse()
    change = response.target_change
    change.target_change_type = kind
    change.target_ids.append(target_id)
    change.resume_token = token
    if time_us:
        messages.set_time(change.read_time, time_us)
    return bytes(response.SerializeToString())


def existence_filter(target_id: int, count: int) -> bytes:
    response = messages.ListenResponse()
    response.filter.target_id = target_id
    response.filter.count = count
    return bytes(response.SerializeToString())


def of_entry(entry: Entry, targets: Sequence[int], time_us: int, left: Sequence[int] = ()) -> bytes:
    """One document's message. `targets` contain it (with REMOVED and DELETED: contained it); `left` no longer do."""
    response = messages.ListenResponse()
    part = getattr(response, entry.kind.value)
    if entry.kind is Kind.CHANGED:
        part.document.CopyFrom(entry.document)
        part.target_ids.extend(targets)
        part.removed_target_ids.extend(left)
    else:
        part.document = entry.name
        part.removed_target_ids.extend(targets)
        messages.set_time(part.read_time, time_us)
    return bytes(response.SerializeToString())
