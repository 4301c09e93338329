"""The fixtures of the service's tests that tests of its processes need, too."""

from tests.service.conftest import firestore_host, listener_kind, local_firestore

__all__ = ["firestore_host", "listener_kind", "local_firestore"]
