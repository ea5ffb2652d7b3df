"""What one caller can cost others: passwords that take long to judge, tries at once, factors tested in silence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from threading import BoundedSemaphore

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select
from zxcvbn import matching

from backend import folding
from backend.audit.tables import AuditLog
from backend.auth import passwords, totp
from backend.auth.enrolment import PENDING_FAILURES
from backend.auth.password_rules import judged_part, refuse_weak
from backend.errors import WatchfloorError
from backend.limits_core import class_of
from backend.policy.load import load_policy
from backend.policy.transport import RequestClass
from tests.support.app import POOL_SIZE, App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of, settled
from tests.support.people import ADMIN, OPERATOR, PASSWORD, TOTP_SECRET, sign_in
from tests.support.signing_in import quick_hashes

START = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)
NEW_PASSWORD = "nine purple kettles argue"
STAND_INS = "4@8({[<3691!|705$+7%2"
"""Every character that zxcvbn reads as a letter too."""


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def app(database_url: str, hand: SetClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    quick_hashes(monkeypatch)
    async with started_app(database_url, clock=hand.clock) as running:
        await sign_in(running.runtime, OPERATOR)
        yield running


def _code(hand: SetClock, secret: str = TOTP_SECRET) -> str:
    hand.pass_(seconds=30)  # a code works once
    return totp.code_at(secret, hand.at)


async def _client(app: App, code: str) -> httpx.AsyncClient:
    body = {"username": OPERATOR.name, "password": PASSWORD, "totp": code}
    answer = await app.http.post("/v1/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return app.with_token(answer.json()["token"])


async def _recorded(app: App, prefix: str) -> list[tuple[str, str | None]]:
    await settled(app)
    async with app.runtime.database.read() as session:
        wanted = AuditLog.event_type.startswith(prefix)
        rows = await session.execute(
            select(AuditLog.event_type, AuditLog.error_message).where(wanted).order_by(AuditLog.id)
        )
        return [(row.event_type, row.error_message) for row in rows]


@given(st.text(STAND_INS, max_size=100))
@example(STAND_INS * 4)
def test_no_password_makes_zxcvbn_try_more_than_a_few_dozen_readings(password: str) -> None:
    part = judged_part(password)
    tried = matching.enumerate_l33t_subs(matching.relevant_l33t_subtable(part, matching.L33T_TABLE))
    assert len(list(tried)) <= 32
    assert len(part) <= 30


async def test_the_event_loop_goes_on_while_a_password_is_judged() -> None:
    judging = asyncio.create_task(refuse_weak(load_policy("mev"), STAND_INS * 4))
    await asyncio.sleep(0)
    assert not judging.done()
    with suppress(WatchfloorError):
        await judging


async def test_a_weak_password_is_refused_after_the_factors_and_the_code_is_used_up(app: App, hand: SetClock) -> None:
    client = await _client(app, _code(hand))
    body = {"old": PASSWORD, "new": "password12345", "totp": _code(hand)}
    weak = await client.post("/v1/auth/password", json=body)
    assert (weak.status_code, weak.json()["code"]) == (422, "invalid_request")
    assert "code is used up" in weak.json()["hint"]
    again = await client.post("/v1/auth/password", json={**body, "new": NEW_PASSWORD})
    assert again.json()["code"] == "login_failed"
    assert await _recorded(app, "auth.user") == []


@pytest.mark.parametrize("path", ["unlock", "password", "authenticator"])
async def test_tries_at_once_need_no_second_connection(app: App, path: str) -> None:
    client = await app.as_(OPERATOR)
    proof = {"old": "wrong it is", "new": NEW_PASSWORD} if path == "password" else {"password": "wrong it is"}
    tries = (client.post(f"/v1/auth/{path}", json={**proof, "totp": "000000"}) for _ in range(POOL_SIZE + 6))
    assert {answer.status_code for answer in await asyncio.gather(*tries)} == {401}


async def test_who_is_signed_in_leaves_room_for_signing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_slots_signed_in", BoundedSemaphore(1))
    slow = asyncio.create_task(passwords.matches(None, "x", signed_in=True))
    await asyncio.sleep(0)
    with pytest.raises(WatchfloorError, match="at once"):
        await passwords.matches(None, "x", signed_in=True)
    assert await passwords.matches(None, "x") is False
    assert await slow is False
    assert await passwords.matches(None, "x", signed_in=True) is False


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("unlock", RequestClass.SIGN_INS),
        ("password", RequestClass.SIGN_INS),
        ("authenticator", RequestClass.SIGN_INS),
        ("authenticator/confirm", RequestClass.SIGN_INS),
        ("login/sso", RequestClass.SIGN_INS),
        ("sso/ask", RequestClass.WRITES),
    ],
)
def test_what_costs_a_hash_counts_as_a_sign_in(path: str, kind: RequestClass) -> None:
    assert class_of("POST", f"/v1/auth/{path}") is kind


async def _pending(client: httpx.AsyncClient, hand: SetClock) -> str:
    asked = await client.post("/v1/auth/authenticator", json={"password": PASSWORD, "totp": _code(hand)})
    secret: str = asked.json()["totp_secret"]
    return secret


async def test_a_new_authenticator_is_not_guessed_at_for_long(app: App, hand: SetClock) -> None:
    client = await _client(app, _code(hand))
    secret = await _pending(client, hand)
    for _ in range(PENDING_FAILURES):
        wrong = await client.post("/v1/auth/authenticator/confirm", json={"totp": "000000"})
        assert wrong.json()["message"] == "That code does not fit the new authenticator."
    late = await client.post("/v1/auth/authenticator/confirm", json={"totp": _code(hand, secret)})
    assert (late.status_code, late.json()["message"]) == (422, "Ask for a new authenticator first.")
    failure = ("auth.login.failed", "code of the new authenticator")
    assert await _recorded(app, "auth.login.failed") == [failure] * PENDING_FAILURES
    again = await client.post(
        "/v1/auth/authenticator/confirm", json={"totp": _code(hand, await _pending(client, hand))}
    )
    assert again.status_code == 200, "another one begins anew"


async def test_a_new_authenticator_is_taken_into_use_soon_or_not_at_all(app: App, hand: SetClock) -> None:
    client = await _client(app, _code(hand))
    secret = await _pending(client, hand)
    hand.pass_(minutes=10)
    late = await client.post("/v1/auth/authenticator/confirm", json={"totp": _code(hand, secret)})
    assert late.json()["message"] == "Ask for a new authenticator first."


async def test_refusals_where_nothing_is_limited_fill_no_log(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "EVERY_S", 1e9)
    body = {"scope": {"kind": "global"}, "reason": "a test"}
    for at in range(10):
        stranger = app.with_token(f"wfs_made-up-{at}")
        assert (await stranger.post("/v1/freezes", json=body)).status_code == 401
    assert (await app.http.post("/v1/freezes", json=body)).status_code == 401
    assert (await stranger.get("/v1/freezes/F-1")).status_code == 401, "limited: told each time"
    monkeypatch.setattr(folding, "EVERY_S", 0.0)
    assert (await stranger.post("/v1/freezes", json=body)).status_code == 401
    found = await entries_of(app, "auth.request.refused")
    told = [(row.action, row.error_message, row.entry_metadata.get("refused_since_last_told")) for row in found]
    unknown, post = "the token is no machine's token, or has ended", "POST /v1/freezes"
    assert sorted(told, key=str) == sorted(
        [
            (post, unknown, None),
            (post, "sent no token", None),
            ("GET /v1/freezes/F-1", unknown, None),
            (post, unknown, 9),
        ],
        key=str,
    )


async def test_freezes_that_are_accepted_leave_an_entry_each(app: App) -> None:
    client = await app.as_(ADMIN)
    for chain in ("base", "arbitrum", "ethereum"):
        body = {"scope": {"kind": "chain", "name": chain}, "reason": "a test"}
        assert (await client.post("/v1/freezes", json=body)).status_code == 201
    assert len(await _recorded(app, "freeze.hold.created")) == 3


def test_what_is_folded_is_told_once_a_minute_and_forgotten_kinds_anew() -> None:
    folded = folding.Folded()
    seconds = (0.0, 1.0, 59.9, 60.0, 61.0, 500.0)
    assert [folded.tell(("192.0.2.7", "why"), at) for at in seconds] == [0, None, None, 2, None, 1]
    assert folded.tell(("192.0.2.8", "why"), 500.0) == 0
    for at in range(folding.MAX_REMEMBERED):
        folded.tell((str(at), "why"), 501.0)
    assert folded.tell(("192.0.2.7", "why"), 502.0) == 0
