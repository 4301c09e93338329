"""An in-memory Firestore that speaks the v1 gRPC protocol: for the demo, for tests, for benchmarks. Stores nothing.

Clients find it through FIRESTORE_EMULATOR_HOST. It is not made for production data and checks no credentials.

It behaves like Google's emulator: the same answers and the same refusals, with the same messages. Any gRPC client
works, including Firebase's web SDK in Node. Browsers do not: they need WebChannel, an HTTP protocol that this server
does not have. Vector search, explain, partitions and pipelines are refused as UNIMPLEMENTED, with the name of the
feature.
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
