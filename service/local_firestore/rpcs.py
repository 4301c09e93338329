"""The unary and server-streaming calls: from protocol message to protocol messages. Synchronous, so each is atomic."""

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from service.local_firestore import aggregations, messages
from service.local_firestore.database import Commit, Database
from service.local_firestore.errors import FirestoreError, invalid, unimplemented
from service.local_firestore.listings import list_collection_ids, list_documents
from service.local_firestore.messages import DocumentMessage, Message
from service.local_firestore.names import (
    check_collection_id,
    check_database_name,
    check_document_id,
    check_document_name,
    check_parent,
)
from service.local_firestore.paths import FieldPath, parse_field_path, project
from service.local_firestore.queries import compile_query, run
from service.local_firestore.store import Store
from service.local_firestore.transactions import Transaction, Transactions
from service.local_firestore.write_stream import WriteStream
from service.local_firestore.writes import name_written, take_over_write


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The time of a read. `at_us` None means now; then `read_us` is the present time."""

    at_us: int | None
    read_us: int
    transaction: Transaction | None = None
    is_new: bool = False


class Rpcs:
    """One method per call, with the name in the protocol. They raise FirestoreError for requests that they refuse."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._transactions: dict[str, Transactions] = {}
        self._write_streams = itertools.count()

    def _database(self, request: Message) -> Database:
        return self._store.named(check_database_name(request.database))

    def _transactions_of(self, database: Database) -> Transactions:
        if database.path not in self._transactions:
            self._transactions[database.path] = Transactions(database)
        return self._transactions[database.path]

    def _snapshot(self, database: Database, request: Message) -> Snapshot:
        now = self._store.clock.now()
        kind = request.WhichOneof("consistency_selector")
        if kind == "read_time":
            at_us = messages.exact_time_of(request.read_time)
            database.check_read_time(at_us)
            return Snapshot(at_us, at_us)
        if kind == "transaction":
            transaction = self._transactions_of(database).get(request.transaction)
            return Snapshot(transaction.read_us, transaction.read_us, transaction)
        if kind == "new_transaction":
            transaction = self._transactions_of(database).begin(request.new_transaction)
            return Snapshot(transaction.read_us, transaction.read_us, transaction, is_new=True)
        return Snapshot(None, now)

    # -- documents

    def get_document(self, request: Message) -> Message:
        database = self._store.named(check_document_name(request.name))
        mask = _mask(request)
        snapshot = self._snapshot(database, request)
        document = database.document(request.name, snapshot.at_us)
        if snapshot.transaction is not None:
            snapshot.transaction.saw(request.name, document)
        if document is None:
            raise FirestoreError(grpc.StatusCode.NOT_FOUND, f"Document ({request.name}) not found.")
        return _masked(document, mask)

    def batch_get_documents(self, request: Message) -> Iterator[Message]:
        database = self._database(request)
        mask = _mask(request)
        for name in request.documents:
            check_document_name(name, database.path)
        snapshot = self._snapshot(database, request)
        if snapshot.is_new and snapshot.transaction is not None:
            yield messages.BatchGetDocumentsResponse(transaction=snapshot.transaction.id)
        for name in dict.fromkeys(request.documents):
            document = database.document(name, snapshot.at_us)
            if snapshot.transaction is not None:
                snapshot.transaction.saw(name, document)
            response = messages.BatchGetDocumentsResponse()
            if document is None:
                response.missing = name
            else:
                response.found.CopyFrom(_masked(document, mask))
            messages.set_time(response.read_time, snapshot.read_us)
            yield response

    def list_documents(self, request: Message) -> Message:
        database = self._store.named(check_parent(request.parent))
        return list_documents(database, request, self._snapshot(database, request).at_us)

    def list_collection_ids(self, request: Message) -> Message:
        database = self._store.named(check_parent(request.parent))
        return list_collection_ids(database, request, self._snapshot(database, request).at_us)

    # -- queries

    def run_query(self, request: Message) -> Iterator[Message]:
        _refuse_explain(request)
        if request.WhichOneof("query_type") is None:
            raise invalid("only structured queries are supported")
        query = compile_query(request.parent, request.structured_query)
        database = self._store.named(request.parent)
        snapshot = self._snapshot(database, request)
        result = run(database, query, snapshot.at_us)
        if snapshot.transaction is not None:
            snapshot.transaction.saw_result(query, result.documents)
            if snapshot.is_new:
                yield messages.RunQueryResponse(transaction=snapshot.transaction.id)
        skipped = result.skipped
        for document in result.documents:
            response = messages.RunQueryResponse(document=query.shown(document), skipped_results=skipped)
            messages.set_time(response.read_time, snapshot.read_us)
            skipped = 0
            yield response
        if not result.documents:
            response = messages.RunQueryResponse(skipped_results=skipped)
            messages.set_time(response.read_time, snapshot.read_us)
            yield response

    def run_aggregation_query(self, request: Message) -> Iterator[Message]:
        _refuse_explain(request)
        query = aggregations.aggregated_query(request)
        database = self._store.named(request.parent)
        snapshot = self._snapshot(database, request)
        if snapshot.transaction is not None:
            snapshot.transaction.saw_result(query, run(database, query, snapshot.at_us).documents)
        response = messages.RunAggregationQueryResponse()
        aggregations.compute(database, query, snapshot.at_us, request, response.result.aggregate_fields)
        if snapshot.is_new and snapshot.transaction is not None:
            response.transaction = snapshot.transaction.id
        messages.set_time(response.read_time, snapshot.read_us)
        yield response

    # -- writes

    def commit(self, request: Message) -> Message:
        database = self._database(request)
        if request.transaction:
            self._transactions_of(database).close(request.transaction, with_writes=bool(request.writes))
        commit = database.commit(request.writes)
        response = messages.CommitResponse()
        messages.set_time(response.commit_time, commit.time_us)
        for index in range(len(commit.update_times)):
            _fill_result(response.write_results.add(), commit, index)
        return response

    def write_stream(self) -> WriteStream:
        """A new Write stream."""
        return WriteStream(next(self._write_streams), self.commit)

    def batch_write(self, request: Message) -> Message:
        """Each write is its own commit, because this call is not atomic.

        A malformed write makes it refuse all of them.
        """
        database = self._database(request)
        for write in request.writes:
            take_over_write(write, database.path)
        names = [name_written(write) for write in request.writes]
        if len(set(names)) != len(names):
            raise invalid("the same document cannot be written more than once in a single request")
        response = messages.BatchWriteResponse()
        for write in request.writes:
            result, status = response.write_results.add(), response.status.add()
            try:
                _fill_result(result, database.commit([write]), 0)
            except FirestoreError as refused:
                status.code, status.message = refused.number, refused.message
        return response

    def create_document(self, request: Message) -> Message:
        check_parent(request.parent)
        if not request.collection_id:
            raise invalid("collectionId is the empty string.")
        if request.document.name:
            raise invalid("document.name must not be set")
        collection_id = check_collection_id(request.collection_id)
        document_id = check_document_id(request.document_id) or uuid.uuid4().hex[:20]
        write = messages.Write(update=request.document)
        write.update.name = f"{request.parent}/{collection_id}/{document_id}"
        write.current_document.exists = False
        return self._write_one(write, write.update.name, request)

    def update_document(self, request: Message) -> Message:
        write = messages.Write(update=request.document)
        if request.HasField("update_mask"):
            write.update_mask.CopyFrom(request.update_mask)
        if request.HasField("current_document"):
            write.current_document.CopyFrom(request.current_document)
        return self._write_one(write, request.document.name, request)

    def _write_one(self, write: Message, name: str, request: Message) -> Message:
        database = self._store.named(check_document_name(name))
        mask = _mask(request)
        database.commit([write])
        return _masked(database.document(name), mask)

    def delete_document(self, request: Message) -> Message:
        write = messages.Write(delete=request.name)
        if request.HasField("current_document"):
            write.current_document.CopyFrom(request.current_document)
        self._store.named(check_document_name(request.name)).commit([write])
        return messages.Empty()

    def begin_transaction(self, request: Message) -> Message:
        database = self._database(request)
        transaction = self._transactions_of(database).begin(request.options)
        return messages.BeginTransactionResponse(transaction=transaction.id)

    def rollback(self, request: Message) -> Message:
        self._transactions_of(self._database(request)).rollback(request.transaction)
        return messages.Empty()


def _fill_result(result: Message, commit: Commit, index: int) -> None:
    update_time = commit.update_times[index]
    if update_time is not None:
        messages.set_time(result.update_time, update_time)
    result.transform_results.extend(commit.transform_results[index])


def _mask(request: Message) -> list[FieldPath] | None:
    """The fields of the answer; None means all."""
    return [parse_field_path(path) for path in request.mask.field_paths] if request.HasField("mask") else None


def _masked(document: DocumentMessage, mask: list[FieldPath] | None) -> DocumentMessage:
    return document if mask is None else project(document, mask)


def _refuse_explain(request: Message) -> None:
    if request.HasField("explain_options"):
        raise unimplemented("explain_options")
