"""The unary and server-streaming calls: protocol message in, protocol messages out. Synchronous, so each is atomic."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from service.local_firestore import aggregations, messages
from service.local_firestore.database import Commit, Database
from service.local_firestore.errors import FirestoreError, invalid, unimplemented
from service.local_firestore.listings import list_collection_ids, list_documents
from service.local_firestore.messages import DocumentMessage, Message
from service.local_firestore.paths import check_document_name, parse_field_path, project
from service.local_firestore.queries import compile_query, run
from service.local_firestore.store import Store
from service.local_firestore.transactions import Transaction, Transactions


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a read sees: `at_us` None is the present, which is then `read_us`."""

    at_us: int | None
    read_us: int
    transaction: Transaction | None = None
    is_new: bool = False


class Rpcs:
    """One method for each call, named as in the protocol. All raise FirestoreError for what they refuse."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._transactions: dict[str, Transactions] = {}

    def _transactions_of(self, database: Database) -> Transactions:
        if database.path not in self._transactions:
            self._transactions[database.path] = Transactions(database)
        return self._transactions[database.path]

    def _snapshot(self, database: Database, request: Message) -> Snapshot:
        now = self._store.clock.now()
        kind = request.WhichOneof("consistency_selector")
        if kind == "read_time":
            at_us = messages.time_of(request.read_time)
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
        database = self._store.named(request.name)
        check_document_name(request.name, database.path)
        snapshot = self._snapshot(database, request)
        document = database.document(request.name, snapshot.at_us)
        if snapshot.transaction is not None:
            snapshot.transaction.saw(request.name, document)
        if document is None:
            raise FirestoreError(grpc.StatusCode.NOT_FOUND, f"Document ({request.name}) not found.")
        return _masked(document, request)

    def batch_get_documents(self, request: Message) -> Iterator[Message]:
        database = self._store.named(request.database)
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
                response.found.CopyFrom(_masked(document, request))
            messages.set_time(response.read_time, snapshot.read_us)
            yield response

    def list_documents(self, request: Message) -> Message:
        database = self._store.named(request.parent)
        return list_documents(database, request, self._snapshot(database, request).at_us)

    def list_collection_ids(self, request: Message) -> Message:
        return list_collection_ids(self._store.named(request.parent), request)

    # -- queries

    def run_query(self, request: Message) -> Iterator[Message]:
        _refuse_explain(request)
        database = self._store.named(request.parent)
        query = compile_query(request.parent, request.structured_query)
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
        database = self._store.named(request.parent)
        query = compile_query(request.parent, request.structured_aggregation_query.structured_query)
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
        database = self._store.named(request.database)
        if request.transaction:
            self._transactions_of(database).close(request.transaction, with_writes=bool(request.writes))
        commit = database.commit(request.writes)
        response = messages.CommitResponse()
        messages.set_time(response.commit_time, commit.time_us)
        for index in range(len(commit.update_times)):
            _fill_result(response.write_results.add(), commit, index)
        return response

    def batch_write(self, request: Message) -> Message:
        """Each write is a commit of its own, as the call promises no atomicity."""
        database = self._store.named(request.database)
        names = [write.update.name or write.delete for write in request.writes]
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
        document_id = request.document_id or uuid.uuid4().hex[:20]
        write = messages.Write(update=request.document)
        write.update.name = f"{request.parent}/{request.collection_id}/{document_id}"
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
        database = self._store.named(name)
        database.commit([write])
        return _masked(database.document(name), request)

    def delete_document(self, request: Message) -> Message:
        write = messages.Write(delete=request.name)
        if request.HasField("current_document"):
            write.current_document.CopyFrom(request.current_document)
        self._store.named(request.name).commit([write])
        return messages.Empty()

    def begin_transaction(self, request: Message) -> Message:
        database = self._store.named(request.database)
        transaction = self._transactions_of(database).begin(request.options)
        return messages.BeginTransactionResponse(transaction=transaction.id)

    def rollback(self, request: Message) -> Message:
        self._transactions_of(self._store.named(request.database)).rollback(request.transaction)
        return messages.Empty()


def _fill_result(result: Message, commit: Commit, index: int) -> None:
    update_time = commit.update_times[index]
    if update_time is not None:
        messages.set_time(result.update_time, update_time)
    result.transform_results.extend(commit.transform_results[index])


def _masked(document: DocumentMessage, request: Message) -> DocumentMessage:
    if not request.HasField("mask"):
        return document
    return project(document, [parse_field_path(path) for path in request.mask.field_paths])


def _refuse_explain(request: Message) -> None:
    if request.HasField("explain_options"):
        raise unimplemented("explain_options")
