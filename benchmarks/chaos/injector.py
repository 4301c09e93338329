"""What goes wrong during the run, one thing after the other, seeded; and how long the service takes to recover.

After each fault Firestore takes one more commit. The service has recovered once that version is a `HIT`.
"""

import http.client
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.chaos.firestore import MARKER
from benchmarks.processes import Child

READS = ("BatchGetDocuments", "RunQuery")
AFTERMATH_S = 2.0
"""How much longer it is looked whether somebody still believes a lie."""

TRANSIENT = ("UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "ABORTED", "UNKNOWN")


@dataclass(frozen=True)
class Times:
    """How long things may last, in seconds; `held`: how many processes the model may hold."""

    lease_s: float
    shortest_s: float
    longest_s: float
    lie_noticed_s: float
    recovered_s: float
    held: int


@dataclass
class Recoveries:
    """Seconds to recover, by kind of fault."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    overdue: list[str] = field(default_factory=list)


class SharedFirestore:
    """The Firestore's process, asked by two threads."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._lock = threading.Lock()

    def ask(self, *request: object) -> object:
        with self._lock:
            return self._child.ask(*request, timeout_s=30)


class Injector:
    """Runs on a thread of its own until told to stop; ends every fault it began. `kinds`: only these, () is all."""

    def __init__(
        self,
        firestore: SharedFirestore,
        service_pid: int,
        url: str,
        times: Times,
        kinds: tuple[str, ...],
        chance: random.Random,
        say: Callable[[str], None],
    ) -> None:
        self._firestore = firestore
        self._service_pid = service_pid
        self._where = urlsplit(url)
        self._times = times
        self._chance = chance
        self._rounds = 0
        self._say = say
        self._stop = threading.Event()
        self.recoveries = Recoveries()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="injector")
        self._kinds = kinds or tuple(KINDS)

    def start(self, rounds: int = 0) -> None:
        """Begin; 0 rounds: go on until `stop`."""
        self._rounds = rounds
        self._thread.start()

    def stop(self) -> None:
        """Wait until the present fault is over and recovered from. Raises: what went wrong on the thread."""
        self._stop.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._await_marker(time.monotonic())
            for _ in range(self._rounds) if self._rounds else itertools.count():
                for kind in self._chance.sample(self._kinds, len(self._kinds)):
                    if self._stop.wait(self._pause_s()):
                        return
                    self._inject(kind)
        except BaseException as failure:  # noqa: BLE001 - raised again where it is waited for
            self.failure = failure

    def _pause_s(self) -> float:
        """Often too short for a listener's back-off to begin anew."""
        return self._chance.uniform(0.2, 4) * self._times.shortest_s

    def _inject(self, kind: str) -> None:
        try:
            KINDS[kind](self)
        finally:
            self._firestore.ask("release")
        took_s = self._await_marker(time.monotonic())
        self.recoveries.seconds.setdefault(kind, []).append(took_s)
        if took_s > self._times.recovered_s:
            self.recoveries.overdue.append(kind)
        self._say(f"  {kind}: recovered in {took_s:.2f} s")

    def _await_marker(self, since: float) -> float:
        """Seconds until a commit made now is answered from the model; gives up at four times what is allowed."""
        version = self._firestore.ask("mark")
        assert isinstance(version, int)
        while not self._is_hit(version):
            if time.monotonic() - since > 4 * self._times.recovered_s:
                break
            time.sleep(0.01)
        return time.monotonic() - since

    def _is_hit(self, version: int) -> bool:
        connection = http.client.HTTPConnection(self._where.hostname or "", self._where.port, timeout=10)
        try:
            connection.request("GET", f"/status/{MARKER}")
            response = connection.getresponse()
            response.read()
            etag = response.headers.get("ETag", "")
            return response.headers.get("X-Cache") == "HIT" and etag == f'"v{version}"'
        finally:
            connection.close()

    # -- the faults

    def _fault(self, name: str, **options: object) -> None:
        self._firestore.ask("fault", name, options)

    def _hold(self) -> None:
        self._stop.wait(self._chance.uniform(self._times.shortest_s, self._times.longest_s))

    def _outage(self) -> None:
        self._fault("refuse_connections")
        self._hold()

    def _stall(self) -> None:
        self._fault("stall_streams")
        self._hold()

    def _slow_reads(self) -> None:
        for rpc in READS:
            self._fault("delay_calls", rpc=rpc, delay_s=self._chance.uniform(0.1, 0.9), calls=None)
        self._hold()

    def _failing_reads(self) -> None:
        for rpc in READS:
            self._fault("fail_calls", rpc=rpc, code=self._chance.choice(TRANSIENT), calls=None)
        self._hold()

    def _hanging_reads(self) -> None:
        for rpc in READS:
            self._fault("hold_calls", rpc=rpc)
        self._hold()

    def _end_streams(self) -> None:
        code = self._chance.choice(("OK", "UNAVAILABLE", "ABORTED", "CANCELLED"))
        self._fault("end_streams", code=code, after_messages=self._chance.choice((0, 1, 5)))

    def _refuse_streams(self) -> None:
        self._fault("fail_calls", rpc="Listen", code=self._chance.choice(TRANSIENT), calls=None)
        self._fault("end_streams", code="UNAVAILABLE")
        self._hold()

    def _remove_targets(self) -> None:
        self._fault("remove_targets", code=self._chance.choice(TRANSIENT))

    def _false_filter(self) -> None:
        self._fault("send_existence_filter", off_by=self._chance.choice((-1, 1, 2)))

    def _reset(self) -> None:
        self._fault("send_reset")

    def _expire_tokens(self) -> None:
        self._fault("expire_tokens")
        self._fault("end_streams", code="UNAVAILABLE")

    def _freeze(self) -> None:
        with self._frozen():
            time.sleep(self._times.lease_s * self._chance.uniform(1.1, 1.6))

    def _freeze_in_an_outage(self) -> None:
        self._fault("refuse_connections")
        with self._frozen():
            time.sleep(self._times.lease_s * self._chance.uniform(1.1, 1.6))
            if self._chance.random() < 0.5:
                self._firestore.ask("release")
                time.sleep(self._times.shortest_s)

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        os.kill(self._service_pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._service_pid, signal.SIGCONT)

    def _lie(self, *, deletion: bool) -> None:
        """Nothing else goes wrong until the audit must have noticed."""
        self._firestore.ask("lie", self._times.held, deletion)
        time.sleep(self._times.lie_noticed_s + AFTERMATH_S)


KINDS: dict[str, Callable[[Injector], None]] = {
    "outage": Injector._outage,
    "stalled streams": Injector._stall,
    "slow reads": Injector._slow_reads,
    "failing reads": Injector._failing_reads,
    "hanging reads": Injector._hanging_reads,
    "streams ended": Injector._end_streams,
    "streams refused": Injector._refuse_streams,
    "target removed": Injector._remove_targets,
    "false filter": Injector._false_filter,
    "RESET": Injector._reset,
    "tokens expired": Injector._expire_tokens,
    "frozen": Injector._freeze,
    "frozen in an outage": Injector._freeze_in_an_outage,
    "dropped update": lambda injector: injector._lie(deletion=False),
    "dropped deletion": lambda injector: injector._lie(deletion=True),
}
"""Every kind of fault, by the name that the report calls it."""
