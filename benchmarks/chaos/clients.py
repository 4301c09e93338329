"""Clients that poll the service over HTTP, in a process of their own, and note every question with its answer.

Raw sockets, kept alive, several requests pipelined: a client must cost less than what it asks. A question's time is
taken before its bytes leave, an answer's when its last bytes have come.
"""

import asyncio
import calendar
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

import orjson

from benchmarks.chaos.history import STATUSES, Query
from benchmarks.chaos.names import beside, key_of, marker, parent_of, process_keys
from benchmarks.chaos.questions import Answered, Batch, Question
from benchmarks.chaos.replies import Reply, ReplyReader
from benchmarks.processes import Child, answer_requests

PAUSE_S = 0.02
"""After a batch that was refused: a client that respects nobody's Retry-After, but doesn't spin."""

ANOTHER_CONNECTION = 0.01
"""How likely a client leaves its connection after a batch."""

LEAVES_WITHIN_S = 10.0
"""Until a client that is to leave has its answers."""

POLLS = 24
"""Requests that a busy client pipelines."""

WAIT_S = 1
"""For which every third client asks and waits."""


class Chooser:
    """What one client asks next, and what it has seen so far."""

    def __init__(self, keys: list[str], held: int, chance: random.Random) -> None:
        self._keys = keys
        self._parents = sorted({parent_of(key) for key in keys} - {""})
        self._rows = held
        self._chance = chance
        self._seen: dict[tuple[str, bool], int] = {}
        self._held: list[str] = []  # what was a HIT when it was asked for last
        self._bodies: dict[Query, tuple[str, bytes]] = {}
        self._next_pages: list[tuple[Query, str]] = []

    def number_at_random(self) -> int:
        """The seed of something that belongs to this client."""
        return self._chance.randrange(1 << 32)

    def pipeline(self) -> list[Question]:
        """Of a busy client."""
        return [self._poll() for _ in range(POLLS)]

    def one(self) -> list[Question]:
        """Of a client that asks all that there is."""
        return [self._anything()]

    def one_that_waits(self) -> list[Question]:
        """For another version of a process, mostly of one that is in the model; now and then it asks something else."""
        if self._chance.random() < 0.1:
            return self.one()
        question = self._status("status", max_age_s=None, of=self._held or None)
        return [question._replace(wait_s=WAIT_S)]

    def _anything(self) -> Question:
        """At random."""
        dice = self._chance.random()
        if dice < 0.86:
            return self._status("status", max_age_s=None)
        if dice < 0.89:
            return self._status("status", max_age_s=self._chance.choice((0, 0, 1, 2)))
        if dice < 0.91:
            return self._status("products", max_age_s=self._chance.choice((None, None, 0)))
        if dice < 0.92:
            unknown = f"unknown-{self._chance.randrange(40)}"
            return Question("status", beside(self._chance.choice(self._keys), unknown))
        if dice < 0.93:
            return self._batch()
        return self._list(0 if dice > 0.993 else None)

    def _batch(self) -> Question:
        one = self._chance.choice(self._keys)
        siblings = [key for key in self._keys if parent_of(key) == parent_of(one)]
        return Question("batch", Batch(tuple(self._chance.sample(siblings, 5))))

    def _poll(self) -> Question:
        """At random, what thousands ask all the time: processes that are in the model, and now and then a list."""
        dice = self._chance.random()
        if dice < 0.03:
            return self._list(None)
        return self._status("status", max_age_s=None, of=self._held if dice < 0.99 and self._held else None)

    def _status(self, kind: str, max_age_s: int | None, of: list[str] | None = None) -> Question:
        process_id = self._chance.choice(of or self._keys)
        known = self._seen.get((process_id, kind == "products"), 0) if self._chance.random() < 0.6 else 0
        suffix = "-p" if kind == "products" else ""
        return Question(kind, process_id, known, max_age_s, f'"v{known}{suffix}"' if known else "")

    def _list(self, max_age_s: int | None) -> Question:
        if self._next_pages and self._chance.random() < 0.3:
            following, token = self._next_pages.pop()
            return Question("list", following, max_age_s=max_age_s, token=token)
        status = self._chance.choice((None, None, *STATUSES))
        limit = self._chance.choice((3, 10, 10, self._rows // 2))
        lower_us = upper_us = None
        if self._chance.random() < 0.3:
            lower_us = time.time_ns() // 1000 - self._chance.randrange(60) * 1_000_000
        if self._chance.random() < 0.2:
            upper_us = time.time_ns() // 1000 - self._chance.randrange(20) * 1_000_000
        parent = self._chance.choice(self._parents) if self._parents and self._chance.random() < 0.5 else None
        query = Query(limit, status, lower_us, upper_us, parent=parent)
        etag, _ = self._bodies.get(query, ("", b""))
        return Question("list", query, max_age_s=max_age_s, etag=etag)

    def request(self, question: Question) -> bytes:
        """Its bytes."""
        headers = "".join(f"\r\n{name}: {value}" for name, value in question.headers.items())
        return f"GET {question.path} HTTP/1.1\r\nHost: chaos{headers}\r\n\r\n".encode()

    def answered(self, question: Question, sent_us: int, reply: Reply) -> Answered:
        """Note what was seen."""
        headers, body = reply.headers, reply.body
        etag = headers.get(b"Etag", b"").decode()
        target = question.target
        if isinstance(target, Query):
            if reply.status == 304 and etag == question.etag:
                body = self._bodies[target][1]
            elif reply.status == 200:
                self._note_page(target, etag, body)
        elif isinstance(target, str):
            if etag.startswith('"v'):
                self._seen[target, question.kind == "products"] = int(etag[2:-1].removesuffix("-p"))
            self._note_source(target, headers.get(b"X-Cache", b""))
        return Answered(
            question,
            sent_us,
            reply.received_us,
            reply.status,
            headers.get(b"X-Cache", b"").decode(),
            int(headers.get(b"Age", b"-1")),
            etag,
            b"Retry-After" in headers,
            body,
        )

    def _note_source(self, process_id: str, source: bytes) -> None:
        if source == b"HIT" and process_id not in self._held:
            self._held.append(process_id)
        elif source in (b"MISS", b"CACHED") and process_id in self._held and len(self._held) > 10:
            self._held.remove(process_id)

    def _note_page(self, query: Query, etag: str, body: bytes) -> None:
        if query.lower_us is None and query.upper_us is None and query.after is None:
            self._bodies[query] = etag, body
        page = orjson.loads(body)
        token = page["next_page_token"]
        if token is not None and len(self._next_pages) < 10:
            last = page["processes"][-1]
            following = query._replace(after=(_us(last["start_time"]), key_of(last)))
            self._next_pages.append((following, token))


def _us(text: str) -> int:
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    whole = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))
    return whole * 1_000_000 + int(f"{fraction or '0':0<6}")


