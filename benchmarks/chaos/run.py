"""One chaos run: a Firestore, two replicas, clients, mirrors, an injector and a checker, from start to figures."""

import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.chaos.checker import Checker, Verdicts
from benchmarks.chaos.clients import Crew, clients_process
from benchmarks.chaos.crowd import Crowd, crowd_process
from benchmarks.chaos.firestore import firestore_process
from benchmarks.chaos.history import History, Written
from benchmarks.chaos.injector import Injector
from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.mirror import Batch, Mirrors
from benchmarks.chaos.mirror_clients import mirrors_process
from benchmarks.chaos.names import GROUP_SCHEMA, marker, process_keys
from benchmarks.chaos.options import Options
from benchmarks.chaos.questions import Answered
from benchmarks.chaos.result import LoggedErrors, Mirrored, Result
from benchmarks.chaos.service import SCHEMA_FILE, Service
from benchmarks.chaos.stage import SharedChild, Stage
from benchmarks.processes import Child

SETTLED_S = 20.0
"""A mirror that stays at one replica has everything by then."""


def run(options: Options, say: Callable[[str], None]) -> Result:
    """Run it; takes about `seconds`, and as long again as the last fault takes to be recovered from."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / SCHEMA_FILE).write_text(GROUP_SCHEMA)
        of_firestore = firestore_process(options.ids, options.replicas, options.seed, is_group=options.is_group)
        firestore = SharedChild(stack.enter_context(of_firestore))
        hosts = enumerate(firestore.ask("hosts"))
        replicas = [Service(options, host, directory, f"replica-{number}") for number, host in hosts]
        for replica in replicas:
            stack.enter_context(replica.running())
        urls = [replica.url for replica in replicas]
        clients = [SharedChild(stack.enter_context(each)) for each in _clients(options, urls)]
        marked = marker(is_group=options.is_group)
        keys = [*process_keys(options.ids, is_group=options.is_group), marked]
        crowd = crowd_process(Crowd(urls, keys, options.crowd, options.seed))
        if any(KINDS[kind].crowd for kind in options.kinds or KINDS):
            stack.enter_context(crowd)
        followers = SharedChild(stack.enter_context(mirrors_process(urls, options.mirrored, options.seed)))
        for replica in replicas:
            replica.await_ready()
        stage = Stage(
            firestore,
            replicas,
            clients,
            SharedChild(crowd),
            options.times,
            random.Random(options.seed),
            options.commits_per_second,
            marked,
        )
        injector = Injector(stage, options.kinds, say)
        checking = Checking(options, stage, followers)
        firestore.ask("write", options.commits_per_second)
        seconds = _go_through(options, stage, injector, checking)
        checking.settle()
        with ThreadPoolExecutor() as pool:
            list(pool.map(Service.stop, replicas))
        lives = [life for replica in replicas for life in replica.lives]
        return Result(
            options.title,
            seconds,
            checking.verdicts,
            injector.recoveries,
            checking.commits,
            stage.findings,
            checking.mirrored,
            LoggedErrors.of(replicas, stage.excuses),
            [life.exit_code for life in lives],
            sum(life.server_errors for life in lives),
            max(life.max_rss_mib for life in lives),
        )


def _clients(options: Options, urls: list[str]) -> list[Child]:
    patience_s = 3 * options.longest_s + 10
    seeds = range(options.seed, options.seed + options.client_processes)
    return [
        clients_process(
            Crew(
                urls,
                options.ids,
                options.is_group,
                options.held,
                options.connections,
                patience_s,
                options.pause_s,
                seed,
            )
        )
        for seed in seeds
    ]


def _go_through(options: Options, stage: Stage, injector: Injector, checking: "Checking") -> float:
    """From the first question to the last answer checked. Returns the seconds it took."""
    started = time.monotonic()
    checking.start()
    injector.start(options.rounds)
    try:
        checking.go_on_until(lambda: _is_over(options, time.monotonic() - started, checking, injector))
    finally:
        injector.stop()
    for each in stage.clients:
        each.ask("pause")
    checking.once()
    return time.monotonic() - started


def _is_over(options: Options, seconds: float, checking: "Checking", injector: Injector) -> bool:
    if not injector.is_running:
        return True  # all rounds are over, or it failed: then `stop` says why
    enough = checking.verdicts.checked >= options.answers
    return seconds >= options.seconds and (enough or seconds >= 3 * options.seconds)


class Checking:
    """Fetches answers, events and history, and checks, while the run goes on."""

    def __init__(self, options: Options, stage: Stage, followers: SharedChild) -> None:
        self._stage = stage
        self._followers = followers
        self._history = History(int(options.lie_noticed_s * 1_000_000), options.window)
        self._checker = Checker(self._history, options.bounds, stage.excuses.frozen)
        self._mirrors = Mirrors(self._history, options.mirrored)
        self.mirrored = Mirrored()
        self.commits = 0

    @property
    def verdicts(self) -> Verdicts:
        return self._checker.verdicts

    def start(self) -> None:
        """Everybody asks."""
        for each in (*self._stage.clients, self._followers):
            each.ask("start")

    def go_on_until(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            if not self.once():
                time.sleep(0.2)

    def once(self) -> int:
        """Check what has come in. Returns how much that was."""
        answers: list[Answered] = [answer for client in self._stage.clients for answer in client.ask("taken")]
        batches: list[Batch] = self._followers.ask("taken")
        taken: list[Written] = self._stage.firestore.ask("taken")  # last: whatever the others tell of is in it
        self.commits += len(taken)
        self._history.add(taken)
        for answer in answers:
            self._checker.check(answer)
        for batch in batches:
            self._mirrors.apply(batch)
        return len(answers) + len(batches)

    def settle(self) -> None:
        """Nothing is written any more and every fault is over: soon each mirror is what Firestore is."""
        self._stage.firestore.ask("write", 0.0)
        self._followers.ask("settle")

        def differ() -> list[str]:
            self.once()
            return self._mirrors.differences(time.time_ns() // 1000)

        self._stage.wait_until(lambda: not differ(), SETTLED_S)
        self.mirrored = Mirrored(self._mirrors.batches, self._mirrors.resets, self._mirrors.contradictions, differ())
