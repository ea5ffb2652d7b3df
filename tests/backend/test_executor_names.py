"""A token that is bound to executors speaks for nobody else: renewals, reports of halts and of trades."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from backend.audit.tables import AuditLog
from backend.auth import accounts
from backend.context import Caller
from backend.executor_names import speaks_for
from contract.gate import CloseCode
from contract.permissions import Permission
from tests.backend.test_freeze_evidence import WALLET, acknowledged, nonce, tell
from tests.support.app import SYSTEM, App
from tests.support.backends import serving
from tests.support.gate_line import line
from tests.support.holds import freeze, renew, renew_over_http
from tests.support.people import ADMIN

TRADE = {"chain": "base", "block_time": "2026-03-10T12:00:00Z"}


def _bound(*patterns: str) -> Caller:
    return Caller("executor:x", "service", "service", frozenset(), "test", executors=patterns)


@pytest.mark.parametrize(
    ("patterns", "name", "may"),
    [
        ((), "anything", True),
        (("bot-1",), "bot-1", True),
        (("bot-1",), "bot-10", False),
        (("bot-1",), "xbot-1", False),
        (("bot-*",), "bot-", True),
        (("bot-*",), "bot-1\n", True),
        (("bot-*",), "Bot-1", False),
        (("*-eu",), "arb-eu", True),
        (("a*b*c",), "a.b.c", True),
        (("b.t",), "bot", False),
        (("b[o]t",), "bot", False),
        (("one", "two"), "two", True),
        (("one",), "", False),
    ],
)
def test_patterns(patterns: tuple[str, ...], name: str, may: bool) -> None:  # noqa: FBT001  a table of cases
    assert speaks_for(_bound(*patterns), name) is may


@given(st.text(max_size=30))
def test_a_pattern_without_a_star_means_one_name(name: str) -> None:
    pattern = name.replace("*", "")
    assert speaks_for(_bound(pattern), pattern)
    assert not speaks_for(_bound(pattern), f"{pattern}x")


async def _token(app: App, *permissions: Permission, bound_to: str = "bot-1") -> str:
    async with app.runtime.database.transaction() as session:
        return await accounts.ensure_service_token(
            session, app.runtime, SYSTEM, name="bound", permissions=permissions, executors=[bound_to]
        )


async def _denied(app: App) -> int:
    denied = select(func.count()).where(AuditLog.event_type == "auth.permission.denied")
    async with app.runtime.database.read() as session:
        return await session.scalar(denied) or 0


async def _renewed(client: httpx.AsyncClient, name: str) -> httpx.Response:
    body = {"executor": name, "chain": "base", "strategy": "arbitrage", "wallet": "0xabc", "boot_id": "b1"}
    return await renew_over_http(client, body)


async def test_no_permit_for_another(app: App) -> None:
    client = app.with_token(await _token(app, Permission.RENEW_PERMIT, bound_to="bot-*"))
    assert (await _renewed(client, "bot-7")).status_code == 200
    refused = await _renewed(client, "other")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert "'other'" in refused.json()["message"]
    assert (await _renewed(client, "other")).status_code == 403
    assert await _denied(app) == 1, "somebody who tries on and on fills no log"
    known = (await (await app.as_(ADMIN)).get("/v1/executors")).json()["items"]
    assert [one["name"] for one in known] == ["bot-7"]


async def test_no_permit_for_another_over_a_connection(app: App) -> None:
    token = await _token(app, Permission.RENEW_PERMIT, bound_to="somebody-else")
    async with serving(app.app) as url, line(url, token) as bot:
        message, code = await bot.refused()
    assert code == CloseCode.REFUSED
    assert message is not None
    assert "may not speak for" in message["message"]


async def test_a_bound_source_is_heard_about_its_own_only(app: App) -> None:
    """`bot-2` has the other wallet; what the source says of it is not kept."""
    admin = await app.as_(ADMIN)
    for name in ("bot-1", "bot-2"):
        await renew(app.runtime, name, wallet=f"0xab{name}", last_order_seq=40)
    made = await freeze(admin)
    await acknowledged(app, made, "bot-1", in_flight_ids=["0xa1"])
    await acknowledged(app, made, "bot-2", in_flight_ids=["0xa2"], nonces={"0xabbot-2": 7})
    seen = [nonce(7), nonce(7, subject="0xabbot-2")]
    fates = {"0xa1": "landed", "0xa2": "landed"}
    client = app.with_token(await _token(app, Permission.OBSERVE_HALTS))
    watched: dict[str, Any] = (await client.get("/v1/freezes/to-watch")).json()
    assert [one["wallet"] for one in watched["wallets"]] == [WALLET]
    assert (watched["executors"], watched["in_flight"]) == (["bot-1"], ["0xa1"])
    assert await tell(client, *seen, fates=fates) == {"observations": 1, "fates": 1}
    anyone = app.with_token(await _token(app, Permission.OBSERVE_HALTS, bound_to="*"))
    assert await tell(anyone, *seen, fates=fates) == {"observations": 2, "fates": 1}


async def test_no_trade_of_another_is_taken(app: App) -> None:
    client = app.with_token(await _token(app, Permission.IMPORT_TRANSACTIONS))

    async def sent(*executors: str) -> int:
        trades = [TRADE | {"tx_hash": f"0x{place}", "executor": name} for place, name in enumerate(executors)]
        return (await client.post("/v1/transactions", json={"transactions": trades})).status_code

    assert await sent("bot-1", "bot-2") == 403
    assert await sent("bot-1", "") == 403, "a trade that is nobody's cannot be theirs"
    assert await _denied(app) == 2
    assert await sent("bot-1") == 200
    opened = await client.post("/v1/imports", json={"filename": "trades.csv", "sha256": "0" * 64})
    staged = {"rows": [{"line": 1, "transaction": TRADE | {"tx_hash": "0x9", "executor": "bot-2"}}]}
    answer = await client.post(f"/v1/imports/{opened.json()['id']}/rows", json=staged)
    assert answer.status_code == 403
