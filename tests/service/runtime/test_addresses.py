"""Addresses as people write them → the one form in which they are used, or what is wrong with them."""

import pytest

from service.runtime.addresses import authority, bind_addresses, emulator_host, web_origin


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        (["0.0.0.0"], ("0.0.0.0",)),  # noqa: S104 - not bound here
        (["::"], ("::",)),
        (["[::]"], ("::",)),
        ([" 127.0.0.1 "], ("127.0.0.1",)),
        (["::1", "[::1]", "0:0:0:0:0:0:0:1"], ("::1",)),
        (["0.0.0.0", "::"], ("::",)),  # noqa: S104
        (["127.0.0.1", "::", "::1"], ("::",)),
        (["127.0.0.1", "0.0.0.0", "::1"], ("0.0.0.0", "::1")),  # noqa: S104
        (["localhost", "10.0.0.7"], ("localhost", "10.0.0.7")),
    ],
)
def test_bind_addresses_are_plain_and_none_covers_another(written: list[str], bound: tuple[str, ...]) -> None:
    assert bind_addresses(written) == bound


@pytest.mark.parametrize(
    "written", ["127.0.0.1:8080", "[127.0.0.1]", "[::1", "::1]", "1.2.3", "a b", "http://a", ":::"]
)
def test_what_is_no_bind_address_is_refused_by_name(written: str) -> None:
    with pytest.raises(ValueError, match=r"^'"):
        bind_addresses([written])


def test_an_ipv6_address_stands_in_brackets_beside_a_port() -> None:
    assert [authority("::1", 80), authority("10.0.0.7", 80)] == ["[::1]:80", "10.0.0.7:80"]


@pytest.mark.parametrize("good", ["127.0.0.1:8089", "localhost:1", "[::1]:65535", "firestore_emulator.local:8080"])
def test_an_emulators_host_is_taken_as_it_is(good: str) -> None:
    assert emulator_host(good) == good


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("http://127.0.0.1:8089", "scheme or path"),
        ("127.0.0.1:8089/", "scheme or path"),
        ("127.0.0.1", "a host and a port"),
        (":8089", "a host and a port"),
        ("127.0.0.1:", "end in a port"),
        ("127.0.0.1:0", "end in a port"),
        ("127.0.0.1:99999", "end in a port"),
        ("127.0.0.1:\N{FULLWIDTH DIGIT EIGHT}", "end in a port"),
        ("127.0.0.1:8089 ", "end in a port"),
        (" 127.0.0.1:8089", "without spaces"),
        ("127.0.0.1 :8089", "without spaces"),
        ("::1:8089", "in brackets"),
        ("1.2.3:8089", "a host"),
    ],
)
def test_an_emulators_host_that_cannot_be_reached_is_refused(wrong: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        emulator_host(wrong)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("*", "*"),
        ("https://app.example", "https://app.example"),
        ("https://app.example/", "https://app.example"),
        ("HTTPS://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80/", "http://app.example"),
        ("https://app.example:80", "https://app.example:80"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_is_brought_into_the_form_that_browsers_send(written: str, sent: str) -> None:
    assert web_origin(written) == sent


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("app.example", "no scheme"),
        ("app.example:443", "no scheme"),
        ("//app.example", "no scheme"),
        ("null", "no scheme"),
        ("https://*.example", "wildcard"),
        ("https://*", "wildcard"),
        ("https://app.example/path", "more than"),
        ("https://app.example//", "more than"),
        ("https://app.example?", "more than"),
        ("https://app.example#x", "more than"),
        ("https://user@app.example", "more than"),
        ("https://", "names no host"),
        ("https://app.example:", "names no host"),
        ("https://app example", "names no host"),
        ("https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "xn--"),
        ("https://app.example:port", "cannot be read: Port could not be"),
        ("https://app.example:99999", "cannot be read: Port out of range"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(wrong: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        web_origin(wrong)
