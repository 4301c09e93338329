"""ETags: a process's is its version, a list's a hash."""

import time

import pytest

from service.api.etags import content_etag, known_version, matches, precondition_failed, version_etag
from service.api.event_ids import read_event_id

SUFFIXES = ("-gzip", "--gzip", ";gzip", "-br", ";br", ";gz", "-zstd", "-x-gzip", "-deflate", "-gzip;br")


def test_a_process_etag_is_its_version() -> None:
    assert version_etag(1_795_435_200_000_001) == '"v1795435200000001"'
    assert version_etag(1_795_435_200_000_001, ["products"]) == '"v1795435200000001-p"'


def test_children_stand_behind_the_version_in_their_order() -> None:
    assert version_etag(5, ["logs"]) == '"v5~logs"'
    assert version_etag(5, ["products", "logs"]) == '"v5-p~logs"'
    assert version_etag(5, ["logs", "products"]) == '"v5~logs-p"'


CHILDREN: tuple[list[str], ...] = (
    [],
    ["products"],
    ["logs"],
    ["products", "logs"],
    ["gz", "br"],
    ["p"],
    ["_" * 64] * 9,
)


@pytest.mark.parametrize("children", CHILDREN)
def test_the_version_is_read_back_from_every_form(children: list[str]) -> None:
    tag = version_etag(17, children)
    for changed in (tag, f"W/{tag}", tag[:-1] + '-gzip"', tag[:-1] + ';br"'):
        assert known_version(changed) == 17
        assert [matches(changed, version_etag(17, others)) for others in CHILDREN] == [
            others == children for others in CHILDREN
        ]


@pytest.mark.parametrize("tag", ["v5~", "v5~~", "v5~1", "v5~a.b", "v5p", "v5-p-q", "v5-logs"])
def test_what_names_no_children_names_no_version(tag: str) -> None:
    assert known_version(f'"{tag}"') == 0


def test_a_list_etag_is_the_same_everywhere_and_differs_with_the_content() -> None:
    assert content_etag(b'{"processes":[]}') == '"27b65d70e4cc1b11f5fa0b5e"'
    assert content_etag(b"a") != content_etag(b"b")


@pytest.mark.parametrize("weakness", ["", "W/"])
@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_a_tag_that_a_compressing_proxy_changed_names_its_version(suffix: str, weakness: str) -> None:
    for tag in ("v5", "v5-p", "27b65d70e4cc1b11f5fa0b5e"):
        for header in (f'{weakness}"{tag}{suffix}"', f'"other", {weakness}"{tag}{suffix}","more"'):
            assert matches(header, f'"{tag}"')
            assert not precondition_failed(header, f'"{tag}"')
    assert known_version(f'"v3", {weakness}"v5-p{suffix}"') == 5
    assert known_version("", f'{weakness}"v5{suffix}"') == 5
    assert read_event_id(f'{weakness}"v5{suffix}"') == 5


@pytest.mark.parametrize(
    "tag", ["v5-p", "v4", "v55", "v5-other", "v5gzip", "v5-gzip-p", "-gzip", "5", "", "v5-gzip-gzip-gzip"]
)
def test_any_other_tag_names_another_version(tag: str) -> None:
    assert not matches(f'"{tag}"', '"v5"')
    assert precondition_failed(f'"{tag}"', '"v5"')


def test_with_and_without_products_are_two_tags_of_one_version() -> None:
    assert not matches('"v5-gzip"', '"v5-p"')
    assert not matches('"v5-p-gzip"', '"v5"')
    assert known_version('"v5-gzip"') == known_version('"v5-p--gzip"') == 5


@pytest.mark.parametrize(
    ("if_match", "fails"),
    [("", False), ("*", False), (" * ", False), ('"v4", "v5"', False), ('"v4"', True), ("v5", True), (",", True)],
)
def test_if_match_fails_where_it_names_none_of_the_answer(if_match: str, fails: bool) -> None:
    assert precondition_failed(if_match, '"v5"') is fails


@pytest.mark.parametrize("text", ["x", '"x"', "-1", "1.5", "v", "*", "12345678901234567890", "٣"])
def test_an_event_id_that_means_nothing_is_older_than_all(text: str) -> None:
    assert read_event_id(text) == 0


def test_hostile_tags_take_linear_time() -> None:
    began = time.process_time()
    for header in (
        '"' + "-gzip" * 6500 + 'x"',
        '"' * 32_000,
        '"v5' + "-" * 32_000 + '"',
        '"v1",' * 6500,
        f'"v5{"~a" * 16_000}!"',
    ):
        known_version(header)
        matches(header, '"v5"')
    assert time.process_time() - began < 0.2
