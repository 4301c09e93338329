"""Every metric of the service. Domain code reports to observers, whose interfaces it declares. Metrics is all of them.

Labels are bounded: never an ID, never a raw path. Works alone and in prometheus_client's multiprocess mode
(PROMETHEUS_MULTIPROC_DIR). Only this package knows prometheus_client.

Requests and changes are counted in plain numbers (request_tally.py, change_tally.py). `publish` adds these to
prometheus_client's: at each scrape and, if another process answers scrapes for this one, every second. Lives on the
event loop, so no lock is needed.
"""

from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector

from listeners.listener import Clock, ListenerState
from service import __version__
from service.telemetry.change_tally import LAG_BUCKETS, AppliedBatch, ChangeTally
from service.telemetry.exposition import choose
from service.telemetry.malformed_fields import MalformedFields
from service.telemetry.process_metrics import ProcessMetrics
from service.telemetry.request_tally import REQUEST_BUCKETS, RequestTally

disable_created_metrics()  # type: ignore[no-untyped-call] # a `_created` series for each counter doubles every scrape

PREFIX = "process_status"
_PROBE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

PUBLISH_INTERVAL_S = 1.0


class Metrics:
    """Observes requests, lookups, reads, the listener and the model."""

    def __init__(self, clock: Clock, *, multiprocess: bool = False) -> None:
        self._clock = clock
        self._multiprocess = multiprocess
        self.registry = CollectorRegistry()
        self._requests = self._counter("http_requests", "HTTP requests answered", ["route", "method", "code"])
        self._durations = Histogram(
            f"{PREFIX}_http_request_duration_seconds",
            "Time from a request's arrival to its answer",
            ["route"],
            registry=self.registry,
            buckets=REQUEST_BUCKETS,
        )
        lookups = self._counter("lookups", "Lookups of a process or a list, by the source of the answer", ["source"])
        self._lookups = {name: lookups.labels(name) for name in ("hit", "miss", "cached", "stale", "negative")}
        self._looked_up = dict.fromkeys(self._lookups, 0)
        reads = self._counter("firestore_reads", "Document reads billed by Firestore", ["source"])
        self._reads = {name: reads.labels(name) for name in ("listener", "get", "list", "audit")}
        self._billed = dict.fromkeys(self._reads, 0)
        self._describe_listener()
        self._describe_model()
        self._tallies: dict[tuple[str, str, int], RequestTally] = {}
        self._tallies_of_hits: list[RequestTally] = []
        self.processes = ProcessMetrics(PREFIX, self.registry)

    def _describe_listener(self) -> None:
        self._states = self._gauge("listener_state", "1 for the listener's present state, else 0", "livesum", ["state"])
        for state in ListenerState:
            self._states.labels(state.value).set(0)
        self._restarts = self._counter("listener_restarts", "Restarts of the listener, by reason", ["reason"])
        self._probes = Histogram(
            f"{PREFIX}_listener_probe_seconds",
            "Time from a probe to Firestore's answer, which confirms the model",
            registry=self.registry,
            buckets=_PROBE_BUCKETS,
        )

    def _describe_model(self) -> None:
        changes = self._counter("listener_changes", "Document changes applied to the model", ["type"])
        lag = Histogram(
            f"{PREFIX}_listener_lag_seconds",
            "Time from a document's update in Firestore until the model has it",
            registry=self.registry,
            buckets=LAG_BUCKETS,
        )
        documents = self._gauge("model_documents", "Processes in the model", "livemin")
        confirmed = self._gauge(
            "model_confirmed_timestamp_seconds",
            "Unix time when the model last surely equalled Firestore",
            "livemin",
        )
        self._changes = ChangeTally(changes, lag, documents, confirmed, self._clock)
        self._mismatches = self._counter("audit_mismatches", "Audits in which the model differed from Firestore")
        self._rejected = self._counter("fallback_rejected", "Direct reads refused because the budget was used up")
        self._watchers = self._gauge("watchers", "Open waits and event streams", "livesum")
        self._watching = 0
        malformed = self._counter("malformed_fields", "Document fields that could not be read, by field", ["field"])
        self._malformed = MalformedFields(malformed, self._clock)
        self._gauge("build_info", "1; the version is in the label", "livemax", ["version"]).labels(__version__).set(1)

    def _counter(self, name: str, documentation: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"{PREFIX}_{name}", documentation, labels or [], registry=self.registry)

    def _gauge(self, name: str, documentation: str, mode: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", documentation, labels or [], registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type] # the modes are a Literal

    # -- HTTP

    def request_answered(self, route: str, method: str, code: int, seconds: float) -> None:
        """Count a request. `route` is the pattern of the route, never the path of the request."""
        self.tally(route, method, code).add(seconds)

    def tally(self, route: str, method: str, code: int) -> RequestTally:
        """The tally for requests of one kind. Callers can keep it and add to it."""
        key = (route, method if method in _KNOWN_METHODS else "OTHER", code)
        tally = self._tallies.get(key)
        if tally is None:
            _, bounded, _ = key
            answered = self._requests.labels(route, bounded, str(code))
            tally = self._tallies[key] = RequestTally(answered, self._durations.labels(route))
        return tally

    def tally_of_hits(self, route: str, code: int) -> RequestTally:
        """The tally for GET requests that the model answered, each with one lookup."""
        answered, durations = self._requests.labels(route, "GET", str(code)), self._durations.labels(route)
        tally = RequestTally(answered, durations, self._lookups["hit"])
        self._tallies_of_hits.append(tally)
        return tally

    def looked_up(self, source: str, count: int = 1) -> None:
        """`source` is `hit`, `miss`, `cached`, `stale` or `negative`."""
        self._looked_up[source] += count

    def watching(self, count: int) -> None:
        self._watching = count

    # -- direct reads

    def documents_billed(self, kind: str, count: int) -> None:
        self._billed[kind] += count

    def read_rejected(self) -> None:
        self._rejected.inc()

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        self._malformed.report(process_id, version, fields)

    # -- the listener

    def documents_read(self, count: int) -> None:
        self._billed["listener"] += count

    def probe_answered(self, seconds: float) -> None:
        self._probes.observe(seconds)

    def state_changed(self, state: ListenerState, reason: str) -> None:
        for known in ListenerState:
            self._states.labels(known.value).set(known is state)

    def restarted(self, reason: str) -> None:
        self._restarts.labels(reason).inc()

    # -- the model

    def applied(self, applied: AppliedBatch, documents: int) -> None:
        self._changes.applied(applied, documents)

    def became_visible(self, version: int) -> None:
        self._changes.became_visible(version)

    def confirmed(self, as_of: float) -> None:
        self._changes.confirmed(as_of)

    def audit_mismatched(self) -> None:
        self._mismatches.inc()

    # -- scraping

    def publish(self) -> None:
        """Add the counts since the last call to prometheus_client's series."""
        for tally in (*self._tallies.values(), *self._tallies_of_hits):
            tally.publish()
        self._changes.publish()
        self.processes.publish()
        self._watchers.set(self._watching)
        for source, count in self._looked_up.items():
            self._lookups[source].inc(count)
        self._looked_up = dict.fromkeys(self._lookups, 0)
        for kind, count in self._billed.items():
            self._reads[kind].inc(count)
        self._billed = dict.fromkeys(self._reads, 0)

    async def keep_published(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Publish every PUBLISH_INTERVAL_S and at the end, because another process can answer scrapes for this one."""
        try:
            while True:
                await sleep(PUBLISH_INTERVAL_S)
                self.publish()
        finally:
            self.publish()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type: Prometheus text, or OpenMetrics if `accept` prefers it."""
        encode, content_type = choose(accept)
        self.publish()
        if not self._multiprocess:
            return encode(self.registry), content_type
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return encode(registry), content_type
