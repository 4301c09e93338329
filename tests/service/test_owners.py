"""Owners, below HTTP: a caller sees its own processes, and cannot tell another's from one that does not exist.

Random histories; in the first test of what one caller asks about another's process and about none, in the second of
everything at once: owners that change hands, deletions, a window, outages, and every way of asking.
"""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.api.caller import SEES_EVERYTHING, Caller
from tests.service.owned_world import Watching, World, events_of

ANN, BOB = Caller("ann", "ann"), Caller("bob", "bob")
SECRET, ABSENT, OWN = "secret", "absent", "zz"

BRIEF = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
FAST = settings(max_examples=60, phases=BRIEF, suppress_health_check=list(HealthCheck))

windows = st.sampled_from([0, 1, 3])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(["bob", "bob", None, "Ann", 5])),
        st.tuples(st.just("own"), st.just(0)),
        st.tuples(st.just("delete"), st.just(0)),
        st.tuples(st.just("hear"), st.just(0)),
        st.tuples(st.just("pass"), st.sampled_from([0.5, 0.5, 2, 6, 20])),
        st.tuples(st.just("down"), st.booleans()),
        st.tuples(st.just("hold"), st.booleans()),
        st.tuples(st.just("others"), st.sampled_from(["poll", "strong", "products", "wait", "follow", "batch"])),
        st.tuples(
            st.sampled_from(["poll", "poll", "products", "batch", "mixed", "wait", "follow", "page", "stats"]),
            st.sampled_from([0, 0, 1, 2]),
        ),
    ),
    max_size=25,
)


def anonymous(seen: object) -> str:
    """What was got, without the ID that was asked for."""
    return repr(seen).replace(SECRET, "?").replace(ABSENT, "?")


class Stranger:
    """ann, who asks for two processes in the same breath: one that is bob's, and one that is nobody's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked: list[list[asyncio.Task[Any]]] = []

    async def ask(self, how: str, option: int) -> None:
        world = self._world
        known = {0: 0, 1: world.versions.get(SECRET, 1), 2: 1}[option]
        max_age_s = {0: None, 1: None, 2: 0.0}[option]
        calls: list[list[object]] = []
        tasks = []
        remembered = world.reads._cache._kept
        own = remembered.get(OWN)
        for process_id, other in ((ABSENT, "carl"), (SECRET, "bob")):
            begun = len(world.reader.calls)
            asking: Awaitable[Any]
            if how in ("poll", "products"):
                asking = world.poll(process_id, ANN, known=known, max_age_s=max_age_s, products=how == "products")
            elif how in ("batch", "mixed"):
                asking = world.batch([process_id, OWN] if how == "mixed" else [process_id], ANN)
            elif how == "wait":
                asking = world.wait(process_id, ANN, known)
            elif how == "follow":
                asking = world.follow(process_id, ANN, known or None)
            elif how == "page":
                asking = world.page(ANN, {"owner": other})
            else:
                asking = world.stats(ANN, {"owner": other})
            tasks.append(asyncio.ensure_future(asking))
            await world.run()
            calls.append([call[0] for call in world.reader.calls[begun:]])
            if how == "mixed":  # or the second would find what the first has read
                remembered.pop(OWN, None)
                if own is not None:
                    remembered[OWN] = own
        assert calls[0] == calls[1], f"{how} costs other reads: {calls}"
        self._asked.append(tasks)
        self.compare()

    def compare(self) -> None:
        """Where one of both has come, so has the other, and they are the same."""
        for tasks in self._asked:
            assert tasks[0].done() is tasks[1].done()
        done = [tasks for tasks in self._asked if tasks[0].done()]
        self._asked = [tasks for tasks in self._asked if not tasks[0].done()]
        for absent, secret in done:
            failures = [type(task.exception()) for task in (absent, secret)]
            assert failures[0] is failures[1]
            if failures[0] is type(None):
                assert anonymous(absent.result()) == anonymous(secret.result())

    async def leave(self) -> None:
        tasks = [task for pair in self._asked for task in pair]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Others:
    """bob and an operator, who do with bob's process what they like."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: list[asyncio.Task[Any]] = []

    async def ask(self, how: str) -> None:
        world = self._world
        for caller in (BOB, SEES_EVERYTHING):
            if how == "wait":
                asking: Awaitable[Any] = world.wait(SECRET, caller, world.versions.get(SECRET, 0))
            elif how == "follow":
                asking = world.follow(SECRET, caller)
            elif how == "batch":
                asking = world.batch([SECRET, OWN], caller)
            else:
                max_age_s = 0.0 if how == "strong" else None
                asking = world.poll(SECRET, caller, max_age_s=max_age_s, products=how == "products")
            self._tasks.append(asyncio.ensure_future(asking))
        await world.run()

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@given(window_size=windows, steps=steps)
@FAST
async def test_another_s_process_differs_in_nothing_from_one_that_does_not_exist(
    window_size: int, steps: list[tuple[str, Any]]
) -> None:
    world = World(window_size)
    world.write(SECRET, "bob")
    world.write(OWN, "ann")
    await world.load()
    stranger, others = Stranger(world), Others(world)
    every = world.follow_all(ANN, {})
    for step, option in steps:
        if step == "write":
            world.write(SECRET, option)
        elif step == "own":
            world.write(OWN, "ann")
        elif step == "delete":
            world.delete(SECRET)
        elif step == "hear":
            await world.hear()
        elif step == "pass":
            await world.timers.advance(option)
            await world.run()
        elif step == "down":
            world.is_down = option
        elif step == "hold":
            (world.reader.is_open.clear if option else world.reader.is_open.set)()
            await world.run()
        elif step == "others":
            await others.ask(option)
        else:
            await stranger.ask(step, option)
        stranger.compare()
    assert SECRET not in every.reader.text
    world.reader.is_open.set()
    await world.run()
    stranger.compare()
    await stranger.leave()
    await others.leave()


