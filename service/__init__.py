"""A cached read model of Firestore process documents, served over HTTP."""

__version__ = "0.1.0"

SERVICE_NAME = "process-status-service"
"""The name in answers, logs and metrics."""
