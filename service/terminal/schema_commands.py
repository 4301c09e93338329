"""`init`, `check` and `indexes`: the commands that fit the service to a collection.

They read a few dozen documents and write nothing to Firestore. `check` never raises because of a fault that it finds:
it prints one line per fault, with what to do. Its exit code is 0 only if nothing is wrong.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

import google.auth
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore_v1 import AsyncClient
from google.cloud.firestore_v1.async_query import AsyncQuery
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport

from listeners.collection_path import CollectionPath, collection_path, is_foreign
from listeners.endpoints import EmulatorEndpoint, Endpoint, GoogleEndpoint
from listeners.events import Event
from listeners.listener import ListenerFailure
from listeners.stream.listen_stream import StreamListener
from listeners.window import Window
from service.runtime.clock import boottime
from service.schema import findings
from service.schema.compiled import Schema
from service.schema.draft import Draft
from service.schema.findings import Finding
from service.schema.indexes import index_file
from service.settings import Settings
from service.terminal.children_check import child_findings

Say = Callable[[str], None]

TIMEOUT_S = 10.0
MOST_STREAMS = 3
FEW = 10
"""The number of documents whose children are checked."""

_NO_CREDENTIALS = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
_DEPLOY_INDEXES = "`process-status indexes > firestore.indexes.json`, then `firebase deploy --only firestore:indexes`"
_NO_ANSWER = "see whether the network lets this machine reach Firestore, and FIRESTORE_EMULATOR_HOST"


def indexes(settings: Settings) -> str:
    """firestore.indexes.json for the schema in force."""
    return json.dumps(index_file(Schema(settings.schema_in_force)), indent=2)


async def init(settings: Settings, documents: int, say: Say) -> int:
    """Print a schema drafted from the collection's documents. Returns the exit code."""
    client = AsyncClient(**_client_options(settings))
    path = collection_path(settings.collection)
    query = _all_of(client, path).limit(documents)
    found = [snapshot.to_dict() or {} for snapshot in await query.get(timeout=TIMEOUT_S) if _is_own(path, snapshot)]
    if not found:
        empty = findings.of_emptiness(settings.collection, await _other_collections(client))
        say(f"# {empty.found}: {empty.advice}")
        return 1
    say(Draft(settings.collection, found).toml().rstrip())
    return 0


async def check(settings: Settings, documents: int, say: Say) -> int:
    """Print one line per finding. Returns the exit code."""
    wrong = 0
    async for finding in _findings(settings, documents):
        say(str(finding))
        wrong += bool(finding.advice)
    say(f"{wrong} to mend" if wrong else "all is right")
    return 1 if wrong else 0


async def _findings(settings: Settings, documents: int) -> AsyncIterator[Finding]:
    schema = Schema(settings.schema_in_force)
    try:
        endpoint = _endpoint(settings)
    except GoogleAuthError as error:
        yield Finding("credentials", str(error).splitlines()[0], _NO_CREDENTIALS)
        return
    yield Finding("credentials", repr(endpoint))
    client = AsyncClient(**_client_options(settings))
    try:
        some = await _sample(_all_of(client, schema.path).limit(documents), schema)
        values = await _newest(client, schema, documents) or some
    except (exceptions.GoogleAPICallError, exceptions.RetryError, TimeoutError) as error:
        yield _refusal("database", error, settings)
        return
    yield Finding("database", f"{settings.project_id}, {settings.firestore_database}: documents can be read")
    yield await _listening(settings, schema, endpoint)
    if not some:
        yield findings.of_emptiness(settings.collection, await _other_collections(client))
        return
    yield Finding("collection", f"{settings.collection} has documents; {len(values)} were looked at")
    for found in (findings.of_fields(schema, values), findings.of_filters(schema, values)):
        for finding in found:
            yield finding
    yield findings.of_order(schema, some)
    summaries = [schema.summarize("p", 1, each)[0] for each in values]
    yield findings.of_statuses(schema, [each.status for each in summaries if each.status is not None])
    async for finding in _index_findings(client, schema, values):
        yield finding
    if schema.children:
        newest = await _newest_query(client, schema, FEW).get(timeout=TIMEOUT_S, retry=None)
        async for finding in child_findings(schema.children, newest):
            yield finding


async def _newest(client: AsyncClient, schema: Schema, documents: int) -> list[dict[str, object]]:
    """The first documents of a list: the newest ones. Documents that no list shows are not among them."""
    return await _sample(_newest_query(client, schema, documents), schema)


def _newest_query(client: AsyncClient, schema: Schema, documents: int) -> AsyncQuery:
    query = _all_of(client, schema.path).where(filter=FieldFilter(schema.order.field, ">=", schema.order.smallest))
    return query.order_by(schema.order.field, direction="DESCENDING").limit(documents)


async def _sample(query: AsyncQuery, schema: Schema) -> list[dict[str, object]]:
    found = await query.get(timeout=TIMEOUT_S, retry=None)
    own = [snapshot for snapshot in found if _is_own(schema.path, snapshot)]
    return [schema.projection.of_values(snapshot.to_dict() or {}) for snapshot in own]


def _all_of(client: AsyncClient, path: CollectionPath) -> AsyncQuery:
    """A query for every document of the collection, or of the collection group."""
    return client.collection_group(path.id) if path.is_group else AsyncQuery(client.collection(path.id))


