"""What can happen to a service, one thing at a time, each seen to have happened: requests, changes, the listener's lot.

For `suite/loop.py`, which asks how long each of them holds the loop.
"""

import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from benchmarks.firestore import COLLECTION, document_path, process_fields, process_id
from benchmarks.processes import Child
from benchmarks.refusal import NotMeasured
from benchmarks.watching_clients import Clients

WITH_FIELD, WITH_SUBCOLLECTION = "import-with-products", "import-with-product-documents"
PRODUCTS, PRODUCT_DOCUMENTS = 7_500, 1_000
"""As many as a document's 1 MiB has room for, and as many as are read of a subcollection."""

MANY, A_COMMIT, BATCH, POLLS = 10_000, 500, 100, 200
PATIENCE_S = 60.0


@dataclass
class Scene:
    """A service that holds `held` processes of `database`, and its port. `afterwards`: what need not be watched."""

    database: Child
    service: Child
    held: int
    afterwards: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def port(self) -> int:
        return urlsplit(self.service.ask("url")).port or 0


Scenario = Callable[[Scene], None]
"""Makes one thing happen once and returns when it has. Raises: NotMeasured where it did not happen as meant."""


def furnish(database: Child) -> None:
    """Processes with as many products as there may be."""
    products = [_product(number) for number in range(PRODUCTS)]
    database.ask("put", {f"{COLLECTION}/{WITH_FIELD}": {**process_fields(0, 0), "products": products}})
    apart = f"{COLLECTION}/{WITH_SUBCOLLECTION}"
    documents = {f"{apart}/products/{number:05}": _product(number) for number in range(PRODUCT_DOCUMENTS)}
    database.ask("put", {apart: process_fields(0, 0), **documents})


def _product(number: int) -> dict[str, object]:
    """Some 140 bytes of a document."""
    details = {"price": number / 100, "stock": number % 7, "ok": True}
    return {"sku": f"SKU-{number:08}", "title": f"Article number {number}", "state": "imported", **details}


# -- requests


