"""A client of `/events` that moves between replicas, each behind the others at times, knows in the end what is there.

Random histories of commits; replicas that take them in batches of random sizes; a client that mirrors what it receives,
is cut off after a random event, and comes back with the last ID to a random replica, which may be behind.
"""

import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from listeners.events import Changed, Document, Removal
from service.api.caller import SEES_EVERYTHING
from service.watch.event_stream import StreamState
from service.watch.model_stream import ModelStream
from tests.service.watch.watched import Reader, Watched

COMMITS = 40
NAMES = "abcdef"
STATUSES = ("running", "failed")

State = dict[str, Document]


def history(rng: random.Random, commits: int = COMMITS) -> list[State]:
    """What the collection holds after each commit, the first of which is at 101 µs."""
    state: State = {}
    states = [state]
    for number in range(1, commits + 1):
        state, name = dict(state), rng.choice(NAMES)
        if name in state and rng.random() < 0.4:
            del state[name]
        else:
            fields = {"status": rng.choice(STATUSES), "start_time": f"2026-01-0{1 + NAMES.index(name)}"}
            state[name] = Document(name, 100 + number, fields)
        states.append(state)
    return states


def window(state: State, size: int) -> State:
    """What a listener's query returns: the newest by `start_time`."""
    newest = sorted(state.values(), key=lambda document: str(document.fields["start_time"]), reverse=True)
    return {document.id: document for document in (newest[:size] if size else newest)}


class Replica:
    """A model that has taken the first `at` commits."""

    def __init__(self, states: list[State], window_size: int) -> None:
        self._states = states
        self._size = window_size
        self.at = 0
        self.watched = Watched(window_size=window_size)

    async def load(self) -> "Replica":
        await self.watched.load(read_time=100)
        return self

    async def advance(self, commits: int) -> None:
        """Take so many commits as one batch, as a listener does that was held back."""
        after = min(self.at + commits, len(self._states) - 1)
        if after == self.at:
            return
        before, now = (window(self._states[at], self._size) for at in (self.at, after))
        upserts = [document for name, document in now.items() if before.get(name) != document]
        gone = [Removal(name, name not in self._states[after]) for name in before if name not in now]
        self.at = after
        await self.watched.model.apply(Changed(upserts, tuple(gone), 100 + after, self.watched.clock()))

    def holds(self, status: str | None) -> dict[str, str]:
        held = {summary.process_id: summary.status or "" for summary in self.watched.model.held()}
        return {name: known for name, known in held.items() if status in (None, known)}


@dataclass
class Mirror:
    """A client that keeps what it receives."""

    status: str | None
    known: dict[str, str] = field(default_factory=dict)
    last_id: int | None = None
    resets: int = 0

    def connect(self, replica: Replica) -> "Connection":
        return Connection(self, replica)

    def learn(self, block: str) -> None:
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        data: dict[str, Any] = json.loads(lines["data"])
        if lines["event"] == "reset":
            self.known.clear()
            self.resets += 1
        elif lines["event"] == "removed":
            self.known.pop(data["process_id"], None)
        else:
            self.known[data["process_id"]] = data["status"]
        if "id" in lines:
            self.last_id = int(lines["id"])

    @property
    def filters(self) -> dict[str, str]:
        return {} if self.status is None else {"status": self.status}

    @property
    def matching(self) -> dict[str, str]:
        return {name: status for name, status in self.known.items() if self.status in (None, status)}


class Connection:
    """One stream, of which the client reads what has been written so far."""

    def __init__(self, mirror: Mirror, replica: Replica) -> None:
        self._mirror = mirror
        self._replica = replica
        self._reader = Reader()
        self._unread: list[str] = []
        self._stream: ModelStream = replica.watched.watchers.stream_model(
            mirror.filters, SEES_EVERYTHING, mirror.last_id
        )
        self._stream.begin(self._reader)

    def read(self, at_most: int | None = None) -> None:
        self._replica.watched.run()
        while self._stream.state is StreamState.STUCK:
            self._stream.drained()
        self._unread += self._reader.text.split("\n\n")[:-1]
        self._reader.frames.clear()
        count = len(self._unread) if at_most is None else at_most
        for block in self._unread[:count]:
            self._mirror.learn(block)
        del self._unread[:count]

    def cut(self) -> None:
        self._replica.watched.watchers.leave_model(self._mirror.filters, SEES_EVERYTHING, self._stream)


@pytest.mark.parametrize("window_size", [0, 3])
@pytest.mark.parametrize("seeds", [range(first, first + 25) for first in (0, 25)], ids=str)
async def test_a_mirror_that_moves_between_replicas_equals_firestore(seeds: range, window_size: int) -> None:
    for seed in seeds:
        await _move_about(seed, window_size)


async def _move_about(seed: int, window_size: int) -> None:
    rng = random.Random(seed)
    states = history(rng)
    replicas = [await Replica(states, window_size).load() for _ in range(2)]
    mirror = Mirror(rng.choice((None, *STATUSES)))
    connection = mirror.connect(replicas[0])
    for _ in range(3 * COMMITS):
        await rng.choice(replicas).advance(rng.choice((1, 1, 1, 2, 5)))
        connection.read(rng.choice((0, 1, 2, None)))
        if rng.random() < 0.2:
            connection.cut()
            connection = mirror.connect(rng.choice(replicas))
    for replica in replicas:
        await replica.advance(COMMITS)
    connection.read()
    held = replicas[0].holds(mirror.status)
    assert mirror.matching == held, f"seed {seed}, after {mirror.resets} resets"


async def test_replicas_with_equal_points_resume_clients_without_a_reset() -> None:
    states = history(random.Random(1))
    replicas = [await Replica(states, 0).load() for _ in range(2)]
    mirror = Mirror("running")
    connection = mirror.connect(replicas[0])
    for number in range(COMMITS):
        for replica in replicas:
            await replica.advance(1)
        connection.read()
        connection.cut()
        connection = mirror.connect(replicas[number % 2])
    connection.read()
    assert (mirror.matching, mirror.resets) == (replicas[0].holds("running"), 0)


async def test_a_process_that_came_and_went_between_two_points_ends_with_a_reset() -> None:
    """Replica 1 sends `x`; replica 2 sees neither its beginning nor its end, in a batch that spans both."""
    document = Document("x", 101, {"status": "running", "start_time": "2026-01-01"})
    states: list[State] = [{}, {"x": document}, {}]
    ahead, behind = [await Replica(states, 0).load() for _ in range(2)]
    mirror = Mirror(None)
    connection = mirror.connect(ahead)
    await ahead.advance(1)
    connection.read()
    assert (mirror.known, mirror.last_id) == ({"x": "running"}, 101)
    connection.cut()
    await behind.advance(2)
    mirror.connect(behind).read()
    assert (mirror.known, mirror.resets) == ({}, 1)


async def test_a_client_cut_off_within_a_reset_does_not_go_on_from_what_it_has_forgotten() -> None:
    documents = [Document(name, 101, {"status": "running", "start_time": "2026"}) for name in "xy"]
    states: list[State] = [{}, {document.id: document for document in documents}]
    knows_the_point, other = [await Replica(states, 0).load() for _ in range(2)]
    await knows_the_point.advance(1)
    await other.watched.change(*documents, read_time=102)
    mirror = Mirror(None, {"x": "running", "y": "running"}, last_id=101)
    mirror.connect(other).read(at_most=2)
    assert (len(mirror.known), mirror.resets) == (1, 1)
    mirror.connect(knows_the_point).read()
    assert (len(mirror.known), mirror.resets) == (2, 2)
