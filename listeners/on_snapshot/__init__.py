"""The listener on the client library's `on_snapshot`."""
