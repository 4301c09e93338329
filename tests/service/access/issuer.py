"""An issuer of ID tokens: keys, real tokens signed with them, and a real server for its keys."""

import functools
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

AUDIENCE = "shop"
ISSUER = "https://login.example"
HOUR_S = 3600

PrivateKey = RSAKey | ECKey


@functools.cache
def rsa_key(key_id: str = "rsa-1", bits: int = 2048) -> RSAKey:
    """One for all tests: to make one takes a while."""
    return RSAKey.generate_key(bits, {"kid": key_id})


@functools.cache
def ec_key(key_id: str = "ec-1", curve: str = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": key_id})


def claims_of(subject: str = "ann", *, issuer: str = ISSUER, now: float | None = None, **more: Any) -> dict[str, Any]:
    """What a good token claims; None leaves a claim out."""
    issued = int(time.time() if now is None else now)
    claims = {"iss": issuer, "aud": AUDIENCE, "sub": subject, "iat": issued, "exp": issued + HOUR_S, **more}
    return {name: value for name, value in claims.items() if value is not None}


def signed(claims: dict[str, Any], key: PrivateKey | None = None, **header: Any) -> str:
    """A token, signed by `key` with the algorithm of its kind unless the header names another."""
    key = rsa_key() if key is None else key
    algorithm = header.pop("alg", "RS256" if isinstance(key, RSAKey) else "ES256")
    named = {"alg": algorithm, "kid": key.kid, **header}
    named = {name: value for name, value in named.items() if value is not None}
    return jwt.encode(named, dict(claims), key, [algorithm])


def segment(content: Any) -> str:
    """One part of a token."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(body).rstrip(b"=").decode()


def unsigned(claims: Any, **header: Any) -> str:
    """A token as the Auth emulator makes it."""
    return f"{segment({'alg': 'none', 'typ': 'JWT', **header})}.{segment(claims)}."


def public_key_set(*keys: PrivateKey, **more: Any) -> bytes:
    """The keys as a provider publishes them."""
    return json.dumps({"keys": [{**key.as_dict(private=False), **more} for key in keys]}).encode()


class KeyServer:
    """What its document and its keys are is set while it runs; `status` other than 200 is an outage."""

    def __init__(self, *keys: PrivateKey) -> None:
        self.key_set = public_key_set(*keys)
        self.status = 200
        self.headers = {"Cache-Control": "public, max-age=3600"}
        self.asked: list[str] = []
        self.url = ""
        self.document: dict[str, Any] | None = None

    def publish(self, *keys: PrivateKey) -> None:
        """From now on these."""
        self.key_set = public_key_set(*keys)

    def token(self, subject: str = "ann", key: PrivateKey | None = None, **claims: Any) -> str:
        """A good token of this issuer."""
        return signed(claims_of(subject, issuer=self.url, **claims), key)

    async def answer_discovery(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        document = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} if self.document is None else self.document
        return web.json_response(document, status=self.status)

    async def answer_keys(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.Response(body=self.key_set, status=self.status, headers=self.headers)

    async def redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/keys")


@asynccontextmanager
async def key_server(*keys: PrivateKey) -> AsyncIterator[KeyServer]:
    """One on a port of its own."""
    server = KeyServer(*(keys or (rsa_key(), ec_key())))
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", server.answer_discovery)
    app.router.add_get("/keys", server.answer_keys)
    app.router.add_get("/elsewhere", server.redirect)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
