"""Requests as hardly any client sends them, and the parts that they are made of."""

from itertools import pairwise

from hypothesis import strategies as st

from tests.service.http.both import HELD, LEAST, head

TARGETS = [
    *(b"/status/" + each.encode() for each in HELD),
    b"/status/nobody",
    b"/status/%61mport-1",
    b"/status/import%2D1",
    b"/status/.",
    b"/status/..",
    b"/status/__x__",
    b"/status/\xff",
    b"/status/a{b}",
    b"/status/a%7Bb%7D",
    b"/status/%61{b%7d?",
    b"/%73tatus/import-1",
    b"/status/import-1/events/",
    b"/status/x;y",
    b"/status/%2E%2E",
    b"/status/a%2Fb",
    b"/status%2Fimport-1",
    b"http://s",
    b"http://s?limit=2",
    b"HTTP://s:80/status?limit=2",
    b"*",
    b"/%zz",
    b"//",
    b"/ui/",
    b"/ui/%69ndex.html",
    b"/ui/index.html",
    b"/ui/nothing",
    b"/openapi.json?x=1",
    b"/readyz/x",
    b"/status/",
    b"/status/import-1?",
    b"/status/import-1?include_products=false",
    b"/status/import-1?nonsense=1",
    b"/status/import-1?wait=0",
    b"/status/import-1?wait=60&wait=60",
    b"/status/import-1?wait=60&include_products=x",
    b"/status/import-1?until=terminal",
    b"/status/nobody?wait=0",
    b"/status/completed?wait=60&until=terminal",
    b"/status/completed?until=terminal&wait=60&include_products=false",
    b"/status/completed?until=terminal&wait=60&include_products=yes",
    b"/status/import-1#x",
    b"/status/import-1/",
    b"//status/import-1",
    b"/status//import-1",
    b"/status/./import-1",
    b"http://s/status/import-1",
    b"/status",
    b"/status?",
    b"/status?limit=2",
    b"/status?limit=0",
    b"/status?limit=2&limit=2",
    b"/status?limit=%32&status=running",
    b"/status?&status=waiting&",
    b"/status?status=not+there",
    b"/status?status=%zz",
    b"/status?status=",
    b"/status?start_date=2026-11-23&end_date=2026-11-23T23:59:59.5%2b01:00",
    b"/status?end_date=2026-13-01",
    b"/status?page_token=x",
    b"/status?nonsense=1",
    b"/status?process_id=import-1",
    b"/status?limit=2#x",
    b"/status?limit=2?",
    b"/status/?limit=2",
    b"/healthz",
]
ETAGS = [
    b'"v{now}"',
    b'W/"v{now}"',
    b'"v{old}", "v{now}"',
    b'"v{old}"',
    b'"v{new}"',
    b'"v0{now}"',
    b'"v{now}-p"',
    b'"v0"',
    b'"v99999999999999999999"',
    b"v{now}",
    b"*",
    b'"other"',
    b'"v\xd9\xa1"',
    b'"{list}"',
    b'W/"{list}"',
    b'"{list}", "v{now}"',
    b'"0123456789abcdef01234567"',
]
USUAL = [
    b"Host: s",
    b"User-Agent: curl/8.1",
    b'User-Agent: "quoted" \\ {agent}',
    b"Accept: */*",
    b"accept-encoding: gzip, deflate, br",
    b"Connection: keep-alive",
    b"Connection: Keep-Alive",
    b"X-Request-Id: mine-1",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"X-Cloud-Trace-Context: 0af7651916cd43dd8448eb211c80319c/255;o=1",
    b"Origin: https://page.example",
    b"Origin: https://other.example",
    b"X-API-Key: key-2",
    b"Authorization: Bearer key-1",
    b"Cookie: a=b; c=d",
    b"X-Forwarded-For: 192.0.2.1, 192.0.2.2",
    b"Sec-Fetch-Mode: cors",
]
UNUSUAL = [
    b"Host:s",
    b"Host:",
    b"host : s",
    b"User-Agent:  two spaces ",
    b"User-Agent: caf\xc3\xa9",
    b"User-Agent: \xff",
    b"User-Agent: a\tb",
    b"User-Agent: a\x00b",
    b"User-Agent: a\r\n folded",
    b"X-Request-Id: not one!",
    b"X-Request-Id: " + b"a" * 129,
    b"X-Other: value",
    b"Connection: close",
    b"Connection: keep-alive, X-Other",
    b"Content-Length: 0",
    b"Content-Length: 3",
    b"Content-Length: -1",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Expect: 100-Continue",
    b"Expect: \xff",
    b"Expect: else",
    b"Host: a/b@c",
    b"Host: [::1]:80",
    b"Upgrade: h2c",
    b"Connection: upgrade\r\nUpgrade: h2c",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Encoding: gzip",
    b"If-Match: *",
    b'If-Match: "x"',
    b"Access-Control-Request-Method: GET",
    b"Connection: keep-alive",
    b"Prefer: respond-async",
    b"Cache-Control: no-cache",
    b"Cache-Control: max-age=5",
    b"Range: bytes=0-1",
    b"X-API-Key: wrong",
    b"Authorization: Basic key-1",
    b"Cookie: " + b"c" * 8170,
    b"Cookie: " + b"c" * 9000,
    b"no colon",
    b": no name",
    b"B\xe4d: name",
    b"",
]
METHODS = [b"GET", b"HEAD", b"POST", b"get", b"GE", b"OPTIONS", b"CONNECT", b"PUT", b"PRI", b"M-SEARCH"]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 "]
ENDS = [b"\r\n", b"\n", b"\r"]
CONDITIONS = [b"If-None-Match: " + etag for etag in ETAGS]
DEVIATIONS = [
    *(head(target) for target in TARGETS),
    *(head(headers=[*LEAST, line]) for line in [*USUAL, *UNUSUAL, *CONDITIONS]),
    *(head(headers=[line]) for line in [*USUAL, *UNUSUAL]),
    *(head(b"/status", [*LEAST, line]) for line in [*USUAL, *UNUSUAL, *CONDITIONS]),
    *(head(method=method) for method in METHODS),
    *(head(version=version) for version in VERSIONS),
    *(head(end=end) for end in ENDS),
]
"""Each differs in one thing from the request that nearly all clients send."""

