"""The programs that the documentation shows run as they stand: they tell each state once, and end with the process."""

import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, pairwise
from pathlib import Path

import pytest

from service.settings import DEMO_PROJECT
from tests.deploy.pages import Block, blocks
from tests.deploy.programs import Program, eventually, fetch, running, serving
from tests.deploy.test_readme import PAGES
from tests.firestore_servers import BackgroundFirestore

PROGRAMS = [block for block in blocks(*PAGES) if block.language in ("python", "javascript")]
POLLS = [block for block in PROGRAMS if "Retry-After" in block.text]
NUMBERS = count(1)


def variants(block: Block) -> list[str]:
    """The program as it stands, and with each of the lines that it offers in a comment."""
    offered = re.findall(r"^( *)((?:#|//) )(updates = .*)$", block.text, re.MULTILINE)
    taken = [block.text.replace(indent + comment + line, indent + line) for indent, comment, line in offered]
    return [block.text, *taken]


VARIANTS = [(block.language, program) for block in PROGRAMS for program in variants(block)]
THAT_POLL = [(block.language, block.text) for block in POLLS]
THAT_WAIT = [(block.language, program) for block in POLLS for program in variants(block)[1:]]


def command_for(language: str, program: str, url: str, process_id: str, directory: Path) -> list[str | Path]:
    """How to run it against this service. Skips the test where Node is missing."""
    path = directory / f"example.{'py' if language == 'python' else 'mjs'}"
    path.write_text(program.replace("http://localhost:8080", url).replace("import-1", process_id))
    if language == "python":
        return [sys.executable, "-W", "error", path]
    node = shutil.which("node")
    flags = ["--experimental-eventsource"] if "new EventSource" in program else []
    if node is None or subprocess.run([node, *flags, "-e", "fetch"], capture_output=True, check=False).returncode:
        pytest.skip(f"no node that takes {flags}")
    return [node, *flags, path]


class Process:
    """A process that is being written about."""

    def __init__(self, firestore: BackgroundFirestore) -> None:
        self.id = f"import-{next(NUMBERS)}"
        self._firestore = firestore
        self._started = datetime.now(UTC)

    def has(self, status: str, processed: int) -> None:
        fields = {"status": status, "products_processed": processed, "start_time": self._started}
        self._firestore.commit(DEMO_PROJECT, {f"webServiceLogs/{self.id}": fields})


def told(program: Program) -> str:
    return "".join(program.said)


def total(url: str, series: str) -> float:
    """The sum of the metric's series whose names begin like this."""
    metrics = fetch(f"{url}/metrics")[1].decode()
    return sum(map(float, re.findall(rf"^process_status_{series}.*? (\S+)$", metrics, re.MULTILINE)))


def answered(url: str, code: int) -> float:
    """How many requests were answered with this code."""
    return total(url, f'http_requests_total{{code="{code}"')


@pytest.fixture(scope="module")
def firestore() -> Iterator[BackgroundFirestore]:
    with BackgroundFirestore() as firestore:
        yield firestore


@pytest.fixture(scope="module")
def url(firestore: BackgroundFirestore) -> Iterator[str]:
    with serving(firestore.host) as service:
        yield service.found


@pytest.mark.parametrize(("language", "program"), VARIANTS)
def test_it_tells_each_state_once_and_ends_with_the_process(
    firestore: BackgroundFirestore, url: str, tmp_path: Path, language: str, program: str
) -> None:
    process = Process(firestore)
    process.has("running", 1111)
    eventually(lambda: fetch(f"{url}/status/{process.id}")[0] == 200, "the process is there")
    with running(command_for(language, program, url, process.id, tmp_path), "1111") as example:
        process.has("running", 2222)
        eventually(lambda: "2222" in told(example), "the change is told")
        process.has("completed", 3333)
        eventually(lambda: example.process.poll() is not None, "the program has ended")
        assert example.process.returncode == 0, told(example)
        assert [told(example).count(each) for each in ("1111", "2222", "3333")] == [1, 1, 1]


