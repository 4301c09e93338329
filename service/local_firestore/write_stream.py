"""The server's side of one Write stream: a handshake, then commits in order, each acknowledged with the next token.

A request without writes is the last one. A refused write ends the stream. As with Google's emulator, streams cannot be
resumed: when a stream breaks, the client opens another, and sends the unanswered writes again.
"""

from collections.abc import Callable

from service.local_firestore import messages
from service.local_firestore.errors import invalid
from service.local_firestore.messages import Message
from service.local_firestore.names import check_database_name


class WriteStream:
    """Answers one stream's requests; `commit` is the Commit call."""

    def __init__(self, number: int, commit: Callable[[Message], Message]) -> None:
        self.is_over = False
        self._number = number
        self._commit = commit
        self._database = ""
        self._answers = 0

    def answer(self, request: Message) -> Message:
        """The response to the stream's next request. Raises FirestoreError if the stream ends with this request."""
        if request.stream_id:
            raise invalid("Resuming streams is not supported, do not set stream ID.")
        response = self._written(request) if self._database else self._opened(request)
        response.stream_token = str(self._answers).encode()
        self._answers += 1
        return response

    def _opened(self, request: Message) -> Message:
        if not request.database:
            raise invalid("'database' must be set on an initial write request.")
        if request.writes:
            raise invalid("'writes' must not be set on an initial write request.")
        if request.stream_token:
            raise invalid(
                "Resuming streams is not supported, 'stream_token' must not be set on an initial write request."
            )
        self._database = check_database_name(request.database)
        return messages.WriteResponse(stream_id=str(self._number))

    def _written(self, request: Message) -> Message:
        if request.database not in {"", self._database}:
            raise invalid(
                f"Request specified a database ({request.database}) that did not match "
                f"the expected database ({self._database})"
            )
        if not request.writes:
            self.is_over = True
            return messages.WriteResponse()
        done = self._commit(messages.CommitRequest(database=self._database, writes=request.writes))
        return messages.WriteResponse(write_results=done.write_results, commit_time=done.commit_time)
