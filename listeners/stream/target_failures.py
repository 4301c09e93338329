"""Why a target of a Listen stream cannot be used any more: the failure, from Firestore's message. Pure."""

import grpc

from listeners.firestore_values import Message
from listeners.listener import ListenerFailure, failure_of_status

_STATUS = {code.value[0]: code for code in grpc.StatusCode}


def removal_failure(cause: Message) -> ListenerFailure:
    """Firestore has removed a target; `cause` is a google.rpc.Status."""
    code = _STATUS.get(cause.code, grpc.StatusCode.UNKNOWN)
    if code is grpc.StatusCode.OK:
        return ListenerFailure("protocol_error", "Firestore removed the target and gave no cause", permanent=True)
    return failure_of_status(code, f"Firestore removed the target: {cause.message}")


def filter_mismatch(expected: int, held: int) -> ListenerFailure:
    """The number of documents in an existence filter differs from the number that the target holds."""
    return ListenerFailure("filter_mismatch", f"Firestore has {expected} documents, the listener holds {held}")
