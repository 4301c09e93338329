"""Every metric of the service, told by the domain through the observers it declares.

Counts what is announced to it and nothing else; no other file knows prometheus_client. Labels are bounded: never an
ID, never a raw path. Works alone and in prometheus_client's multiprocess mode (PROMETHEUS_MULTIPROC_DIR).

What is counted at every request is counted in plain numbers (0.1 µs; prometheus_client's lock and label children took
1.5, in multiprocess mode 4) and told to prometheus_client by `publish`: at each scrape and, where other processes are
scraped for this one, every second. Lives on the event loop, which is why no lock is needed.
"""

import logging
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sized
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector

from listeners.listener import Clock, ListenerState
from service import __version__
from service.telemetry.exposition import choose

disable_created_metrics()  # type: ignore[no-untyped-call] # a `_created` series for each counter doubles every scrape

log = logging.getLogger(__name__)

PREFIX = "process_status"
_REQUEST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
QUICK_S = _REQUEST_BUCKETS[0]
_LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_PROBE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REMEMBERED_VERSIONS = 10_000
WARN_EVERY_S = 60.0
"""Of each field that can't be read: one warning, however many documents and versions have it."""

PUBLISH_INTERVAL_S = 1.0


class AppliedBatch(Protocol):
    """One consistent point that the model has taken."""

    @property
    def upserts(self) -> Sized:
        """Documents added or modified; `added` of them are new."""

    @property
    def removed(self) -> Sized:
        """Documents no longer held."""

    @property
    def added(self) -> int:
        """New documents."""


class RequestTally:
    """Requests of one kind since they were published last: how many took how long.

    Whoever can't afford to call `add` adds to `seconds` himself, and to `quick` where they are QUICK_S at most.
    `lookups`, where given, counts each of them too.
    """

    __slots__ = ("_answered", "_durations", "_lookups", "_published", "_slower", "quick", "seconds")

    def __init__(self, answered: Counter, durations: Histogram, lookups: Counter | None = None) -> None:
        self._answered = answered
        self._durations = durations
        self._lookups = lookups
        self._published = 0
        self._clear()

    def _clear(self) -> None:
        self.seconds = 0.0
        self.quick = 0
        self._slower = [0] * len(_REQUEST_BUCKETS)

    @property
    def count(self) -> int:
        """All that have been added ever."""
        return self._published + self._unpublished

    @property
    def _unpublished(self) -> int:
        return self.quick + sum(self._slower)

    def add(self, seconds: float) -> None:
        """One more."""
        self.seconds += seconds
        if seconds <= QUICK_S:
            self.quick += 1
        else:
            self._slower[bisect_left(_REQUEST_BUCKETS, seconds) - 1] += 1

    def publish(self) -> None:
        """Tell prometheus_client. It has no public way to observe many at once."""
        count = self._unpublished
        self._published += count
        self._answered.inc(count)
        if self._lookups is not None:
            self._lookups.inc(count)
        self._durations._sum.inc(self.seconds)
        for bucket, observed in zip(self._durations._buckets, [self.quick, *self._slower], strict=True):
            if observed:
                bucket.inc(observed)
        self._clear()


