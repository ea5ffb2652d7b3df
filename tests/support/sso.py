"""A backend with a provider of SSO, and somebody who signs in through it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from backend.audit.tables import AuditLog
from backend.auth.tables import Session
from tests.support.app import ORIGIN, App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.provider import CLIENT, SECRET, Provider, provider

POLICY = str(Path(__file__).with_name("sso.toml"))


@dataclass
class Sso:
    """Both ends, and the time of both."""

    app: App
    provider: Provider
    hand: SetClock

    async def start(self, *, whence: str = "127.0.0.1") -> dict[str, Any]:
        """Begin a sign-in at an address."""
        transport = httpx.ASGITransport(self.app.app, client=(whence, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            begun = await http.post("/v1/auth/login/sso", json={})
        assert begun.status_code == 200, begun.text
        body: dict[str, Any] = begun.json()
        return body

    async def ask(self, started: Mapping[str, Any], **more: str) -> httpx.Response:
        """Ask what came of it, no sooner than one may."""
        self.hand.pass_(seconds=5)
        return await self.app.http.post("/v1/auth/sso/ask", json={"ticket": started["ticket"], **more})

    async def answer(self, **claims: Any) -> httpx.Response:
        """What comes of a sign-in of somebody about whom the provider says this."""
        started = await self.start()
        self.provider.claims |= claims
        self.provider.approved = True
        return await self.ask(started)

    async def token(self, **claims: Any) -> str:
        """Sign in, and have the token."""
        done = await self.answer(**claims)
        assert done.status_code == 200, done.text
        token: str = done.json()["answer"]["token"]
        return token

    async def entries(self, event_type: str) -> list[AuditLog]:
        """Audit entries of a type, oldest first."""
        return await entries_of(self.app, event_type)

    async def sessions(self) -> list[Session]:
        """All sessions there ever were."""
        async with self.app.runtime.database.read() as session:
            return list(await session.scalars(select(Session).order_by(Session.id)))


def settings_for(made: Provider, directory: Path) -> dict[str, Any]:
    """What a backend is told of a provider."""
    secret = directory / "client-secret"
    secret.touch(mode=0o600)
    secret.write_text(f"{SECRET}\n")
    return {"oidc_issuer": made.issuer, "oidc_client_id": CLIENT, "oidc_client_secret_file": secret}


@asynccontextmanager
async def sso(database_url: str, directory: Path, *, policy: str = POLICY) -> AsyncIterator[Sso]:
    """A backend and a provider that it knows."""
    hand = SetClock()
    async with (
        provider(hand) as made,
        started_app(database_url, clock=hand.clock, policy=policy, settings=settings_for(made, directory)) as app,
    ):
        yield Sso(app, made, hand)
