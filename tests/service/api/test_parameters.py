"""URL and headers, read strictly: everything is understood as the contract says, or a BadParameter naming it."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from service.api import etags
from service.api.list_query import ListQuery, is_process_id, write_page_token
from service.api.operations import LISTING
from service.api.parameters import CACHE_CONTROL, BatchQuery, include_parameter, read_list_query, read_process_id
from service.errors import BadParameter
from tests.service.schemas import order


def query_of(raw: str) -> ListQuery | BatchQuery:
    return read_list_query(LISTING.query(raw), order())


@pytest.mark.parametrize(
    ("raw", "query"),
    [
        ("", ListQuery(10)),
        ("&&", ListQuery(10)),
        ("limit=1000&status=done", ListQuery(1000, filters={"status": "done"})),
        ("status=a+b%2Bc", ListQuery(10, filters={"status": "a b+c"})),
        ("status=" + "%C3%A9" * 64, ListQuery(10, filters={"status": "é" * 64})),
        ("start_date=1970-01-02", ListQuery(10, lower=86_400_000_000)),
        ("end_date=1970-01-02", ListQuery(10, upper=172_800_000_000, upper_inclusive=False)),
        ("end_date=1970-01-02T00:00:00Z", ListQuery(10, upper=86_400_000_000)),
        ("page_token=" + write_page_token((5, "p1")), ListQuery(10, after=(5, "p1"))),
        ("process_id=b&process_id=a&process_id=b", BatchQuery(("b", "a", "b"))),
        ("&".join(f"process_id=p{n}" for n in range(100)), BatchQuery(tuple(f"p{n}" for n in range(100)))),
    ],
)
def test_a_list_is_asked_for_in_the_contracts_words(raw: str, query: ListQuery | BatchQuery) -> None:
    assert query_of(raw) == query


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("limit=0", "limit must be a whole number from 1 to 1000"),
        ("limit=1001", "limit must be a whole number from 1 to 1000"),
        ("limit=", "limit must be"),
        ("limit=1e2", "limit must be"),
        ("limit=%D9%A1", "limit must be"),
        ("limit=1&limit=1", "limit can be given only once"),
        ("status=", "status must have 1 to 64 characters"),
        ("status=" + "x" * 65, "status must have 1 to 64 characters"),
        ("status=%FF", "status is not UTF-8"),
        ("status=%ED%A0%80", "status is not UTF-8"),
        ("status=%", "status holds a %"),
        ("status=%2", "status holds a %"),
        ("status=%G0", "status holds a %"),
        ("Limit=1", "unknown parameter 'Limit'; known here: limit, status"),
        ("=1", "unknown parameter ''"),
        ("page_token=x", "page_token"),
        ("start_date=soon", "start_date"),
        ("end_date=soon", "end_date"),
        ("process_id=a&limit=1", "process_id can't be combined with limit"),
        ("process_id=a%2Fb", "process_id can't be one"),
        ("process_id=", "process_id can't be one"),
        ("&".join(["process_id=a"] * 101), "process_id can be given at most 100 times"),
    ],
)
def test_what_cannot_be_used_is_named(raw: str, message: str) -> None:
    with pytest.raises(BadParameter) as refused:
        query_of(raw)
    assert str(refused.value).startswith(message)


@given(st.text(max_size=200))
def test_no_query_raises_anything_but_a_bad_parameter(raw: str) -> None:
    try:
        query_of(raw)
    except BadParameter:
        return


@given(st.text(min_size=1, max_size=30).filter(is_process_id))
def test_every_process_id_can_be_asked_for(process_id: str) -> None:
    assert read_process_id(quote(process_id, safe="+")) == process_id


@pytest.mark.parametrize("segment", ["", "..", "%2E%2E", "a%2Fb", "__a__", "%FF", "%", "x" * 1501])
def test_what_is_no_process_id_is_refused(segment: str) -> None:
    with pytest.raises(BadParameter, match="process_id"):
        read_process_id(segment)


@pytest.mark.parametrize(
    ("values", "flag"),
    [(None, False), (["true"], True), (["TRUE"], True), (["1"], True), (["False"], False), (["0"], False)],
)
def test_flags_are_true_false_1_or_0_in_any_case(values: list[str] | None, flag: bool) -> None:
    assert include_parameter("products").of({} if values is None else {"include_products": values}) is flag


@pytest.mark.parametrize("values", [["yes"], [""], ["2"], ["true", "true"], ["true "]])
def test_other_flags_are_refused(values: list[str]) -> None:
    with pytest.raises(BadParameter, match="include_products"):
        include_parameter("products").of({"include_products": values})


@pytest.mark.parametrize(
    ("headers", "max_age_s"),
    [
        ([], None),
        ([""], None),
        (["no-cache"], 0.0),
        (["No-Cache"], 0.0),
        (["max-age=5"], 5.0),
        (["max-age=5, max-age=3"], 3.0),
        (["max-age=5", "no-cache"], 0.0),
        (["max-age=0"], 0.0),
        (['max-age="7"'], 7.0),
        (["no-store, max-stale=5"], None),
        (["max-age=-1"], None),
        (["max-age=soon"], None),
    ],
)
def test_cache_control_says_how_old_an_answer_may_be(headers: list[str], max_age_s: float | None) -> None:
    lines = CIMultiDict([("Cache-Control", line) for line in headers])
    assert CACHE_CONTROL.of(lines) == max_age_s


@pytest.mark.parametrize(
    ("if_none_match", "version"),
    [
        ("", 0),
        ("*", 0),
        ('"v5"', 5),
        ('W/"v5"', 5),
        ('"v5", "v7-p", "v6"', 7),
        ('"abc"', 0),
        ("v5", 0),
        ('"v-5"', 0),
        ('"v12345678901234567890"', 0),
    ],
)
def test_the_newest_version_seen_counts(if_none_match: str, version: int) -> None:
    assert etags.known_version(if_none_match) == version


@pytest.mark.parametrize(
    ("if_none_match", "matches"),
    [
        ('"v5"', True),
        ('W/"v5"', True),
        ('"v4","v5"', True),
        (" * ", True),
        ("", False),
        ('"v5-p"', False),
        ("v5", False),
    ],
)
def test_an_etag_matches_weakly_and_as_a_whole(if_none_match: str, matches: bool) -> None:
    assert etags.matches(if_none_match, '"v5"') is matches
