"""Counts, times and logs every answered or abandoned request. Lives on the event loop.

A failure here is logged. It affects neither the answer nor later requests.
"""

from collections.abc import Mapping
from time import perf_counter

from service.api.parameters import REQUEST_ID
from service.http.requests import Head
from service.http.responses import request_ids
from service.runtime.failure_log import FailureLog
from service.telemetry.logs import RequestLog
from service.telemetry.metrics import Metrics
from service.telemetry.request_tally import QUICK_S, RequestTally

CLIENT_CLOSED_REQUEST = 499
"""The status of a request whose client left before its answer began."""


class Accounting:
    """One object for all connections of a server. `request_log` is None if requests are not logged."""

    def __init__(self, metrics: Metrics, request_log: RequestLog | None) -> None:
        self._metrics = metrics
        self._request_log = request_log
        self._failures = FailureLog()
        self.new_request_id = request_ids().__next__
        self.requests_count = 0

    def request_id(self, fields: Mapping[bytes, bytes]) -> bytes:
        """The ID that the client sent with its request, or a new one that no other request has."""
        given = fields.get(b"x-request-id")
        name = None if given is None else REQUEST_ID.read(given.decode("utf-8", "surrogateescape"))
        return self.new_request_id() if name is None else name.encode()

    def answered(self, head: Head, route: str, status: int, body_bytes: int, request_id: bytes) -> None:
        """Account for one request of this route. `body_bytes` is the number of body bytes that were sent."""
        self.record(self._metrics.tally(route, head.method.decode(), status), head, status, body_bytes, request_id)

    def abandoned(self, head: Head, route: str) -> None:
        """The client left before its request was answered."""
        self.answered(head, route, CLIENT_CLOSED_REQUEST, 0, self.request_id(head.fields))

    def record(self, tally: RequestTally, head: Head, status: int, body_bytes: int, request_id: bytes) -> None:
        """The same as `answered`, with the tally of the request."""
        ended = perf_counter()
        seconds = ended - head.arrived_at
        self.requests_count += 1
        try:
            if seconds <= QUICK_S:  # RequestTally.add, inlined
                tally.seconds += seconds
                tally.quick += 1
            else:
                tally.add(seconds)
            log = self._request_log
            if log is not None:
                url, fields = head.target.escaped_url, head.fields
                log.log((head.method, status, head.remote, fields, url, body_bytes, seconds, ended, request_id))
        except Exception as error:  # noqa: BLE001 - reported; see above
            self._failures.report("accounting for a request", error)