@pytest.mark.parametrize(("language", "program"), THAT_POLL)
def test_a_poll_names_the_version_it_has_seen(
    firestore: BackgroundFirestore, url: str, tmp_path: Path, language: str, program: str
) -> None:
    process = Process(firestore)
    process.has("running", 1111)
    eventually(lambda: fetch(f"{url}/status/{process.id}")[0] == 200, "the process is there")
    before = answered(url, 304)
    with running(command_for(language, program, url, process.id, tmp_path), "1111"):
        eventually(lambda: answered(url, 304) > before, "a poll was answered with 304")


@pytest.fixture(scope="module")
def small_url(firestore: BackgroundFirestore) -> Iterator[str]:
    """A service in which one client may wait at a time."""
    with serving(firestore.host, MAX_WATCHERS="1") as service:
        eventually(lambda: fetch(f"{service.found}/readyz")[0] == 200, "the service is ready")
        yield service.found


@pytest.mark.parametrize(("language", "program"), THAT_WAIT)
def test_it_comes_back_after_a_503(
    firestore: BackgroundFirestore, small_url: str, tmp_path: Path, language: str, program: str
) -> None:
    process = Process(firestore)  # it does not exist yet: an answer would need no place
    command = command_for(language, program, small_url, process.id, tmp_path)
    before = answered(small_url, 503)
    eventually(lambda: total(small_url, "watchers") == 0, "the only place is free")
    with urllib.request.urlopen(f"{small_url}/events"):  # noqa: S310 - it takes the only place
        example = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        eventually(lambda: answered(small_url, 503) > before, "the program was sent away")
        process.has("completed", 1111)
    output, _ = example.communicate(timeout=45)
    assert (example.returncode, output.count("1111")) == (0, 1)


THAT_KEEP_ASKING = [variant for variant in VARIANTS if "EventSource" not in variant[1]]
ASKS_FOR_CHANGES = re.compile(r"^ *updates = changes", re.MULTILINE)
THAT_ASK_FOR_STATES = [each for each in THAT_KEEP_ASKING if not ASKS_FOR_CHANGES.search(each[1])]


@pytest.mark.parametrize(("language", "program"), THAT_KEEP_ASKING)
def test_it_waits_for_a_process_that_has_not_begun(
    firestore: BackgroundFirestore, url: str, tmp_path: Path, language: str, program: str
) -> None:
    process = Process(firestore)
    before = answered(url, 404)
    command = command_for(language, program, url, process.id, tmp_path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as example:
        eventually(lambda: answered(url, 404) > before or total(url, "watchers") > 0, "it was answered 404, or waits")
        process.has("completed", 1111)
        output, _ = example.communicate(timeout=45)
    assert (example.returncode, output.count("1111")) == (0, 1), output


class ForgetfulCache(BaseHTTPRequestHandler):
    """Answers every request at once with the same state, whatever the client has seen."""

    asked_at: list[float]

    def do_GET(self) -> None:
        self.asked_at.append(time.monotonic())
        body = b'{"process_id":"a","status":"running"}'
        self.send_response(200)
        for name, value in (("Content-Type", "application/json"), ("ETag", '"v1"'), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(("language", "program"), THAT_ASK_FOR_STATES)
def test_a_cache_that_answers_at_once_is_asked_once_a_second(tmp_path: Path, language: str, program: str) -> None:
    asked_at: list[float] = []
    handler = type("Cache", (ForgetfulCache,), {"asked_at": asked_at})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as cache:
        threading.Thread(target=cache.serve_forever).start()
        try:
            url = f"http://127.0.0.1:{cache.server_port}"
            with subprocess.Popen(
                command_for(language, program, url, "a", tmp_path), stdout=subprocess.PIPE
            ) as example:
                eventually(lambda: len(asked_at) >= 4, "it was asked four times")
                example.kill()
        finally:
            cache.shutdown()
    pauses = [later - earlier for earlier, later in pairwise(asked_at)]
    assert min(pauses[1:]) > 0.9, pauses  # the first answer brought news
