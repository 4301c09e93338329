"""What each gRPC status from Firestore means. Listeners and direct reads both use this classification. Pure."""

from enum import Enum

import grpc


class Remedy(Enum):
    """What helps after a failed call."""

    RETRY = "the same call, a little later"
    OPERATOR = "nothing but an operator: Firestore refuses every call of this service"
    OTHER_REQUEST = "nothing but another request: Firestore refuses this one (an index is missing, a value is wrong)"


_REMEDIES = {
    grpc.StatusCode.PERMISSION_DENIED: Remedy.OPERATOR,
    grpc.StatusCode.NOT_FOUND: Remedy.OPERATOR,  # the database: a missing document is an answer, and no such status
    grpc.StatusCode.UNIMPLEMENTED: Remedy.OPERATOR,
    grpc.StatusCode.INVALID_ARGUMENT: Remedy.OTHER_REQUEST,
    grpc.StatusCode.ALREADY_EXISTS: Remedy.OTHER_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: Remedy.OTHER_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: Remedy.OTHER_REQUEST,
    grpc.StatusCode.DATA_LOSS: Remedy.OTHER_REQUEST,
}


def remedy_of(code: grpc.StatusCode) -> Remedy:
    """The remedy for a status code. An unknown code gets RETRY."""
    return _REMEDIES.get(code, Remedy.RETRY)
