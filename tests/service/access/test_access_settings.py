"""The settings of ID tokens: whose tokens they describe, and which do not go together."""

import pytest

from service.access.providers import FIREBASE_KEYS, IAP_ISSUER, IAP_KEYS, Provider
from service.runtime.environment import WrongSettings
from service.settings import Settings, read_settings

OIDC = {"AUTH": "oidc", "AUTH_ISSUER": "https://login.example", "AUTH_AUDIENCE": "shop"}


NO_HOST = "FIREBASE_AUTH_EMULATOR_HOST: must name a host and a port: write it as HOST:PORT, for instance 127.0.0.1:8089"


def settings_of(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in {"PROJECT_ID": "shop", **environment}.items():
        monkeypatch.setenv(name, value)
    return read_settings()


@pytest.mark.parametrize(
    ("environment", "provider"),
    [
        ({}, None),
        (
            {"AUTH": "Firebase"},
            Provider("https://securetoken.google.com/shop", ("shop",), FIREBASE_KEYS),
        ),
        (
            {"AUTH": "firebase", "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"},
            Provider("https://securetoken.google.com/shop", ("shop",), FIREBASE_KEYS, is_emulator=True),
        ),
        ({"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}, None),
        (OIDC, Provider("https://login.example", ("shop",))),
        ({**OIDC, "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}, Provider("https://login.example", ("shop",))),
        (
            {**OIDC, "AUTH_AUDIENCE": "shop, app", "AUTH_JWKS_URL": "http://127.0.0.1:1/keys"},
            Provider("https://login.example", ("shop", "app"), "http://127.0.0.1:1/keys"),
        ),
        (
            {"AUTH": "oidc", "AUTH_HEADER": "X-Goog-IAP-JWT-Assertion", "AUTH_AUDIENCE": "/projects/1/apps/shop"},
            Provider(IAP_ISSUER, ("/projects/1/apps/shop",), IAP_KEYS),
        ),
    ],
)
def test_the_settings_name_a_provider(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], provider: Provider | None
) -> None:
    assert settings_of(monkeypatch, environment).provider("shop") == provider


@pytest.mark.parametrize(
    ("environment", "faults"),
    [
        ({"AUTH": "basic"}, ["AUTH: input should be 'firebase' or 'oidc'"]),
        ({"AUTH": ""}, ["AUTH: is set, but empty; give it a value, or leave it unset"]),
        ({"AUTH": "oidc"}, ["AUTH_ISSUER: is required with AUTH=oidc", "AUTH_AUDIENCE: is required with AUTH=oidc"]),
        ({"AUTH": "oidc", "AUTH_HEADER": "X-Goog-IAP-JWT-Assertion"}, ["AUTH_AUDIENCE: is required with AUTH=oidc"]),
        (
            {**OIDC, "AUTH": "firebase"},
            [
                "AUTH_ISSUER: is only for AUTH=oidc; with AUTH=firebase it follows from PROJECT_ID",
                "AUTH_AUDIENCE: is only for AUTH=oidc; with AUTH=firebase it follows from PROJECT_ID",
            ],
        ),
        (
            {"AUTH_AUDIENCE": "shop", "AUTH_ADMIN_CLAIM": "admin"},
            [
                "AUTH_AUDIENCE: is set, but AUTH is not: no token would be asked for",
                "AUTH_ADMIN_CLAIM: is set, but AUTH is not: no token would be asked for",
            ],
        ),
        (
            {**OIDC, "AUTH_ISSUER": "http://login.example"},
            ["AUTH_ISSUER: 'http://login.example' must be https: over http anyone in between could put in keys"],
        ),
        (
            {**OIDC, "AUTH_ISSUER": "login.example"},
            ["AUTH_ISSUER: 'login.example' is no URL: write it as https://login.example"],
        ),
        (
            {**OIDC, "AUTH_JWKS_URL": "http://127.0.0.1.evil/"},
            ["AUTH_JWKS_URL: 'http://127.0.0.1.evil/' must be https: over http anyone in between could put in keys"],
        ),
        (
            {**OIDC, "AUTH_HEADER": "a b"},
            ["AUTH_HEADER: must be the name of a header, for instance X-Goog-IAP-JWT-Assertion"],
        ),
        (
            {**OIDC, "AUTH_HEADER": "X-API-Key"},
            ["AUTH_HEADER: must be a header that is not read for anything else"],
        ),
        (
            {"AUTH": "firebase", "FIREBASE_AUTH_EMULATOR_HOST": "9099"},
            [NO_HOST],
        ),
    ],
)
def test_settings_that_do_not_go_together_are_a_line_each(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], faults: list[str]
) -> None:
    with pytest.raises(WrongSettings) as wrong:
        settings_of(monkeypatch, environment)
    assert wrong.value.faults == faults
