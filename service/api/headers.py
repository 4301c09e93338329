"""Headers that every request or every answer can have, undeclared by operations; and paths that need no key."""

from service import SERVICE_NAME

BASE_HEADERS = {
    "Server": SERVICE_NAME,
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Every answer has these and X-Request-Id, unless its handler sets another value. Answers are data, so no page can
embed or run them.

Some usual headers are missing: `X-Frame-Options`, which the policy replaces; `Referrer-Policy`, because data has no
links; `Strict-Transport-Security`, which the component that terminates TLS sends.
"""

LOGGED_HEADERS = ("Traceparent", "User-Agent", "X-Cloud-Trace-Context")
"""Request headers that only log lines need."""

OPEN_PATHS = frozenset({"/", "/healthz"})
"""Paths that need no key. The page's files need none either, because they hold no data."""
