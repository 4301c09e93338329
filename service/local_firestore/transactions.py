"""Optimistic transactions: reads see one snapshot, and the commit fails (ABORTED) if any of them is outdated.

Production locks by default instead. A client that retries aborted transactions sees no difference.
"""

import os
from collections import OrderedDict
from dataclasses import dataclass, field

import grpc

from service.local_firestore import messages
from service.local_firestore.database import Database
from service.local_firestore.errors import FirestoreError, invalid
from service.local_firestore.messages import DocumentMessage, Message
from service.local_firestore.queries import Query, run

MAX_AGE_US = 270 * 1_000_000
MAX_OPEN = 10_000

Version = tuple[str, int]


@dataclass(slots=True)
class Transaction:
    """One open transaction: its snapshot, and the documents that it has read."""

    id: bytes
    read_only: bool
    began_us: int
    read_us: int
    documents: dict[str, int] = field(default_factory=dict)
    queries: list[tuple[Query, list[Version]]] = field(default_factory=list)

    def saw(self, name: str, document: DocumentMessage | None) -> None:
        self.documents.setdefault(name, _version(document))

    def saw_result(self, query: Query, documents: list[DocumentMessage]) -> None:
        self.queries.append((query, [(document.name, _version(document)) for document in documents]))


class Transactions:
    """The open transactions of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: OrderedDict[bytes, Transaction] = OrderedDict()
        self._instance = os.urandom(8)
        self._begun = 0

    def begin(self, options: Message) -> Transaction:
        now = self._database.clock.now()
        read_only = options.WhichOneof("mode") == "read_only"
        read_us = now
        if read_only and options.read_only.HasField("read_time"):
            read_us = messages.exact_time_of(options.read_only.read_time)
            self._database.check_read_time(read_us)
        if options.read_write.retry_transaction:
            self._check_is_known(options.read_write.retry_transaction)
        self._begun += 1
        transaction = Transaction(self._instance + self._begun.to_bytes(8, "big"), read_only, now, read_us)
        self._open[transaction.id] = transaction
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        return transaction

    def _check_is_known(self, transaction_id: bytes) -> None:
        """Raise unless the transaction began here; it can be over already."""
        instance, number = transaction_id[: len(self._instance)], transaction_id[len(self._instance) :]
        if instance != self._instance or not 0 < int.from_bytes(number, "big") <= self._begun:
            raise invalid("Invalid transaction.")

    def get(self, transaction_id: bytes) -> Transaction:
        self._check_is_known(transaction_id)
        transaction = self._open.get(transaction_id)
        if transaction is None or self._database.clock.now() - transaction.began_us > MAX_AGE_US:
            raise invalid("Transaction is invalid or closed.")
        return transaction

    def rollback(self, transaction_id: bytes) -> None:
        """End it without a commit. Does nothing if it is over already."""
        self._check_is_known(transaction_id)
        self._open.pop(transaction_id, None)

    def close(self, transaction_id: bytes, *, with_writes: bool) -> None:
        """End it before its commit. Raises if it must not write, or if a read is outdated."""
        transaction = self.get(transaction_id)
        if transaction.read_only and with_writes:
            raise invalid("Cannot modify entities in a read-only transaction.")
        del self._open[transaction_id]
        if not transaction.read_only and not self._is_up_to_date(transaction):
            raise FirestoreError(grpc.StatusCode.ABORTED, "Too much contention on these documents. Please try again.")

    def _is_up_to_date(self, transaction: Transaction) -> bool:
        database = self._database
        return all(_version(database.document(name)) == seen for name, seen in transaction.documents.items()) and all(
            [(document.name, _version(document)) for document in run(database, query).documents] == seen
            for query, seen in transaction.queries
        )


def _version(document: DocumentMessage | None) -> int:
    return 0 if document is None else messages.time_of(document.update_time)
