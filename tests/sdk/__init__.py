"""Suites of Google's own client libraries, run on the local Firestore: `make test-sdk`. pip fetches them from PyPI."""
