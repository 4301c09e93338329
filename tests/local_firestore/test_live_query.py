"""Windows kept by differences equal windows computed afresh: properties over random commits, without a server."""

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore_v1 import Client, FieldFilter, Or
from google.cloud.firestore_v1.base_query import BaseQuery
from google.cloud.firestore_v1.types import StructuredQuery
from hypothesis import given, settings
from hypothesis import strategies as st

from service.local_firestore import Database, Store
from service.local_firestore.clock import Clock
from service.local_firestore.database import Commit
from service.local_firestore.live_query import Entry, Kind, LiveQuery
from service.local_firestore.messages import time_of
from service.local_firestore.queries import Query, compile_query, run

pytestmark = pytest.mark.thorough

JOBS = Client(project="p", credentials=AnonymousCredentials()).collection("jobs")  # type: ignore[no-untyped-call]

QUERIES: dict[str, BaseQuery] = {
    "newest": JOBS.order_by("n", direction="DESCENDING").limit(3),
    "oldest": JOBS.order_by("n").limit(2),
    "everything": JOBS._query(),
    "by name, limited": JOBS.limit(4),
    "nothing": JOBS.order_by("n").limit(0),
    "filtered": JOBS.where(filter=FieldFilter("kind", "==", "x")).order_by("n", direction="DESCENDING").limit(2),
    "range": JOBS.where(filter=FieldFilter("n", ">=", 2)).order_by("n", direction="DESCENDING").limit(3),
    "mixed directions": JOBS.order_by("kind", direction="DESCENDING").order_by("n").limit(3),
    "either": JOBS.where(filter=Or([FieldFilter("kind", "==", "y"), FieldFilter("n", "<", 2)])).limit(3),
    "between cursors": JOBS.order_by("n").start_after({"n": 0}).end_at({"n": 3}).limit(3),
    "cursors, descending": JOBS.order_by("n", direction="DESCENDING").start_at({"n": 3}).limit(3),
}

VALUES = st.one_of(st.integers(0, 4), st.sampled_from([None, "a", 1.0, 2.5, True]))
DOCUMENTS = st.one_of(
    st.none(),
    st.fixed_dictionaries({"n": VALUES, "kind": st.sampled_from("xyz")}),
    st.fixed_dictionaries({"m": VALUES}),
)
COMMITS = st.lists(st.dictionaries(st.sampled_from("abcdefgh"), DOCUMENTS, min_size=1, max_size=4), max_size=12)

Held = dict[str, int]


@dataclass
class World:
    """An empty database, one query, and a listener's state of it."""

    database: Database
    query: Query
    live: LiveQuery
    held: Held

    @classmethod
    def of(cls, shape: str) -> "World":
        database = Store(clock=Clock(itertools.count(1_000_000_000).__next__)).database("p")
        query = compile_query(database.documents_path, StructuredQuery.pb(QUERIES[shape]._to_protobuf()))
        world = cls(database, query, LiveQuery(database, query), {})
        database.observers.append(world.hear)
        return world

    def hear(self, commit: Commit) -> None:
        apply(self.held, self.live.apply(commit.changes))

    def commit(self, documents: dict[str, Any]) -> int:
        return self.database.commit_plain({f"jobs/{name}": fields for name, fields in documents.items()})

    def result(self, at_us: int | None = None) -> Held:
        return {one.name: time_of(one.update_time) for one in run(self.database, self.query, at_us).documents}


def apply(held: Held, entries: list[Entry]) -> None:
    """As a consumer does; a removal of what is not held would show that the server lost count."""
    for entry in entries:
        if entry.kind is Kind.CHANGED:
            assert entry.document is not None
            held[entry.name] = time_of(entry.document.update_time)
        else:
            del held[entry.name]


@pytest.mark.parametrize("shape", QUERIES)
@given(commits=COMMITS)
@settings(max_examples=40)
def test_deltas_add_up_to_the_query_s_result(shape: str, commits: list[dict[str, Any]]) -> None:
    world = World.of(shape)
    for documents in commits:
        world.commit(documents)
        assert world.held == world.result()
        assert [one.name for one in world.live.documents()] == list(world.result())
        assert len(world.live) == len(world.held)


@pytest.mark.parametrize("shape", QUERIES)
@given(commits=COMMITS, hung_up_after=st.integers(0, 12))
@settings(max_examples=40)
def test_a_listener_resumed_from_any_point_holds_the_query_s_result(
    shape: str, commits: list[dict[str, Any]], hung_up_after: int
) -> None:
    world = World.of(shape)
    for documents in commits[:hung_up_after]:
        world.commit(documents)
    held, since_us = dict(world.held), world.database.clock.now()
    for documents in commits[hung_up_after:]:
        world.commit(documents)
    apply(held, world.live.entries_since(since_us))
    assert held == world.result()


@pytest.mark.parametrize("shape", QUERIES)
@given(commits=COMMITS)
@settings(max_examples=20)
def test_a_read_time_gives_the_result_of_then(shape: str, commits: list[dict[str, Any]]) -> None:
    world = World.of(shape)
    then = []
    for documents in commits:
        world.commit(documents)
        then.append((world.database.clock.now(), world.result()))
    for at_us, result in then:
        assert world.result(at_us) == result
