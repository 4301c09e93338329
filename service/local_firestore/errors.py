"""The one exception that becomes a gRPC status, and short names for the statuses used most."""

import grpc


class FirestoreError(Exception):
    """A call's failure, as a gRPC status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        """The code in the form of google.rpc.Status."""
        return int(self.code.value[0])


def invalid(message: str) -> FirestoreError:
    return FirestoreError(grpc.StatusCode.INVALID_ARGUMENT, message)


def unimplemented(what: str) -> FirestoreError:
    return FirestoreError(grpc.StatusCode.UNIMPLEMENTED, f"the local Firestore does not support {what}")
