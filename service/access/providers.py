"""The providers of ID tokens: their issuers, audiences, and the place of their keys. Pure."""

from dataclasses import dataclass

FIREBASE_KEYS = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"

IAP_HEADER = "x-goog-iap-jwt-assertion"
IAP_ISSUER = "https://cloud.google.com/iap"
IAP_KEYS = "https://www.gstatic.com/iap/verify/public_key-jwk"


@dataclass(frozen=True, slots=True)
class Provider:
    """If `keys_url` is empty, the issuer's discovery document names it. `is_emulator`: tokens have no signature."""

    issuer: str
    audiences: tuple[str, ...]
    keys_url: str = ""
    is_emulator: bool = False

    @property
    def discovery_url(self) -> str:
        """The address of the discovery document (OpenID Connect Discovery 1.0, section 4)."""
        return self.issuer.rstrip("/") + "/.well-known/openid-configuration"


def firebase(project_id: str, *, is_emulator: bool) -> Provider:
    """Firebase Authentication of a project, or its emulator."""
    issuer = f"https://securetoken.google.com/{project_id}"
    return Provider(issuer, (project_id,), FIREBASE_KEYS, is_emulator)
