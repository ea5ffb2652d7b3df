"""A provider of SSO on loopback that a test can make lie: real HTTP, tokens by another library than the product's."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from tests.support.clocks import SetClock

CLIENT = "watchfloor-test"
SECRET = "the-clients-secret"
NORA = {"groups": ["floor-operators"], "preferred_username": "Nora"}
_LASTS_S = 600
Handler = Callable[[bytes, dict[str, str]], Awaitable[bytes]]
"""Body and headers of a request in, the whole answer out."""


@cache
def rsa_key(name: str) -> RSAPrivateKey:
    """A key of this run, the same for each asking."""
    assert name
    return generate_private_key(65537, 2048)


def answer(body: Any, status: str = "200 OK", **headers: str) -> bytes:
    """An answer of HTTP."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", "connection: close", f"content-length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


@dataclass
class Provider:
    """What it says, and how often it was asked. A test changes any of it while it runs."""

    clock: SetClock
    port: int = 0
    approved: bool = False
    error: str = "authorization_pending"
    """What it says until the person has approved."""
    subject: str = "subject-1"
    claims: dict[str, Any] = field(default_factory=lambda: dict(NORA))
    """Put into the ID token over what belongs there; None takes one out."""
    kid: str = "k1"
    signs: Callable[[dict[str, Any]], str] | None = None
    described: dict[str, Any] = field(default_factory=dict)
    started: dict[str, Any] = field(default_factory=dict)
    instead: dict[str, Handler] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    forms: list[dict[str, str]] = field(default_factory=list)
    nonces: dict[str, str] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """Its name."""
        return f"http://127.0.0.1:{self.port}"

    def keys(self) -> list[dict[str, Any]]:
        """Its public keys."""
        public: dict[str, Any] = RSAAlgorithm.to_jwk(rsa_key(self.kid).public_key(), as_dict=True)
        return [public | {"kid": self.kid, "use": "sig", "alg": "RS256"}]

    def token(self, nonce: str) -> str:
        """The ID token that it gives."""
        now = int(self.clock.at.timestamp())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": self.subject,
            "iat": now,
            "exp": now + _LASTS_S,
            "nonce": nonce,
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.signs is not None:
            return self.signs(claims)
        return jwt.encode(claims, rsa_key(self.kid), algorithm="RS256", headers={"kid": self.kid})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *rows = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (row.partition(": ") for row in rows)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            path = first.split(" ")[1]
            self.asked[path] += 1
            writer.write(await self.instead.get(path, self._usual(path))(body, headers))
            await writer.drain()
        writer.close()

    def _usual(self, path: str) -> Handler:
        async def handle(body: bytes, headers: dict[str, str]) -> bytes:
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            match path:
                case "/.well-known/openid-configuration":
                    return answer(self._description())
                case "/jwks":
                    return answer({"keys": self.keys()})
                case "/device" | "/token" if not _is_client(headers):
                    return answer({"error": "invalid_client"}, "401 Unauthorized")
                case "/device":
                    return answer(self._start(form))
                case "/token":
                    return self._redeem(form)
            return answer({"error": "not_found"}, "404 Not Found")

        return handle

    def _description(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "device_authorization_endpoint": f"{self.issuer}/device",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        } | self.described

    def _start(self, form: dict[str, str]) -> dict[str, Any]:
        self.forms.append(form)
        code = f"device-code-{len(self.forms)}"
        self.nonces[code] = form["nonce"]
        return {
            "device_code": code,
            "user_code": "ABCD-EFGH",
            "verification_uri": f"{self.issuer}/enter",
            "verification_uri_complete": f"{self.issuer}/enter?code=ABCD-EFGH",
            "expires_in": _LASTS_S,
            "interval": 5,
        } | self.started

    def _redeem(self, form: dict[str, str]) -> bytes:
        self.forms.append(form)
        code = form.get("device_code", "")
        if code not in self.nonces:
            return answer({"error": "invalid_grant"}, "400 Bad Request")
        if not self.approved:
            return answer({"error": self.error}, "400 Bad Request")
        nonce = self.nonces.pop(code)
        return answer({"access_token": "access", "token_type": "Bearer", "id_token": self.token(nonce)})


def _is_client(headers: dict[str, str]) -> bool:
    expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    return headers.get("authorization") == f"Basic {expected}"


def hs256_with_public_key(claims: dict[str, Any], kid: str) -> str:
    """A token whose secret is the public key that everybody can read."""
    pem = rsa_key(kid).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return by_hand({"alg": "HS256", "kid": kid}, claims, lambda signed: hmac.digest(pem, signed, hashlib.sha256))


def by_hand(header: dict[str, Any], claims: Any, sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    named = {name: value for name, value in header.items() if value is not None}
    signed = b".".join(encode(json.dumps(part).encode()) for part in (named, claims))
    return (signed + b"." + encode(sign(signed))).decode()


def encode(raw: bytes) -> bytes:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


@asynccontextmanager
async def provider(clock: SetClock) -> AsyncIterator[Provider]:
    """A provider that listens."""
    made = Provider(clock)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
