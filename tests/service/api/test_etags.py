"""ETags: a process's is its version, a list's a hash."""

from service.api.etags import content_etag, version_etag
from service.api.parameters import known_version


def test_a_process_etag_is_its_version() -> None:
    assert version_etag(1_795_435_200_000_001) == '"v1795435200000001"'
    assert version_etag(1_795_435_200_000_001, with_products=True) == '"v1795435200000001-p"'


def test_the_version_is_read_back_from_either_form() -> None:
    assert known_version(version_etag(17)) == known_version(version_etag(17, with_products=True)) == 17


def test_a_list_etag_is_the_same_everywhere_and_differs_with_the_content() -> None:
    assert content_etag(b'{"processes":[]}') == '"27b65d70e4cc1b11f5fa0b5e"'
    assert content_etag(b"a") != content_etag(b"b")
