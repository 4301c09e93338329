"""Headers of every request and every answer that no operation declares, and paths that need no key."""

from service import SERVICE_NAME

BASE_HEADERS = {
    "Server": SERVICE_NAME,
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Every answer has these beside X-Request-Id, unless its handler sets another value. Answers are data, so no page can
embed or run them.

Left out: `X-Frame-Options`, which the policy replaces; `Referrer-Policy`, because data has no links;
`Strict-Transport-Security`, which the component that terminates TLS sends.
"""

LOGGED_HEADERS = ("Traceparent", "User-Agent", "X-Cloud-Trace-Context")
"""Request headers that are read for log lines alone."""

OPEN_PATHS = frozenset({"/", "/healthz"})
"""Answered without a key. The files of the page, which hold no data, need no key either."""
