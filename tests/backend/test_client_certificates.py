"""Machines' tokens that work over one certificate only, over real TLS with a real authority."""

import ssl
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from fastapi import Request

from backend.auth import accounts, tokens
from backend.auth.service import admit_by_token_alone
from backend.context import system_caller
from backend.errors import WatchfloorError
from backend.peer import STATE_KEY, Peer
from contract.permissions import Permission
from gate import Gate
from tests.support.app import App
from tests.support.backends import Backend, backend
from tests.support.certificates import Authority, Issued
from tests.support.gate_server import eventually as allowed_soon
from tests.support.latching import until
from tests.support.outage import outage

LIMIT_S = 30.0
RENEWAL = {
    "executor": "bot-1", "chain": "arbitrum", "strategy": "arbitrage", "wallet": "0xab", "boot_id": "a" * 32,
    "request_no": 1,
}  # fmt: skip


async def _token(app: App, name: str, bound_to: Issued | None, permission: Permission = Permission.RENEW_PERMIT) -> str:
    async with app.runtime.database.transaction() as session:
        return await accounts.ensure_service_token(
            session,
            app.runtime,
            system_caller("test"),
            name=name,
            permissions={permission},
            certificate=None if bound_to is None else bound_to.fingerprint(),
        )


def _renew(running: Backend, tls: ssl.SSLContext, token: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.post(f"{running.url}/v1/gate/renew", json=RENEWAL, headers=headers, verify=tls, timeout=LIMIT_S)


def _gate(running: Backend, tls: ssl.SSLContext, token: str) -> Gate:
    return Gate(running.url, token, executor="bot-1", chain="arbitrum", strategy="arbitrage", wallet="0xab", tls=tls)


async def test_a_token_that_names_a_certificate_works_over_it_alone(
    app: App, database_url: str, tmp_path: Path
) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    server, own, other = authority.issue("server"), authority.issue("bot"), authority.issue("other-bot")
    ended = authority.issue("ended", begins=timedelta(days=-2), ends=timedelta(hours=-1))
    unknown = stranger.issue("unknown")
    bound, free = await _token(app, "bound", own), await _token(app, "free", None)
    bound_to_ended, bound_to_unknown = await _token(app, "late", ended), await _token(app, "strange", unknown)
    env = {
        "WATCHFLOOR_TLS_CERTIFICATE": str(server.certificate),
        "WATCHFLOOR_TLS_KEY": str(server.key),
        "WATCHFLOOR_TLS_CLIENT_CA": str(authority.path),
    }
    without = ssl.create_default_context(cafile=authority.path)
    trusted = authority.path
    with backend(database_url, tmp_path / "backend.log", env=env) as running:
        assert _renew(running, own.as_client(trusted), bound).status_code == 200
        assert _renew(running, other.as_client(trusted), bound).status_code == 401
        assert _renew(running, without, bound).status_code == 401
        assert _renew(running, without, free).status_code == 200, "who is bound to none needs none"
        assert _renew(running, other.as_client(trusted), free).status_code == 200
        for unusable, token in ((ended, bound_to_ended), (unknown, bound_to_unknown)):
            with pytest.raises(httpx.TransportError):  # TLS itself refuses
                _renew(running, unusable.as_client(trusted), token)
        with _gate(running, own.as_client(trusted), bound) as gate:
            allowed_soon(lambda gate=gate: gate.may_send(amount_eth=Decimal(1)))  # type: ignore[misc]
        for wrong in (without, other.as_client(trusted), ended.as_client(trusted), unknown.as_client(trusted)):
            with _gate(running, wrong, bound) as gate:
                allowed_soon(lambda gate=gate: gate.last_error)  # type: ignore[misc]
                assert not gate.may_send(amount_eth=Decimal(1))


async def test_without_client_certificates_a_bound_token_is_worth_nothing(app: App, tmp_path: Path) -> None:
    bound = await _token(app, "bound", Authority(tmp_path).issue("bot"))
    answer = await app.with_token(bound).post("/v1/gate/renew", json=RENEWAL)
    assert answer.status_code == 401


async def test_while_the_database_is_away_the_certificate_counts_as_well(
    app: App, database_url: str, tmp_path: Path
) -> None:
    own = Authority(tmp_path).issue("watchdog")
    token = await _token(app, "watchdog", own, Permission.FREEZE_OPERATIONS)
    callers = app.runtime.callers
    callers.stale.set()
    await until(lambda: tokens.service_token_hash(token) in callers.known.machines, "a look")
    now = app.runtime.clock.now()
    shown = Peer(certificate=own.fingerprint(), certificate_until=now + timedelta(hours=1))
    others = Peer(certificate="c" * 64, certificate_until=now + timedelta(hours=1))
    ended = Peer(certificate=own.fingerprint(), certificate_until=now)
    with outage(database_url):
        for peer in (None, others, ended, Peer(uid=0, pid=1)):
            with pytest.raises(WatchfloorError, match="without the certificate it is bound to"):
                admit_by_token_alone(app.runtime, _request(token, peer))
        assert admit_by_token_alone(app.runtime, _request(token, shown)).subject == "service:watchdog"


def _request(token: str, peer: Peer | None) -> Request:
    state = {"request_id": "test"} | ({} if peer is None else {STATE_KEY: peer})
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return Request({"type": "http", "method": "POST", "path": "/v1/freezes", "headers": headers, "state": state})