NAMES = ("a", "b", "c")
CALLERS = (ANN, BOB, SEES_EVERYTHING)
names, callers = st.sampled_from(NAMES), st.sampled_from(CALLERS)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("write"), names, st.sampled_from(["ann", "bob", "ann", "bob", None, 7])),
        st.tuples(st.just("write"), names, st.sampled_from(["ann", "bob", "ann", "bob", None, 7])),
        st.tuples(st.just("delete"), names, st.just(None)),
        st.tuples(st.just("hear"), st.just(""), st.just(None)),
        st.tuples(st.just("hear"), st.just(""), st.just(None)),
        st.tuples(st.just("pass"), st.just(""), st.sampled_from([0.5, 2, 6, 20])),
        st.tuples(st.just("down"), st.just(""), st.booleans()),
        st.tuples(st.sampled_from(["poll", "strong", "products", "wait", "follow"]), names, callers),
        st.tuples(
            st.sampled_from(["batch", "page", "stats", "every", "every", "again", "foreign"]), st.just(""), callers
        ),
    ),
    max_size=40,
)


class Oracle:
    """Who can have seen what: a caller with an owner no version of a process but those that were its own.

    And who must know what: once the listener has said all, every stream and every plain request tells the same.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._tasks: list[tuple[Caller, asyncio.Task[Any]]] = []
        self._streams: dict[Watching, str] = {}
        self._guests: list[Watching] = []
        self._last: dict[Caller, tuple[int, dict[str, int]]] = {}

    def may_see(self, caller: Caller, body: bytes) -> None:
        """Every process in a body is one of the caller's own."""
        if not body:
            return
        found = json.loads(body)
        for row in found.get("processes", [found]) if isinstance(found.get("processes", []), list) else ():
            self._check(caller, row)

    def _check(self, caller: Caller, row: dict[str, Any]) -> None:
        owner = self.world.owners[row["process_id"], row["products_failed"]]
        assert caller.owner in (None, owner), f"{caller.name} was shown what was {owner}'s: {row}"

    async def ask(self, how: str, process_id: str, caller: Caller) -> None:
        world = self.world
        if how == "every":
            self._streams[world.follow_all(caller, {})] = ""
        elif how == "again":  # where its last stream was
            since, mirror = self._last.get(caller, (None, {}))
            stream = world.follow_all(caller, {}, since)
            stream.mirror.update(mirror)
            self._streams[stream] = ""
        elif how == "foreign":  # with the last ID of another caller; what it knows, it knows from nowhere
            since = max((each[0] for other, each in self._last.items() if other is not caller), default=None)
            self._guests.append(world.follow_all(caller, {}, since))
        elif how == "follow":
            followed = await world.follow(process_id, caller)
            if isinstance(followed, Watching):
                self._streams[followed] = process_id
        elif how == "wait":
            self._tasks.append((caller, asyncio.ensure_future(world.wait(process_id, caller, 1))))
            self._tasks.append(
                (caller, asyncio.ensure_future(world.wait(process_id, caller, world.versions.get(process_id, 0))))
            )
            await world.run()
        elif how == "batch":
            self._took(caller, await world.batch(NAMES, caller))
        elif how == "page":
            self._took(caller, await world.page(caller, {}))
        elif how == "stats":
            self._took(caller, await world.stats(caller, {}))
        else:
            max_age_s = 0.0 if how == "strong" else None
            self._took(caller, await world.poll(process_id, caller, max_age_s=max_age_s, products=how == "products"))

    def _took(self, caller: Caller, seen: tuple[Any, ...]) -> None:
        if len(seen) > 1:
            self.may_see(caller, seen[-1])

    def look(self) -> None:
        """At everything that has come meanwhile."""
        for caller, task in self._tasks:
            if task.done() and task.exception() is None:
                self.may_see(caller, task.result().body)
        self._tasks = [(caller, task) for caller, task in self._tasks if not task.done()]
        for stream in (*self._streams, *self._guests):
            self._read(stream)

    def _read(self, watching: Watching) -> None:
        for event, data, event_id in events_of(watching.reader):
            if event == "reset":
                watching.mirror.clear()
            elif event == "removed":
                watching.mirror.pop(data["process_id"], None)
                owned = {owner for (id_, _), owner in self.world.owners.items() if id_ == data["process_id"]}
                assert watching.caller.owner in (None, *owned), "told of a process that was never its own"
            elif event == "status":
                self._check(watching.caller, data)
                watching.mirror[data["process_id"]] = data["products_failed"]
            if event_id and int(event_id) > 1 and self._streams.get(watching) == "":
                self._last[watching.caller] = int(event_id), dict(watching.mirror)

    async def settle(self) -> None:
        """Firestore is well again, the listener has said all, and nothing is remembered from before."""
        world = self.world
        world.is_down = False
        await world.timers.advance(30)
        await world.hear()
        self.look()
        for watching, process_id in self._streams.items():
            if watching.stream.is_over:
                assert process_id, "a stream of every process has ended"
                assert process_id not in watching.mirror
            else:
                own = self._own(watching.caller, process_id)
                assert watching.mirror == own, f"{watching.caller.name} believes {watching.mirror}, not {own}"
        for caller in CALLERS:
            for process_id in NAMES:
                seen = await world.poll(process_id, caller)
                assert bool(seen[-1]) is (world.sees(caller, process_id)), (caller.name, process_id, seen)
            page = json.loads((await world.page(caller, {}, 10))[-1])  # type: ignore[arg-type]
            shown = {row["process_id"] for row in page["processes"]}
            assert shown == {each for each in NAMES if world.sees(caller, each)}
            counts = json.loads((await world.stats(caller, {}))[-1])  # type: ignore[arg-type]
            assert counts["processes"] == len(self._own(caller, ""))

    def _own(self, caller: Caller, process_id: str) -> dict[str, int]:
        """What the caller sees of what streams show: of the model, or one process, wherever it is."""
        world = self.world
        held = [process_id] if process_id else [each.process_id for each in world.model.held()]
        return {each: world.versions[each] for each in held if world.sees(caller, each)}

    async def leave(self) -> None:
        for _, task in self._tasks:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._tasks), return_exceptions=True)


@given(window_size=windows, actions=actions)
@settings(FAST, max_examples=100)
async def test_nobody_is_shown_what_is_another_s_and_everybody_what_is_his_own(
    window_size: int, actions: list[tuple[str, str, Any]]
) -> None:
    world = World(window_size)
    world.write("a", "ann")
    world.write("b", "bob")
    await world.load()
    oracle = Oracle(world)
    for step, process_id, option in actions:
        if step == "write":
            world.write(process_id, option)
        elif step == "delete":
            world.delete(process_id)
        elif step == "hear":
            await world.hear()
        elif step == "pass":
            await world.timers.advance(option)
            await world.run()
        elif step == "down":
            world.is_down = option
        else:
            await oracle.ask(step, process_id, option)
        oracle.look()
    await oracle.settle()
    await oracle.leave()
