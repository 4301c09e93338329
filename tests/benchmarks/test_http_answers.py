"""Answers out of bytes, however these are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.http_answers import Answer, AnswerReader, NotHttp

FULL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Cache: HIT\r\n\r\nhello"
UNCHANGED = b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n'
CHUNKED = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na;x=1\r\n0123456789\r\n0\r\n\r\n"
TRAILER = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nDigest: x\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
LAST = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def read(*pieces: bytes) -> list[Answer]:
    reader = AnswerReader()
    return [answer for piece in pieces for answer in reader.feed(piece)]


def test_an_answer_is_told_with_its_code_size_and_source() -> None:
    (answer,) = read(FULL)
    assert (answer.status, answer.size, answer.x_cache, answer.closes) == (200, len(FULL), "HIT", False)
    (last,) = read(LAST)
    assert (last.status, last.x_cache, last.closes) == (503, "", True)


@given(st.lists(st.integers(0, 400)))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int]) -> None:
    stream = FULL + UNCHANGED + CHUNKED + TRAILER + INTERIM + LAST
    places = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
    answers = read(*(stream[start:end] for start, end in itertools.pairwise(places)))
    assert [answer.status for answer in answers] == [200, 304, 404, 200, 503]
    assert [answer.size for answer in answers] == [len(FULL), len(UNCHANGED), len(CHUNKED), len(TRAILER), len(LAST)]


@pytest.mark.parametrize(
    "bytes_",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nlots\r\n",
    ],
)
def test_what_can_not_be_read_is_no_answer(bytes_: bytes) -> None:
    with pytest.raises(NotHttp):
        read(bytes_)
