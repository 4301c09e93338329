"""Log lines at the start: which documents the service reads, and where schema and collection do not fit.

Looks once, after the listener has synced. Reads at most SAMPLE documents and, if there are none, the names of the
collections. Nothing here stops the service: if Firestore refuses a read, that becomes a log line too.
`process-status check` checks more.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import NoReturn

from listeners.window import Window
from service.errors import ReadRefused, Unreachable
from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.reads.firestore_reader import FirestoreReader
from service.schema import findings
from service.schema.compiled import Schema
from service.schema.findings import Finding

log = logging.getLogger(__name__)

SAMPLE = 20
MOST_STATUSES = 1000


class StartFindings:
    """Belongs to one event loop and one start."""

    def __init__(self, model: ReadModel, reader: FirestoreReader, schema: Schema, window: Window) -> None:
        self._model = model
        self._reader = reader
        self._schema = schema
        self._window = window
        self._has_synced = asyncio.Event()
        if model.has_synced:
            self._has_synced.set()
        model.subscribe(self._applied)

    def _applied(self, _: Applied) -> None:
        self._has_synced.set()

    async def run(self) -> NoReturn:
        """Look once, then wait until cancelled."""
        log.info("reading %s", self._place())
        await self._has_synced.wait()
        await self.report()
        while True:
            await asyncio.Event().wait()

    def _place(self) -> str:
        window, field = self._window, self._schema.order.field
        documents = f"the newest {window.size:,} by {field}" if window.size else "all documents"
        return f"{documents} of {window.collection}, project {window.project}, database {window.database}"

    async def report(self) -> None:
        """Log a warning for each problem."""
        try:
            found = await self._look()
        except (Unreachable, ReadRefused) as error:
            log.warning("schema and collection were not compared: %s", error)
            return
        for finding in found:
            if finding.advice:
                log.warning("%s: %s; %s", finding.subject, finding.found, finding.advice)

    async def _look(self) -> Iterable[Finding]:
        sample = await self._reader.sample(SAMPLE)
        if not sample:
            if len(self._model):
                return ()  # the documents were deleted meanwhile, or are new
            collection, others = self._window.collection, await self._reader.collection_ids()
            has_similar = findings.similar_name(collection.partition("/")[0], others) is not None
            return (findings.of_emptiness(collection, others),) if has_similar else ()  # a new collection begins empty
        held = self._model.held()[:MOST_STATUSES] or [self._schema.summarize("", 1, values)[0] for values in sample]
        statuses = [each.status for each in held if each.status is not None]
        return findings.of_order(self._schema, sample), findings.of_statuses(self._schema, statuses)