def _is_own(path: CollectionPath, snapshot: Any) -> bool:
    """Whether the document fits the pattern. Every document of a plain collection does."""
    key = path.key_of(snapshot.reference.path)
    return key is not None and not is_foreign(key)


async def _other_collections(client: AsyncClient) -> list[str]:
    with suppress(exceptions.GoogleAPICallError, exceptions.RetryError):
        return [reference.id async for reference in client.collections(timeout=TIMEOUT_S)]
    return []


async def _listening(settings: Settings, schema: Schema, endpoint: Endpoint) -> Finding:
    """Whether a Listen stream on the window's newest document reaches a consistent point."""
    window = Window(settings.project_id, settings.firestore_database, settings.collection, schema.order, 1)
    listener = StreamListener(
        window,
        endpoint,
        projection=schema.projection,
        clock=boottime,
        observer=_Silent(),
        rng=random.Random(),  # noqa: S311 - a stream's lifetime
    )
    heard = asyncio.Event()

    async def apply(_: Event) -> None:
        heard.set()

    async def run_until_refused() -> None:
        """If a stream is refused at once, gRPC can report INTERNAL instead of Firestore's reason."""
        for attempt in range(1, MOST_STREAMS + 1):
            try:
                await listener.run(apply, lambda: None)
            except ListenerFailure as failure:
                if failure.permanent or attempt == MOST_STREAMS:
                    raise

    run = asyncio.create_task(run_until_refused(), name="check: listen")
    waiting = asyncio.create_task(heard.wait(), name="check: first point")
    try:
        await asyncio.wait({run, waiting}, timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if heard.is_set():
            return Finding("listening", "Firestore streams the collection's changes")
        failure = run.exception() if run.done() else None
        advice = "grant the account the role roles/datastore.viewer" if _is_refusal(failure) else _NO_ANSWER
        return Finding("listening", str(failure or f"no answer within {TIMEOUT_S:g} s"), advice)
    finally:
        for task in (run, waiting):
            task.cancel()
        await asyncio.gather(run, waiting, return_exceptions=True)


def _is_refusal(failure: BaseException | None) -> bool:
    return isinstance(failure, ListenerFailure) and failure.permanent


class _Silent:
    """An observer that counts nothing."""

    def documents_read(self, count: int) -> None:
        """See ListenerObserver."""

    def probe_answered(self, seconds: float) -> None:
        """See ListenerObserver."""


async def _index_findings(
    client: AsyncClient, schema: Schema, values: list[dict[str, object]]
) -> AsyncIterator[Finding]:
    """Ask for lists by each filter, as the service would; Firestore says where an index is missing."""
    path = schema.path
    scopes = {"": _all_of(client, path)}
    if path.is_group:
        parent = path.parent_of(dict.fromkeys(path.variables, "process-status-check"))  # need not exist
        scopes[" below one parent"] = AsyncQuery(client.collection(f"{parent}/{path.id}"))
    paths = {"status": schema.status_path, **{name: path.in_firestore for name, path in schema.filter_paths.items()}}
    for name, field in paths.items():
        if field is None:
            yield Finding(f"index for {name}", "none can be: it is an array's element, so only the model filters by it")
            continue
        example = next((document[field] for document in values if isinstance(document.get(field), str | int)), "")
        for scope, query in scopes.items():
            filtered = query.where(filter=FieldFilter(field, "==", example))
            yield await _index_finding(f"index for {name}{scope}", filtered, schema)


async def _index_finding(subject: str, filtered: AsyncQuery, schema: Schema) -> Finding:
    query = filtered.where(filter=FieldFilter(schema.order.field, ">=", schema.order.smallest))
    try:
        await query.order_by(schema.order.field, direction="DESCENDING").limit(1).get(timeout=TIMEOUT_S, retry=None)
    except exceptions.FailedPrecondition as error:
        return Finding(subject, error.message or "is missing", _DEPLOY_INDEXES)
    except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
        return Finding(subject, str(error), _NO_ANSWER)
    return Finding(subject, "a list by it is answered")


def _refusal(subject: str, error: Exception, settings: Settings) -> Finding:
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    if isinstance(error, exceptions.PermissionDenied):
        return Finding(subject, message, "grant the account the role roles/datastore.viewer in this project")
    if isinstance(error, exceptions.NotFound):
        where = f"{settings.firestore_database} of {settings.project_id}"
        return Finding(subject, message, f"create the database {where}, or correct FIRESTORE_DATABASE and PROJECT_ID")
    if isinstance(error, exceptions.FailedPrecondition) and "index" in message:  # a group's order needs one too
        return Finding("index for the order", message, _DEPLOY_INDEXES)
    if isinstance(error, exceptions.Unauthenticated):
        return Finding(subject, message, _NO_CREDENTIALS)
    return Finding(subject, message, _NO_ANSWER)


def _client_options(settings: Settings) -> Mapping[str, Any]:
    options: dict[str, Any] = {"project": settings.project_id, "database": settings.firestore_database}
    if settings.firestore_emulator_host:
        options["credentials"] = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return options


def _endpoint(settings: Settings) -> Endpoint:
    """Raises: DefaultCredentialsError."""
    if settings.firestore_emulator_host:
        return EmulatorEndpoint(settings.firestore_emulator_host)
    credentials, _ = google.auth.default(scopes=FirestoreGrpcAsyncIOTransport.AUTH_SCOPES)
    return GoogleEndpoint(credentials=credentials)
