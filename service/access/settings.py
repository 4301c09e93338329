"""The settings of ID tokens, and the provider that they describe."""

import re
from typing import Annotated

from pydantic import ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from service.access.providers import IAP_HEADER, IAP_ISSUER, IAP_KEYS, Provider, firebase
from service.runtime.addresses import emulator_host, provider_url

FIREBASE, OIDC = "firebase", "oidc"

_HEADER = re.compile(r"[a-z0-9-]{1,64}")
_READ_FOR_OTHER_PURPOSES = ("host", "x-api-key", "x-request-id", "origin", "cookie")


class AccessSettings(BaseSettings):
    """`auth` None: no token is needed.

    Not a Literal, because an empty text must be a fault: it would open the service.
    """

    auth: str | None = None
    auth_header: str | None = None
    auth_issuer: str | None = None
    auth_audience: Annotated[tuple[str, ...], NoDecode] = ()
    auth_jwks_url: str | None = None
    auth_owner_claim: str = "sub"
    auth_admin_claim: str | None = None
    firebase_auth_emulator_host: str | None = None

    def provider(self, project_id: str) -> Provider | None:
        """The provider whose tokens are accepted; None if no tokens are."""
        if self.auth is None:
            return None
        if self.auth == FIREBASE:
            return firebase(project_id, is_emulator=self.firebase_auth_emulator_host is not None)
        if self.auth_issuer is None:
            return Provider(IAP_ISSUER, self.auth_audience, self.auth_jwks_url or IAP_KEYS)
        return Provider(self.auth_issuer, self.auth_audience, self.auth_jwks_url or "")

    @field_validator("auth")
    @classmethod
    def _auth_is_known(cls, value: str | None) -> str | None:
        known = None if value is None else value.strip().lower()
        if known not in (None, FIREBASE, OIDC):
            raise ValueError("input should be 'firebase' or 'oidc'")
        return known

    @field_validator("auth_header")
    @classmethod
    def _header_has_a_name(cls, value: str | None) -> str | None:
        name = None if value is None else value.strip().lower()
        if name is not None and not _HEADER.fullmatch(name):
            raise ValueError("must be the name of a header, for instance X-Goog-IAP-JWT-Assertion")
        if name in _READ_FOR_OTHER_PURPOSES:
            raise ValueError("must be a header that is not read for anything else")
        return name

    @field_validator("auth_issuer", "auth_jwks_url")
    @classmethod
    def _urls_can_be_trusted(cls, value: str | None) -> str | None:
        return None if value is None else provider_url(value)

    @field_validator("auth_issuer", "auth_audience", "auth_jwks_url")
    @classmethod
    def _firebases_are_known(
        cls, value: str | tuple[str, ...] | None, info: ValidationInfo
    ) -> str | tuple[str, ...] | None:
        if value and info.data.get("auth", OIDC) == FIREBASE:
            raise ValueError("is only for AUTH=oidc; with AUTH=firebase it follows from PROJECT_ID")
        return value

    @field_validator("auth_issuer", "auth_audience")
    @classmethod
    def _oidc_needs_both(
        cls, value: str | tuple[str, ...] | None, info: ValidationInfo
    ) -> str | tuple[str, ...] | None:
        is_iap = info.field_name == "auth_issuer" and info.data.get("auth_header") == IAP_HEADER
        if not value and info.data.get("auth") == OIDC and not is_iap:
            raise ValueError("is required with AUTH=oidc")
        return value

    @field_validator("auth_header", "auth_issuer", "auth_audience", "auth_jwks_url", "auth_admin_claim")
    @classmethod
    def _without_auth_they_mean_nothing(
        cls, value: str | tuple[str, ...] | None, info: ValidationInfo
    ) -> str | tuple[str, ...] | None:
        if value and info.data.get("auth", "wrong") is None:
            raise ValueError("is set, but AUTH is not: no token would be asked for")
        return value

    @field_validator("firebase_auth_emulator_host")
    @classmethod
    def _auth_emulator_has_a_host_and_a_port(cls, value: str | None) -> str | None:
        return None if value is None else emulator_host(value)