@dataclass(frozen=True)
class Crew:
    """What one process of clients is made of."""

    urls: Sequence[str]
    """Of the replicas: each new connection goes to any of them."""

    ids: int
    is_group: bool
    held: int
    connections: int
    patience_s: float
    pause_s: float
    """Between two batches."""

    seed: int


def clients_process(crew: Crew) -> Child:
    """Answers `start`, `taken` and `pause`; `stop` ends the polling and its connections."""
    return Child(_main, crew, name=f"chaos clients {crew.seed}")


def _main(pipe: Connection, crew: Crew) -> None:
    import uvloop

    uvloop.run(_serve(pipe, crew))


async def _serve(pipe: Connection, crew: Crew) -> None:
    answers: list[Answered] = []
    polling: list[asyncio.Task[None]] = []
    clients: list[Client] = []
    keys = [*process_keys(crew.ids, is_group=crew.is_group), marker(is_group=crew.is_group)]
    choosers = [Chooser(keys, crew.held, random.Random(crew.seed * 1000 + n)) for n in range(crew.connections)]

    async def start() -> None:
        for number, chooser in enumerate(choosers):
            next_questions = (chooser.pipeline, chooser.one, chooser.one_that_waits)[number % 3]
            clients.append(Client(crew, chooser, next_questions, answers))
            polling.append(asyncio.create_task(clients[-1].poll()))

    async def taken() -> list[Answered]:
        nonlocal answers
        for task in polling:
            if task.done():
                task.result()
        chunk = answers[:]
        answers.clear()
        return chunk

    async def pause() -> None:
        for client in clients:
            client.is_leaving = True
        if polling:
            await asyncio.wait(polling, timeout=LEAVES_WITHIN_S)
        clients.clear()
        for task in polling:
            task.cancel()
        await asyncio.gather(*polling, return_exceptions=True)
        polling.clear()

    handlers: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {"start": start, "taken": taken, "pause": pause}
    await answer_requests(pipe, handlers)
    await pause()


class Client:
    """One client: a batch of questions, then the next; on a new connection, to any replica, now and then."""

    def __init__(
        self,
        crew: Crew,
        chooser: Chooser,
        next_questions: Callable[[], list[Question]],
        answers: list[Answered],
    ) -> None:
        self._crew = crew
        self._chooser = chooser
        self._next_questions = next_questions
        self._answers = answers
        self._chance = random.Random(chooser.number_at_random())
        self._reader = ReplyReader()
        self.is_leaving = False

    async def poll(self) -> None:
        """Until it is to leave, with every answer it has asked for."""
        try:
            while not self.is_leaving:
                is_refused = not await self._connect() or not await self._ask()
                await asyncio.sleep(PAUSE_S if is_refused else self._crew.pause_s)
                if self._chance.random() < ANOTHER_CONNECTION:
                    self._reader.close()
        finally:
            self._reader.close()

    async def _connect(self) -> bool:
        """Whether there is a connection. A replica that is not there can't be asked."""
        if self._reader.is_open:
            return True
        where = urlsplit(self._chance.choice(self._crew.urls))
        loop = asyncio.get_running_loop()
        try:
            _, self._reader = await loop.create_connection(ReplyReader, where.hostname or "", where.port or 80)
        except OSError:
            return False
        return True

    async def _ask(self) -> bool:
        """A batch. Returns whether the next one may follow at once."""
        questions = self._next_questions()
        requests = b"".join([self._chooser.request(question) for question in questions])
        sent_us = turn_us = time.time_ns() // 1000
        why = b"the connection broke"
        try:
            replies = await self._reader.ask(requests, len(questions), self._crew.patience_s)
        except TimeoutError:
            replies, why = self._reader.replies, b"no answer in time"
        for question, reply in zip(questions, replies, strict=False):
            self._answers.append(self._chooser.answered(question, sent_us, reply)._replace(turn_us=turn_us))
            turn_us = reply.received_us
        now_us = time.time_ns() // 1000
        missing = questions[len(replies) :]
        self._answers.extend(Answered(each, sent_us, now_us, 0, body=why, turn_us=turn_us) for each in missing)
        if missing or replies[-1].headers.get(b"Connection") == b"close":
            self._reader.close()
        return bool(replies) and not any(reply.status == 503 for reply in replies)
