"""A whole service that takes ID tokens of a key server, and API keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.firestore_servers import BackgroundFirestore
from tests.service.access.issuer import AUDIENCE, KeyServer
from tests.service.running import COLLECTION, Reply, RunningService, running_service

KEY = "a-key"


class SignedIn:
    """The service, and who issues its tokens."""

    def __init__(self, running: RunningService, issuer: KeyServer) -> None:
        self.running = running
        self.issuer = issuer

    async def get(self, token: str | None, path: str = "/status/import-1", **headers: str) -> Reply:
        """GET with a bearer token."""
        bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.running.get(path, headers={**bearer, **headers})

    async def refusal(self, token: str) -> tuple[int, str, str]:
        """Status, message and challenge of the answer to a token."""
        reply = await self.get(token)
        return reply.status, reply.json().get("message"), reply.headers.get("WWW-Authenticate", "")


@asynccontextmanager
async def signed_in(
    firestore: BackgroundFirestore, project: str, issuer: KeyServer, **options: Any
) -> AsyncIterator[SignedIn]:
    """A service with one process, `import-1`. FIRESTORE_EMULATOR_HOST must be set to the Firestore's host."""
    firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
    taken: dict[str, Any] = {"auth": "oidc", "auth_issuer": issuer.url, "auth_audience": AUDIENCE, "api_keys": KEY}
    settings = {**taken, "listener": "stream", "window_size": 0, **options}
    async with running_service(firestore.host, project, **settings) as running:
        yield SignedIn(await running.synced(), issuer)
