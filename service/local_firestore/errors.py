"""The one exception that becomes a gRPC status, and short names for the statuses used most."""

import grpc


class FirestoreError(Exception):
    """The status that a call has instead of a result."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        """The code as google.rpc.Status has it."""
        return int(self.code.value[0])


def invalid(message: str) -> FirestoreError:
    return FirestoreError(grpc.StatusCode.INVALID_ARGUMENT, message)


def unimplemented(what: str) -> FirestoreError:
    return FirestoreError(grpc.StatusCode.UNIMPLEMENTED, f"the local Firestore does not support {what}")