def get(scene: Scene, path: str, contains: bytes = b"", **headers: str) -> bytes:
    """The body of a 200. Raises: NotMeasured."""
    with closing(http.client.HTTPConnection("127.0.0.1", scene.port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
    if answer.status != 200 or contains not in body:
        raise NotMeasured(f"{path[:60]} was answered {answer.status}: {body[:80]!r}")
    return body


def asks(path: str, contains: bytes = b"", *, times: int = 1) -> Scenario:
    """One who asks for that, again and again."""

    def run_once(scene: Scene) -> None:
        for _ in range(times):
            get(scene, path, contains)

    return run_once


def polls(scene: Scene) -> None:
    """One connection, one process after the other."""
    with closing(http.client.HTTPConnection("127.0.0.1", scene.port, timeout=PATIENCE_S)) as connection:
        for number in range(POLLS):
            connection.request("GET", f"/status/{process_id(number)}")
            if json.loads(connection.getresponse().read())["process_id"] != process_id(number):
                raise NotMeasured("a poll was answered with another process")


def batch(scene: Scene) -> None:
    asked = "&".join(f"process_id={process_id(number * (scene.held // BATCH))}" for number in range(BATCH))
    get(scene, f"/status?{asked}", b'"count":%d,' % BATCH)


def filtered(scene: Scene) -> None:
    """Filters that match one process of the oldest, and ones that match none."""
    get(scene, "/status?limit=1000&status=failed&end_date=2026-01-01T00:00:05Z", b'"count":1,')
    get(scene, "/status?limit=1000&status=no-such-status&start_date=2026-01-01", b'"count":0,')


def products_of_the_field(scene: Scene) -> None:
    body = get(scene, f"/status/{WITH_FIELD}?include_products=true", Cache_Control="no-cache")
    _expect(len(json.loads(body)["products"]), PRODUCTS, "products")


def products_of_the_subcollection(scene: Scene) -> None:
    body = get(scene, f"/status/{WITH_SUBCOLLECTION}?include_products=true", Cache_Control="no-cache")
    _expect(len(json.loads(body)["products"]), PRODUCT_DOCUMENTS, "products")


# -- event streams


def streams_all(scene: Scene) -> None:
    _stream(scene, "/events", scene.held + 2)


def streams_one_status(scene: Scene) -> None:
    _stream(scene, "/events?status=failed", scene.held // 4)


def resumes(scene: Scene) -> None:
    """Comes back after a commit of 500."""
    before = scene.database.ask("commit", 0, time.time_ns())
    change(scene, A_COMMIT)
    _stream(scene, "/events", A_COMMIT, f"Last-Event-ID: {before}\r\n")


def _stream(scene: Scene, path: str, events: int, header: str = "") -> None:
    """Read until so many events have come."""
    heard, ends = 0, b""
    with socket.create_connection(("127.0.0.1", scene.port), timeout=PATIENCE_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
        while heard < events:
            read = connection.recv(1 << 20)
            if not read:
                raise NotMeasured(f"{path} ended after {heard} of {events} events")
            heard += (ends + read).count(b"event: status")
            ends = read[-len(b"event: statu") :]


# -- changes


def change(scene: Scene, count: int) -> None:
    """So many in one commit."""
    numbers = [number * 7919 % scene.held for number in range(count)]
    scene.service.ask("reached", scene.database.ask("touch_together", numbers))


def changes(count: int, *, times: int = 1) -> Scenario:
    """So many of one commit become visible at once."""

    def run_once(scene: Scene) -> None:
        for _ in range(times):
            change(scene, count)

    return run_once


def change_with_products(scene: Scene) -> None:
    """The listener is sent the whole document, whatever is wanted of it."""
    products = [_product(number) for number in range(PRODUCTS)]
    fields = {**process_fields(0, time.time_ns()), "products": products}
    scene.service.ask("reached", scene.database.ask("put", {f"{COLLECTION}/{WITH_FIELD}": fields}))


def come_and_go(count: int) -> Scenario:
    """So many appear in one commit, and are gone with the next."""

    def run_once(scene: Scene) -> None:
        numbers = range(scene.held, scene.held + count)
        for gone in (False, True):
            documents = {document_path(number): None if gone else process_fields(number, 0) for number in numbers}
            scene.service.ask("reached", scene.database.ask("put", documents))

    return run_once


def reconnect(scene: Scene) -> None:
    """The listener's stream ends, and another goes on from its token."""
    scene.database.ask("end_streams")
    scene.service.ask("reached", scene.database.ask("commit", 0, time.time_ns()))


def reset(scene: Scene) -> None:
    _expect(scene.database.ask("reset"), 1, "targets reset")
    scene.service.ask("reached", scene.database.ask("commit", 0, time.time_ns()))


# -- those who wait


def waits(kind: str, count: int) -> Scenario:
    """So many come to wait for one process, and hear of one change."""

    def run_once(scene: Scene) -> None:
        version = scene.database.ask("commit", 0, time.time_ns())
        scene.service.ask("reached", version)
        heard: list[int] = []
        scene.afterwards.callback(_until, lambda: scene.service.ask("watchers") == 0, "the clients have gone")
        clients = Clients(scene.port, kind, lambda client, told, at: heard.append(told))
        scene.afterwards.callback(clients.close)
        clients.asks_again = False
        clients.connect(count, version)
        _until(lambda: scene.service.ask("watchers") == count, f"{count} clients wait")
        scene.database.ask("commit", 0, time.time_ns())

        def all_have_heard() -> bool:
            clients.turn(0.1)
            return len(heard) == count

        _until(all_have_heard, f"all {count} clients have heard")

    return run_once


def while_waiting(count: int, meanwhile: Scenario) -> Scenario:
    """So many wait for a process that does not change, and something else happens."""

    def run_once(scene: Scene) -> None:
        scene.afterwards.callback(_until, lambda: scene.service.ask("watchers") == 0, "the clients have gone")
        clients = Clients(scene.port, "long_polls", process=process_id(1))
        scene.afterwards.callback(clients.close)
        clients.connect(count, scene.database.ask("commit", 1, time.time_ns()))
        _until(lambda: scene.service.ask("watchers") == count, f"{count} clients wait")
        meanwhile(scene)

    return run_once


def _until(claim: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        if time.monotonic() > deadline:
            raise NotMeasured(f"not within {PATIENCE_S:g} s: {what}")


def _expect(found: int, expected: int, what: str) -> None:
    if found != expected:
        raise NotMeasured(f"{found} {what} where {expected} were expected")


# -- in the service itself


def requests(name: str) -> Scenario:
    """What the service is made to do by itself."""

    def run_once(scene: Scene) -> None:
        if scene.service.ask(name) is False:
            raise NotMeasured(f"{name} did not go well")

    return run_once


def rests(scene: Scene) -> None:
    """Nothing happens: what the measuring costs."""
    time.sleep(0.2)
