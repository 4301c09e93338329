"""What holds for the headers of every request and answer, however it is made."""

SERVER = "process-status-service"

BASE_HEADERS = {
    "Server": SERVER,
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer carries beside its X-Request-Id, unless it says otherwise itself: it is data, for no cache, page or
frame to make more of.

Not among them: `X-Frame-Options`, which the policy has replaced; `Referrer-Policy`, for data links to nothing;
`Strict-Transport-Security`, which is for whoever terminates TLS to say.
"""

OPEN_PATHS = frozenset({"/", "/healthz"})
"""Answered without a key: that the service is there and alive. The files of the page, which hold no data, are too."""
