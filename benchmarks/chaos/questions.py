"""What is asked of the service, and what came of it: the records that the checker judges. Pure."""

from typing import NamedTuple
from urllib.parse import urlencode

from benchmarks.chaos.history import Query, rendered_time
from benchmarks.chaos.names import id_of, parent_of, status_path


class Batch(NamedTuple):
    """Several processes by their keys, of one parent."""

    keys: tuple[str, ...]


class Question(NamedTuple):
    """One request. `target`: a process's key, several of them, or a list's query. `known` is the version in its ETag.

    `wait_s`: so long it may wait for another version.
    """

    kind: str  # status, products, list or batch
    target: str | Batch | Query
    known: int = 0
    max_age_s: int | None = None
    etag: str = ""
    token: str = ""
    wait_s: int = 0

    @property
    def path(self) -> str:
        """What is asked for."""
        target = self.target
        if isinstance(target, Query):
            return f"/status?{urlencode(self._list_parameters(target))}"
        if isinstance(target, Batch):
            named = [("process_id", id_of(each)) for each in target.keys]
            parents = {parent_of(each) for each in target.keys} - {""}
            return f"/status?{urlencode([*named, *(('uid', each) for each in parents)])}"
        if self.wait_s:
            return status_path(target, wait=self.wait_s)
        return status_path(target, include_products=1) if self.kind == "products" else status_path(target)

    def _list_parameters(self, query: Query) -> dict[str, object]:
        parameters: dict[str, object] = {"limit": query.limit}
        if query.status is not None:
            parameters["status"] = query.status
        if query.parent is not None:
            parameters["uid"] = query.parent
        if query.lower_us is not None:
            parameters["start_date"] = rendered_time(query.lower_us)
        if query.upper_us is not None:
            parameters["end_date"] = rendered_time(query.upper_us)
        if self.token:
            parameters["page_token"] = self.token
        return parameters

    @property
    def headers(self) -> dict[str, str]:
        """What the client knows, and how fresh it wants the answer."""
        headers = {}
        if self.etag:
            headers["If-None-Match"] = self.etag
        if self.max_age_s is not None:
            headers["Cache-Control"] = f"max-age={self.max_age_s}" if self.max_age_s else "no-cache"
        return headers


class Answered(NamedTuple):
    """A question and its answer; status 0 where there was none: `body` then says why. `age_s` -1: none was given.

    `turn_us`: when the answer before it, on the same connection, had come; 0 where it was sent later.
    """

    question: Question
    sent_us: int
    received_us: int
    status: int
    source: str = ""
    age_s: int = -1
    etag: str = ""
    may_retry: bool = False
    body: bytes = b""
    turn_us: int = 0
