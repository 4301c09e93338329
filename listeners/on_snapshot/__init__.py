"""The `on_snapshot` listener, which uses the client library's `on_snapshot`."""
