"""One chaos run: a Firestore, a service, clients, an injector and a checker, from start to figures."""

import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos.checker import Checker, Verdicts
from benchmarks.chaos.clients import clients_process
from benchmarks.chaos.firestore import firestore_process
from benchmarks.chaos.history import History
from benchmarks.chaos.injector import Injector, Recoveries, SharedFirestore
from benchmarks.chaos.options import Options
from benchmarks.chaos.questions import Answered
from benchmarks.chaos.service import Service
from benchmarks.processes import Child


@dataclass
class Result:
    """The figures of one run."""

    listener: str
    seconds: float
    verdicts: Verdicts
    recoveries: Recoveries
    commits: int
    exit_code: int
    errors_logged: list[str]
    max_rss_mib: int

    @property
    def forbidden(self) -> int:
        """How much happened that never may."""
        return self.verdicts.forbidden + len(self.recoveries.overdue) + bool(self.exit_code) + len(self.errors_logged)


def run(options: Options, say: Callable[[str], None]) -> Result:
    """Run it; takes about `seconds`, and as long again as the last fault takes to be recovered from."""
    with ExitStack() as stack:
        firestore = SharedFirestore(stack.enter_context(firestore_process(options.ids, options.seed)))
        log_file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "service.log"
        service = Service(options, str(firestore.ask("host")), log_file)
        stack.enter_context(service.running())
        clients = [stack.enter_context(each) for each in _clients(options, service.url)]
        injector = Injector(
            firestore, service.pid, service.url, options.times, options.kinds, random.Random(options.seed), say
        )
        checking = Checking(options, firestore, clients)
        firestore.ask("write", options.commits_per_second)
        seconds = _go_through(options, clients, injector, checking)
        max_rss_mib = service.max_rss_mib()
        return Result(
            options.listener,
            seconds,
            checking.verdicts,
            injector.recoveries,
            checking.commits,
            service.stop(),
            service.errors_logged(),
            max_rss_mib,
        )


def _clients(options: Options, url: str) -> list[Child]:
    patience_s = 3 * options.longest_s + 10
    seeds = range(options.seed, options.seed + options.client_processes)
    return [clients_process(url, options.ids, options.held, options.connections, patience_s, seed) for seed in seeds]


def _go_through(options: Options, clients: list[Child], injector: Injector, checking: "Checking") -> float:
    """From the first question to the last answer checked. Returns the seconds it took."""
    started = time.monotonic()
    for each in clients:
        each.ask("start")
    injector.start(options.rounds)
    try:
        checking.go_on_until(lambda: _is_over(options, time.monotonic() - started, checking, injector))
    finally:
        injector.stop()
    for each in clients:
        each.ask("pause")
    checking.once()
    return time.monotonic() - started


def _is_over(options: Options, seconds: float, checking: "Checking", injector: Injector) -> bool:
    if not injector.is_running:
        return True  # all rounds are over, or it failed: then `stop` says why
    enough = checking.verdicts.checked >= options.answers
    return seconds >= options.seconds and (enough or seconds >= 3 * options.seconds)


class Checking:
    """Fetches answers and history, and checks, while the run goes on."""

    def __init__(
        self,
        options: Options,
        firestore: SharedFirestore,
        clients: list[Child],
    ) -> None:
        self._firestore = firestore
        self._clients = clients
        self._history = History(int(options.lie_noticed_s * 1_000_000), options.window)
        self._checker = Checker(self._history, options.bounds)
        self.commits = 0

    @property
    def verdicts(self) -> Verdicts:
        return self._checker.verdicts

    def go_on_until(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            if not self.once():
                time.sleep(0.2)

    def once(self) -> int:
        """Check what has come in. Returns how much that was."""
        answers: list[Answered] = [answer for client in self._clients for answer in client.ask("taken")]
        taken: Any = self._firestore.ask("taken")  # after the answers: whatever they tell of is in it
        self.commits += len(taken)
        self._history.add(taken)
        for answer in answers:
            self._checker.check(answer)
        return len(answers)
