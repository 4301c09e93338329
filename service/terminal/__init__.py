"""`process-status watch` and `process-status list`: a terminal client of the HTTP API."""
