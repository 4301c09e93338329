"""The ListenRequests of one window: they add and remove targets. Pure."""

from google.cloud.firestore_v1.types import ListenRequest, StructuredQuery

from listeners.firestore_values import Message
from listeners.stream.targets import Target
from listeners.window import Window

_Request = ListenRequest.pb()


class ListenRequests:
    """Makes the requests for all streams of one window."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._database = window.documents_path.removesuffix("/documents")
        self.path = window.path

    def add(self, target: Target) -> Message:
        """Add a target with its number. It resumes from the token that covers it, if there is one."""
        token = target.resume_token if target.can_resume else b""
        if target.document_id is None:
            return self.add_window(target.id, token)
        return self.add_document(target.id, target.document_id, token)

    def add_window(self, target_id: int, resume_token: bytes) -> Message:
        """Add a target for the window's query. With an empty token it does not resume."""
        request = self._request(target_id, resume_token)
        request.add_target.query.parent = self._window.documents_path
        query = StructuredQuery.pb(self._window.structured_query())
        request.add_target.query.structured_query.CopyFrom(query)
        return request

    def add_document(self, target_id: int, document_id: str, resume_token: bytes = b"") -> Message:
        """Add a target for one document of the window's collection, whether the document exists or not."""
        request = self._request(target_id, resume_token)
        request.add_target.documents.documents.append(self.path.name_of(document_id))
        return request

    def remove(self, target_id: int) -> Message:
        """Remove a target."""
        return _Request(database=self._database, remove_target=target_id)

    def _request(self, target_id: int, resume_token: bytes) -> Message:
        request = _Request(database=self._database)
        request.add_target.target_id = target_id
        if resume_token:
            request.add_target.resume_token = resume_token
        return request
