"""What goes wrong during the run, one thing after the other, seeded; and how long each replica takes to recover.

After each fault Firestore takes one more commit. A replica has recovered once that version is a `HIT` there, and a
direct read is answered again.
"""

import functools
import http.client
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.names import status_path
from benchmarks.chaos.service import Service
from benchmarks.chaos.stage import Stage

GIVEN_UP_AFTER = 4
"""Times what is allowed."""


@dataclass
class Recoveries:
    """Seconds until the slowest replica has recovered, by kind of fault: its model, and its direct reads."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    reads: dict[str, list[float]] = field(default_factory=dict)
    overdue: list[str] = field(default_factory=list)


class Injector:
    """Runs on a thread of its own until told to stop; ends every fault it began. `kinds`: only these, () is all."""

    def __init__(self, stage: Stage, kinds: tuple[str, ...], say: Callable[[str], None]) -> None:
        self._stage = stage
        self._kinds = kinds or tuple(KINDS)
        self._rounds = 0
        self._say = say
        self.recoveries = Recoveries()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="injector")

    def start(self, rounds: int = 0) -> None:
        """Begin; 0 rounds: go on until `stop`."""
        self._rounds = rounds
        self._thread.start()

    def stop(self) -> None:
        """Wait until the present fault is over and recovered from. Raises: what went wrong on the thread."""
        self._stage.is_over.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._recovered_after(self._stage.times.recovered_s)
            for _ in range(self._rounds) if self._rounds else itertools.count():
                for kind in self._stage.chance.sample(self._kinds, len(self._kinds)):
                    if self._stage.is_over.wait(self._pause_s()):
                        return
                    self._inject(kind)
        except BaseException as failure:  # noqa: BLE001 - raised again where it is waited for
            self.failure = failure

    def _pause_s(self) -> float:
        """Often too short for a listener's back-off to begin anew."""
        return self._stage.chance.uniform(0.2, 4) * self._stage.times.shortest_s

    def _inject(self, kind: str) -> None:
        try:
            KINDS[kind].fault(self._stage)
        finally:
            self._stage.firestore.ask("release")
        allowed_s = self._stage.times.recovered_s * KINDS[kind].slower
        model_s, reads_s = self._recovered_after(allowed_s)
        self.recoveries.seconds.setdefault(kind, []).append(model_s)
        self.recoveries.reads.setdefault(kind, []).append(reads_s)
        for what, took_s in (("model", model_s), ("direct reads", reads_s)):
            if took_s > allowed_s:
                self.recoveries.overdue.append(f"{kind}: {what} after {took_s:.1f} s")
        self._say(f"  {kind}: recovered in {model_s:.2f} s, direct reads in {reads_s:.2f} s")

    def _recovered_after(self, allowed_s: float) -> tuple[float, float]:
        """Seconds until a commit made now is answered from every model, and a direct read at every replica."""
        since = time.monotonic()
        etag = f'"v{self._stage.firestore.ask("mark")}"'

        def took_s(claim: Callable[[], bool]) -> float:
            self._stage.wait_until(claim, GIVEN_UP_AFTER * allowed_s)
            return time.monotonic() - since

        hits = [
            functools.partial(_is_hit, replica, status_path(self._stage.marker), etag)
            for replica in self._stage.replicas
        ]
        direct = status_path(self._stage.marker, include_products="true")  # never held: a strong read is a direct one
        reads = [functools.partial(_is_read, replica, direct) for replica in self._stage.replicas]
        with ThreadPoolExecutor() as pool:
            took = list(pool.map(took_s, [*hits, *reads]))
        return max(took[: len(hits)]), max(took[len(hits) :])


def _is_hit(replica: Service, path: str, etag: str) -> bool:
    status, source, found = _get(replica, path)
    return (status, source, found) == (200, "HIT", etag)


def _is_read(replica: Service, path: str) -> bool:
    status, source, _ = _get(replica, path, {"Cache-Control": "no-cache"})
    return (status, source) == (200, "MISS")


def _get(replica: Service, path: str, headers: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Status, `X-Cache` and ETag."""
    where = urlsplit(replica.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response.status, response.headers.get("X-Cache", ""), response.headers.get("ETag", "")
    except (ConnectionError, TimeoutError, http.client.HTTPException):
        return 0, "", ""
    finally:
        connection.close()
