"""Which pages of other origins can read answers."""

import pytest

from service.api.cors import cors_headers


@pytest.mark.parametrize(
    ("origins", "origin", "allowed_origin", "vary"),
    [
        ((), "https://a.example", None, None),
        (("https://a.example",), "https://a.example", "https://a.example", "Origin"),
        (("https://a.example",), "https://b.example", None, "Origin"),
        (("https://a.example",), "https://a.example.evil", None, "Origin"),
        (("https://a.example",), None, None, "Origin"),
        (("*",), "https://b.example", "*", "Origin"),
    ],
)
def test_only_configured_origins_may_read(
    origins: tuple[str, ...], origin: str | None, allowed_origin: str | None, vary: str | None
) -> None:
    headers = cors_headers(origins, origin)
    assert headers.get("Access-Control-Allow-Origin") == allowed_origin
    assert headers.get("Vary") == vary
    assert "Access-Control-Allow-Credentials" not in headers
