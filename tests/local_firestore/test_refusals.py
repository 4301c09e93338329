"""What Firestore refuses: our server refuses the same requests with the code and the words of Google's."""

import pytest

from tests.local_firestore import refused_names, refused_queries, refused_writes
from tests.local_firestore.conftest import Pair
from tests.local_firestore.raw_calls import Call

GROUPS: dict[str, dict[str, Call]] = {
    "values": refused_writes.VALUES,
    "types of BSON": refused_writes.BSON,
    "references": refused_writes.REFERENCES,
    "fields": refused_writes.FIELDS,
    "transforms": refused_writes.TRANSFORMS,
    "preconditions": refused_writes.PRECONDITIONS,
    "batches": refused_writes.BATCHES,
    "single documents": refused_writes.SINGLE,
    "transactions": refused_writes.TRANSACTIONS,
    "documents": refused_names.DOCUMENTS,
    "parents": refused_names.PARENTS,
    "databases": refused_names.DATABASES,
    "collections": refused_names.COLLECTIONS,
    "paths": refused_names.PATHS,
    "listings": refused_names.LISTINGS,
    "combinations": refused_queries.COMBINATIONS,
    "operands": refused_queries.OPERANDS,
    "large operands": refused_queries.LARGE,
    "orders": refused_queries.ORDERS,
    "cursors": refused_queries.CURSORS,
    "aggregations": refused_queries.AGGREGATIONS,
}


@pytest.mark.parametrize("group", GROUPS)
def test_what_google_refuses_is_refused_in_the_same_words(pair: Pair, group: str) -> None:
    googles = {name: pair.google.ask(call) for name, call in GROUPS[group].items()}
    ours = {name: pair.local.ask(call) for name, call in GROUPS[group].items()}
    assert [name for name, answer in googles.items() if not answer.is_refusal] == []
    assert ours == googles