any_line = st.sampled_from([*USUAL, *UNUSUAL, *CONDITIONS])
canonical = st.lists(st.sampled_from(USUAL), max_size=4, unique=True).map(lambda lines: [*LEAST, *lines])
headers = st.one_of(
    canonical,
    st.tuples(canonical, any_line).map(lambda both: [*both[0], both[1]]),
    st.lists(any_line, max_size=4),
)
requests = st.one_of(
    st.builds(head, st.sampled_from(TARGETS), headers),
    st.builds(head, st.sampled_from(TARGETS), headers, *map(st.sampled_from, (METHODS, VERSIONS, ENDS))),
)
plain = st.builds(head, st.sampled_from([b"/status/import-1", b"/status?limit=2"]), canonical)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A request with one of its bytes removed, replaced or doubled."""
    data = draw(plain)
    place = draw(st.integers(0, len(data) - 1))
    instead = draw(
        st.sampled_from([b"", data[place : place + 1] * 2, b"\x00", b"\n", b"\r", b" ", b"%", b"\x80", b"/"])
    )
    return data[:place] + instead + data[place + 1 :]


pipelines = st.one_of(
    plain,
    requests,
    mutated(),
    st.lists(st.one_of(plain, requests), min_size=2, max_size=4).map(b"".join),
    st.lists(st.one_of(plain, mutated()), min_size=2, max_size=4).map(b"".join),
    st.integers(14, 40).flatmap(lambda count: plain.map(lambda request: request * count)),
    st.tuples(plain, st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n", b"x"])).map(lambda two: two[0] + two[1] + two[0]),
)
splits = st.lists(st.integers(0, 2**16), max_size=3)


def in_parts(data: bytes, places: list[int]) -> list[bytes]:
    """Cut at these places, each taken within the length that there is."""
    cuts = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(cuts)]
