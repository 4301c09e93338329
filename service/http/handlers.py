"""The handlers: parse the request, ask for the answer, render it. The middleware does what every request needs."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Protocol

import orjson
from aiohttp import hdrs, web

from service import SERVICE_NAME
from service.api.etags import content_etag, etag_for, known_version, matches, precondition_failed
from service.api.list_query import STALLED
from service.api.listing import Listing
from service.api.operations import HEALTHZ, METRICS, READYZ, ROOT
from service.api.parameters import (
    ACCEPT,
    CACHE_CONTROL,
    IF_MATCH,
    IF_NONE_MATCH,
    PROCESS_ID,
    BatchQuery,
)
from service.api.sources import Source
from service.api.waits import PREFER, WaitQuery, read_wait
from service.http.middleware import HEAD, PARAMETER, ROUTE_LABEL
from service.http.model_answers import WAITED_STATUS
from service.http.responses import (
    conditional_response,
    error_response,
    freshness,
    json_response,
    process_not_found,
)
from service.http.routes import Route
from service.reads.answers import Answer, Answers
from service.reads.readiness import ReadinessCheck
from service.reads.statistics import StatisticsReads
from service.runtime.times import render_time
from service.telemetry.metrics import Metrics
from service.watch.long_poll_waiter import WaitCondition
from service.watch.long_polls import LongPolls


class Handlers:
    """The routes of the API."""

    def __init__(
        self,
        answers: Answers,
        long_polls: LongPolls,
        readiness: ReadinessCheck,
        metrics: Metrics,
        *,
        listing: Listing,
        statistics: StatisticsReads,
    ) -> None:
        self._answers = answers
        self._long_polls = long_polls
        self._readiness = readiness
        self._metrics = metrics
        self._listing = listing
        self._statistics = statistics

    def routes(self) -> list[Route]:
        """All routes but /metrics, which can have its own port."""
        return [
            Route(ROOT, self.root),
            Route(HEALTHZ, self.healthz),
            Route(READYZ, self.readyz),
            Route(self._listing.operation, self.listing),
            Route(self._listing.stats, self.stats),
            Route(self._listing.status, self.status),
        ]

    def metrics_route(self) -> Route:
        """The route of the scrape."""
        return Route(METRICS, self.metrics)

    def metrics_port_routes(self) -> list[Route]:
        """The routes of METRICS_PORT, which need no key: the scrape, and the health check, which has no key to send."""
        return [self.metrics_route(), Route(READYZ, self.readyz)]

    async def root(self, request: web.Request) -> web.Response:
        """The service's name and time."""
        ROOT.query(request.rel_url.raw_query_string)
        now = render_time(datetime.now(UTC))
        return json_response(orjson.dumps({"status": "healthy", "service": SERVICE_NAME, "timestamp": now}))

    async def healthz(self, request: web.Request) -> web.Response:
        """Whether the service is alive: this answer shows that its event loop turns."""
        HEALTHZ.query(request.rel_url.raw_query_string)
        return json_response(b'{"status":"alive"}')

    async def readyz(self, request: web.Request) -> web.Response:
        """Whether this replica can answer, and why."""
        READYZ.query(request.rel_url.raw_query_string)
        readiness = await self._readiness.check()
        state = "ready" if readiness.ready else "not_ready"
        body = orjson.dumps({"status": state, **asdict(readiness)})
        return json_response(body, status=200 if readiness.ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text, or OpenMetrics on request. Prometheus's own parameters `name[]` are not supported."""
        if request[HEAD].caller.owner is not None:
            return error_response(403, "Metrics count the processes of all owners")
        body, content_type = self._metrics.render(ACCEPT.of(request.headers))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    async def status(self, request: web.Request) -> web.StreamResponse:
        """One process."""
        process_id, caller = PROCESS_ID.read(request[PARAMETER]), request[HEAD].caller
        query = self._listing.status.query(request.rel_url.raw_query_string)
        process_id = self._listing.key(process_id, query, caller)
        children = self._listing.read_children(query)
        if query or PREFER.name in request.headers:
            wait = read_wait(query, request.headers)
            if wait is not None:
                del query  # otherwise it stays in memory while the request waits
                return await self._waited_status(request, process_id, wait, children)
        seen = IF_NONE_MATCH.of(request.headers)
        wanted = IF_MATCH.of(request.headers)
        version_seen = known_version(seen, wanted) if seen or wanted else 0
        max_age_s = CACHE_CONTROL.of(request.headers)
        answer = None
        if max_age_s is None:
            answer = self._answers.status_from_model(process_id, caller, version_seen)
        if children and answer is not None and not _is_seen(answer, seen, children):
            answer = None  # the model holds no children; it only knows that nothing has changed
        if answer is None:
            answer = await self._answers.status(
                process_id,
                caller,
                known_version=version_seen,
                max_age_s=max_age_s,
                children=children,
            )
        self._metrics.looked_up(_lookup(answer))
        return _render(self._shown(process_id), answer, seen, wanted, children)

    def _shown(self, process_id: str) -> str:
        """The ID of the process with this key."""
        return self._listing.path.id_of(process_id)

    async def _waited_status(
        self, request: web.Request, process_id: str, wait: WaitQuery, children: tuple[str, ...]
    ) -> web.StreamResponse:
        """One process, once it has changed."""
        request[ROUTE_LABEL] = WAITED_STATUS
        seen = wait.seen(IF_NONE_MATCH.of(request.headers), children)
        max_age_s, head = CACHE_CONTROL.of(request.headers), request[HEAD]
        granted_s = self._long_polls.granted_s(wait.seconds, head.caller)
        condition = WaitCondition(head.caller, granted_s - head.waited_s, wait.wanted, seen, children)
        answer = await self._long_polls.status(process_id, condition, max_age_s=max_age_s)
        held = answer.summary
        if children and not _is_seen(answer, seen, children):
            answer = await self._answers.status(
                process_id, head.caller, known_version=answer.version, children=children
            )
        self._metrics.looked_up(_lookup(answer))
        response = _render(self._shown(process_id), answer, seen, IF_MATCH.of(request.headers), children)
        if STALLED in wait.wanted.until and held is not None:
            response.headers["X-Stalled"] = "true" if held.is_stalled else "false"
        if wait.preferred:
            response.headers["Preference-Applied"] = f"wait={granted_s}"
        return response

    async def listing(self, request: web.Request) -> web.Response:
        """A page of processes, or processes by ID."""
        caller, max_age_s = request[HEAD].caller, CACHE_CONTROL.of(request.headers)
        query = self._listing.read(request.rel_url.raw_query_string, caller)
        if isinstance(query, BatchQuery):
            batch = await self._answers.batch(query.process_ids, caller, max_age_s=max_age_s)
            for answer in batch.by_id.values():
                self._metrics.looked_up(_lookup(answer))
            return _of_several(request, replace(batch, shown=self._shown))
        page = await self._answers.page(query, caller, max_age_s=max_age_s)
        self._metrics.looked_up(page.source.value.lower())
        return _of_several(request, page)

    async def stats(self, request: web.Request) -> web.Response:
        """Counts of processes."""
        query, minutes = self._listing.read_stats(request.rel_url.raw_query_string)
        caller, max_age_s = request[HEAD].caller, CACHE_CONTROL.of(request.headers)
        answer = await self._statistics.answer(query, caller, max_age_s=max_age_s, by_minute=minutes)
        self._metrics.looked_up(answer.source.value.lower())
        return _of_several(request, answer)


class _OfSeveral(Protocol):
    """An answer about several processes. `body` is rendered at each access."""

    @property
    def body(self) -> bytes: ...

    @property
    def source(self) -> Source: ...

    @property
    def age_s(self) -> int: ...


def _of_several(request: web.Request, answer: _OfSeveral) -> web.Response:
    body = answer.body
    headers = freshness(answer.source, answer.age_s, content_etag(body))
    return conditional_response(body, headers, IF_MATCH.of(request.headers), IF_NONE_MATCH.of(request.headers))


def _lookup(answer: Answer) -> str:
    """The source for metrics. A 404 that cost no read counts as `negative`."""
    if answer.summary is None and answer.source in (Source.HIT, Source.CACHED):
        return "negative"
    return answer.source.value.lower()


def _is_seen(answer: Answer, if_none_match: str, children: tuple[str, ...]) -> bool:
    if answer.summary is None:
        return True
    return matches(if_none_match, etag_for(answer.summary, if_none_match, children))


def _render(
    process_id: str, answer: Answer, if_none_match: str, if_match: str, children: tuple[str, ...]
) -> web.Response:
    if answer.summary is None:
        headers = freshness(answer.source, answer.age_s)
        return error_response(404, process_not_found(process_id), headers=headers)
    demanded = etag_for(answer.summary, if_match, children)
    etag = etag_for(answer.summary, if_none_match or if_match, children)
    if not precondition_failed(if_match, demanded):
        if_match = ""  # it names the content by another version than If-None-Match does, or by the same
    return conditional_response(answer.body, freshness(answer.source, answer.age_s, etag), if_match, if_none_match)