class Metrics:
    """The observer of requests, lookups, reads, the listener and the model."""

    def __init__(self, clock: Clock, *, multiprocess: bool = False) -> None:
        self._clock = clock
        self._multiprocess = multiprocess
        self._malformed_versions: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._warned_at: dict[str, float] = {}
        self.registry = CollectorRegistry()
        self._requests = self._counter("http_requests", "HTTP requests answered", ["route", "method", "code"])
        self._durations = Histogram(
            f"{PREFIX}_http_request_duration_seconds",
            "Time from a request's arrival to its answer",
            ["route"],
            registry=self.registry,
            buckets=_REQUEST_BUCKETS,
        )
        lookups = self._counter("lookups", "Processes and lists looked up, by the source that answered", ["source"])
        self._lookups = {name: lookups.labels(name) for name in ("hit", "miss", "cached", "stale", "negative")}
        self._looked_up = dict.fromkeys(self._lookups, 0)
        reads = self._counter("firestore_reads", "Document reads that Firestore bills", ["source"])
        self._reads = {name: reads.labels(name) for name in ("listener", "get", "list", "audit")}
        self._describe_listener()
        self._describe_model()
        self._tallies: dict[tuple[str, str, int], RequestTally] = {}
        self._tallies_of_hits: list[RequestTally] = []
        self._applied_at = 0.0

    def _describe_listener(self) -> None:
        self._states = self._gauge("listener_state", "1 for the listener's present state", "livesum", ["state"])
        for state in ListenerState:
            self._states.labels(state.value).set(0)
        self._restarts = self._counter("listener_restarts", "Times the listener had to connect again", ["reason"])
        self._probes = Histogram(
            f"{PREFIX}_listener_probe_seconds",
            "Time from a probe to Firestore's confirmation of the whole stream",
            registry=self.registry,
            buckets=_PROBE_BUCKETS,
        )
        changes = self._counter("listener_changes", "Document changes applied to the model", ["type"])
        self._changes = {name: changes.labels(name) for name in ("added", "modified", "removed")}
        self._lag = Histogram(
            f"{PREFIX}_listener_lag_seconds",
            "Time from a document's update in Firestore to its visibility here",
            registry=self.registry,
            buckets=_LAG_BUCKETS,
        )

    def _describe_model(self) -> None:
        self._documents = self._gauge("model_documents", "Processes held in memory", "livemin")
        self._confirmed = self._gauge(
            "model_confirmed_timestamp_seconds", "When the model was last known to equal Firestore", "livemin"
        )
        self._mismatches = self._counter("audit_mismatches", "Audits that found the model to differ from Firestore")
        self._rejected = self._counter("fallback_rejected", "Direct reads refused because their budget was used up")
        self._watchers = self._gauge("watchers", "Open waits and event streams", "livesum")
        self._watching = 0
        self._malformed = self._counter("malformed_fields", "Document fields that could not be read", ["field"])
        self._gauge("build_info", "1; the version is in the label", "livemax", ["version"]).labels(__version__).set(1)

    def _counter(self, name: str, documentation: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"{PREFIX}_{name}", documentation, labels or [], registry=self.registry)

    def _gauge(self, name: str, documentation: str, mode: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", documentation, labels or [], registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type] # the modes are a Literal

    # -- HTTP

    def request_answered(self, route: str, method: str, code: int, seconds: float) -> None:
        """`route` is the route's own pattern, never the path that was asked for."""
        self.tally(route, method, code).add(seconds)

    def tally(self, route: str, method: str, code: int) -> RequestTally:
        """Where requests of one kind are counted; whoever has many of them may keep it."""
        key = (route, method if method in _KNOWN_METHODS else "OTHER", code)
        tally = self._tallies.get(key)
        if tally is None:
            _, bounded, _ = key
            answered = self._requests.labels(route, bounded, str(code))
            tally = self._tallies[key] = RequestTally(answered, self._durations.labels(route))
        return tally

    def tally_of_hits(self, route: str, code: int) -> RequestTally:
        """Where somebody counts GET requests that each looked one thing up in the model, and found it."""
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
        self._reads[kind].inc(count)

    def read_rejected(self) -> None:
        self._rejected.inc()

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        """Count the fields, once for each version of a document, and log each field once per WARN_EVERY_S."""
        key = (process_id, version)
        if key in self._malformed_versions:
            return
        self._malformed_versions[key] = None
        if len(self._malformed_versions) > _REMEMBERED_VERSIONS:
            self._malformed_versions.popitem(last=False)
        for field in fields:
            self._malformed.labels(field).inc()
        now = self._clock()
        due = [field for field in fields if now - self._warned_at.get(field, float("-inf")) >= WARN_EVERY_S]
        if due:
            self._warned_at.update(dict.fromkeys(due, now))
            log.warning(
                "document %r has fields that can't be read and are answered as null: %s"
                " (one such warning per field in %.0f s; process_status_malformed_fields_total counts all)",
                process_id,
                ", ".join(due),
                WARN_EVERY_S,
            )

    # -- the listener

    def documents_read(self, count: int) -> None:
        self._reads["listener"].inc(count)

    def probe_answered(self, seconds: float) -> None:
        self._probes.observe(seconds)

    def state_changed(self, state: ListenerState, reason: str) -> None:
        for known in ListenerState:
            self._states.labels(known.value).set(known is state)

    def restarted(self, reason: str) -> None:
        self._restarts.labels(reason).inc()

    # -- the model

    def applied(self, applied: AppliedBatch, documents: int) -> None:
        self._changes["added"].inc(applied.added)
        self._changes["modified"].inc(len(applied.upserts) - applied.added)
        self._changes["removed"].inc(len(applied.removed))
        self._documents.set(documents)
        self._applied_at = time.time()

    def became_visible(self, version: int) -> None:
        """How late a change became visible, against the wall clock."""
        self._lag.observe(max(0.0, self._applied_at - version / 1_000_000))

    def confirmed(self, as_of: float) -> None:
        self._confirmed.set(time.time() - (self._clock() - as_of))

    def audit_mismatched(self) -> None:
        self._mismatches.inc()

    # -- scraping

    def publish(self) -> None:
        """Tell prometheus_client what has been counted since the last time."""
        for tally in (*self._tallies.values(), *self._tallies_of_hits):
            tally.publish()
        self._watchers.set(self._watching)
        for source, count in self._looked_up.items():
            self._lookups[source].inc(count)
        self._looked_up = dict.fromkeys(self._lookups, 0)

    async def keep_published(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Publish again and again, and once more at the end: another process may be scraped for this one."""
        try:
            while True:
                await sleep(PUBLISH_INTERVAL_S)
                self.publish()
        finally:
            self.publish()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type: Prometheus text, or OpenMetrics where `accept` prefers it."""
        encode, content_type = choose(accept)
        self.publish()
        if not self._multiprocess:
            return encode(self.registry), content_type
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return encode(registry), content_type
