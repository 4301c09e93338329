"""An in-memory Firestore that speaks the v1 gRPC protocol: for the demo, for tests, for benchmarks. Keeps nothing.

Clients find it through FIRESTORE_EMULATOR_HOST. It is not made for production data and checks no credentials.

It behaves as Google's emulator does: the same answers, the same refusals, in the same words. Any gRPC client works,
Firebase's web SDK in Node included. Browsers are not served: they speak WebChannel, an HTTP protocol that this
server does not have. Vector search, explain, partitions and pipelines are UNIMPLEMENTED, by name.
"""

from service.local_firestore.database import CommitRecord, Database
from service.local_firestore.errors import FirestoreError
from service.local_firestore.fault import Fault
from service.local_firestore.faults import Faults
from service.local_firestore.server import LocalFirestore
from service.local_firestore.serving import serve
from service.local_firestore.store import Store

__all__ = [
    "CommitRecord",
    "Database",
    "Fault",
    "Faults",
    "FirestoreError",
    "LocalFirestore",
    "Store",
    "serve",
]
