"""The page's files as they are served. What they do is tested in a browser, in tests/browser."""

import re
from collections.abc import AsyncIterator
from importlib import resources

import pytest

from service.page import Page
from service.schema.description import describe
from service.schema.schema_file import default_schema
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import RunningService, running_service

FILES = sorted(file.name for file in resources.files("service.page").joinpath("static").iterdir())
DOCUMENT = resources.files("service.page").joinpath("static", "index.html").read_text()


@pytest.fixture
async def guarded(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningService]:
    """A service that wants an API key."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    async with running_service(local_firestore.host, project, api_keys=("a-key",)) as running:
        yield running


async def test_the_page_and_all_its_files_need_no_key_but_the_data_does(guarded: RunningService) -> None:
    for path in ("/ui", *(f"/ui/{name}" for name in FILES)):
        reply = await guarded.get(path)
        assert (path, reply.status) == (path, 200)
        assert reply.body
    for path in ("/status", "/events", "/readyz", "/ui/schema.json", "/ui/other.js", "/ui/", "/ui/../settings.py"):
        assert (path, (await guarded.get(path)).status) == (path, 401)


async def test_a_name_that_is_no_file_of_the_page_is_not_found(guarded: RunningService) -> None:
    for name in ("other.js", "__init__.py", "..%2F__init__.py", "%2e%2e", "static"):
        reply = await guarded.get(f"/ui/{name}", headers={"X-API-Key": "a-key"})
        assert (name, reply.status) == (name, 404)


async def test_a_parameter_of_the_page_is_refused_as_everywhere(guarded: RunningService) -> None:
    assert (await guarded.get("/ui?status=running")).status == 400


async def test_a_file_that_is_known_is_not_sent_again(guarded: RunningService) -> None:
    first = await guarded.get("/ui/page.js")
    again = await guarded.get("/ui/page.js", headers={"If-None-Match": first.headers["ETag"]})
    other = await guarded.get("/ui/page.js", headers={"If-None-Match": '"another"'})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (other.status, other.body) == (200, first.body)
    assert first.headers["Cache-Control"] == "no-cache"


async def test_head_says_what_get_would(guarded: RunningService) -> None:
    got, head = await guarded.get("/ui"), await guarded.request("HEAD", "/ui")
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Content-Security-Policy"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/ui", "text/html; charset=utf-8"),
        ("/ui/style.css", "text/css; charset=utf-8"),
        ("/ui/page.js", "text/javascript; charset=utf-8"),
        ("/ui/icon.svg", "image/svg+xml"),
    ],
)
async def test_every_file_carries_what_a_security_review_asks_for(
    guarded: RunningService, path: str, content_type: str
) -> None:
    headers = (await guarded.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert headers["Content-Type"] == content_type
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Permissions-Policy"].startswith("camera=()")


async def test_the_metrics_count_all_files_as_one_route(guarded: RunningService) -> None:
    await guarded.get("/ui/page.js")
    await guarded.get("/ui/style.css")
    text = (await guarded.get("/metrics", headers={"X-API-Key": "a-key"})).body.decode()
    assert re.findall(r'http_requests_total\{code="200",method="GET",route="(/ui[^"]*)"\} (\S+)', text) == [
        ("/ui/{file}", "2.0")
    ]


async def test_the_document_preloads_every_module_that_is_imported(guarded: RunningService) -> None:
    reply = await guarded.get("/ui")
    static = resources.files("service.page").joinpath("static")
    texts = [static.joinpath(name).read_text() for name in FILES if name.endswith(".js")]
    imported = {name for text in texts for name in re.findall(r'^import .*from "\./(\S+)";$', text, re.MULTILINE)}
    preloaded = re.findall(r'<link rel="modulepreload" href="ui/(\S+)">', reply.body.decode())
    assert len(imported) > 20
    assert sorted(preloaded) == sorted(imported)


def test_the_document_names_only_files_that_are_served() -> None:
    named = re.findall(r'(?:src|href)="([^"#]+)"', DOCUMENT)
    assert named
    assert {f"/{name}" for name in named} <= Page(describe(default_schema())).open_paths
