"""A person's own factors: another password or authenticator, recovery codes, confirmations, and the sealed account."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from backend.alerts.tables import AlertRow
from backend.audit.tables import AuditLog
from backend.auth import accounts, recovery, totp
from backend.auth.breakglass import Envelopes
from backend.auth.identity_tables import RecoveryCode
from backend.auth.password_rules import refuse_weak
from backend.auth.tables import User
from backend.context import system_caller
from backend.errors import WatchfloorError
from backend.policy import Policy
from backend.policy.load import load_policy
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.hardware import Desk, desk
from tests.support.ledger import settled
from tests.support.people import ADMIN, OFFICER, OPERATOR, PASSWORD, TOTP_SECRET, Person, sign_in
from tests.support.signing_in import enrol, quick_hashes, signed, signed_in

START = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)
LOCAL = system_caller("test")
NEW_PASSWORD = "nine purple kettles argue"
LONGEST = "".join(hashlib.sha256(bytes([part])).hexdigest() for part in range(16))
ABOUT = "9d1f2a34-5b6c-4d7e-8f90-a1b2c3d4e5f6"


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
def held() -> Iterator[Desk]:
    with desk() as made:
        yield made


@pytest.fixture
async def app(database_url: str, hand: SetClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    quick_hashes(monkeypatch)
    async with started_app(database_url, clock=hand.clock) as running:
        await sign_in(running.runtime, OPERATOR)
        yield running


def _code(hand: SetClock, secret: str = TOTP_SECRET) -> str:
    hand.pass_(seconds=30)  # a code works once
    return totp.code_at(secret, hand.at)


async def _log_in(app: App, code: str, *, name: str = OPERATOR.name, password: str = PASSWORD) -> httpx.Response:
    return await app.http.post("/v1/auth/login", json={"username": name, "password": password, "totp": code})


async def _client(app: App, code: str, **who: str) -> httpx.AsyncClient:
    answer = await _log_in(app, code, **who)
    assert answer.status_code == 200, answer.text
    return app.with_token(answer.json()["token"])


async def _events(app: App, prefix: str) -> list[str]:
    await settled(app)
    async with app.runtime.database.read() as session:
        rows = await session.scalars(
            select(AuditLog.event_type).where(AuditLog.event_type.startswith(prefix)).order_by(AuditLog.id)
        )
        return list(rows)


async def _alerts(app: App, rule: str) -> list[AlertRow]:
    async with app.runtime.database.read() as session:
        return list(await session.scalars(select(AlertRow).where(AlertRow.rule == rule)))


async def _recovery_codes(app: App) -> list[str]:
    async with app.runtime.database.transaction() as session:
        user = (await session.scalars(select(User).where(User.username == OPERATOR.name))).one()
        return await recovery.replace_all(session, app.runtime, user.id)


# passwords


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "Password1234",
        "qwertyuiop12",
        "aaaaaaaaaaaaaaaa",
        "123456789012",
        "watchfloor-2025!",
        "nora.mev_admin1",
        "Summer2025!!",
        "letmein-letmein",
        "tooshort",
        "x" * 1_025,
    ],
)
async def test_what_is_guessed_first_is_refused_without_being_repeated(password: str, app_policy: Policy) -> None:
    with pytest.raises(WatchfloorError) as refused:
        await refuse_weak(app_policy, password, own_words=["nora", "mev_admin"])
    assert password not in refused.value.message


@pytest.mark.parametrize("password", [NEW_PASSWORD, "k7mq-p2xr-t9wz", LONGEST])
async def test_what_withstands_guessing_is_taken(password: str, app_policy: Policy) -> None:
    await refuse_weak(app_policy, password, own_words=["nora", "mev_admin"])


@pytest.fixture(scope="module")
def app_policy() -> Policy:
    return load_policy("mev")


async def test_a_person_changes_the_own_password_and_other_sessions_end(app: App, hand: SetClock) -> None:
    here, elsewhere = await _client(app, _code(hand)), await _client(app, _code(hand))
    body = {"old": PASSWORD, "new": NEW_PASSWORD, "totp": _code(hand)}
    changed = await here.post("/v1/auth/password", json=body)
    assert changed.status_code == 200, changed.text
    assert changed.json()["sessions_ended"] == 2, "the fixture's own one too"
    assert (await here.get("/v1/auth/whoami")).status_code == 200
    assert (await elsewhere.get("/v1/auth/whoami")).status_code == 401
    assert (await _log_in(app, _code(hand))).status_code == 401
    assert (await _log_in(app, _code(hand), password=NEW_PASSWORD)).status_code == 200
    assert await _events(app, "auth.user") == ["auth.user.password_changed"]


async def test_a_stolen_session_cannot_change_the_password(app: App, hand: SetClock) -> None:
    thief = await _client(app, _code(hand))
    for wrong in ({"old": "guessed wrong it is"}, {"totp": "000000"}, {"totp": ""}):
        body = {"old": PASSWORD, "new": NEW_PASSWORD, "totp": _code(hand), **wrong}
        refused = await thief.post("/v1/auth/password", json=body)
        assert (refused.status_code, refused.json()["code"]) == (401, "login_failed")
    weak = {"old": "guessed wrong it is", "new": "password12345", "totp": _code(hand)}
    refused = await thief.post("/v1/auth/password", json=weak)
    assert refused.json()["code"] == "login_failed", "what is wrong with the new one hears who showed the old one"
    assert await _events(app, "auth.user") == []
    assert len(await _events(app, "auth.login.failed")) == 4


# authenticators and recovery codes


async def test_a_new_authenticator_counts_from_its_first_code_on(app: App, hand: SetClock) -> None:
    client = await _client(app, _code(hand))
    asked = await client.post("/v1/auth/authenticator", json={"password": PASSWORD, "totp": _code(hand)})
    secret = asked.json()["totp_secret"]
    assert secret in asked.json()["provisioning_uri"]
    assert (await _log_in(app, _code(hand, secret))).status_code == 401, "not yet"
    assert (await _log_in(app, _code(hand))).status_code == 200, "the old one still"
    wrong = await client.post("/v1/auth/authenticator/confirm", json={"totp": "000000"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request")
    done = await client.post("/v1/auth/authenticator/confirm", json={"totp": _code(hand, secret)})
    assert done.status_code == 200, done.text
    codes = done.json()["recovery_codes"]
    assert len(set(codes)) == app.runtime.policy.identity.recovery_codes
    assert (await _log_in(app, totp.code_at(secret, hand.at))).status_code == 401, "that code was its first use"
    assert (await _log_in(app, _code(hand))).status_code == 401
    assert (await _log_in(app, _code(hand, secret))).status_code == 200
    assert (await _log_in(app, codes[3])).status_code == 200


async def test_a_recovery_code_works_once_and_leads_to_a_new_authenticator(app: App, hand: SetClock) -> None:
    first, second, *_ = await _recovery_codes(app)
    client = await _client(app, first.replace("-", " ").upper())
    assert (await _log_in(app, first)).status_code == 401
    assert (await _log_in(app, _code(hand))).status_code == 401, "the lost authenticator no longer counts"
    (alert,) = await _alerts(app, "recovery_code_used")
    assert (alert.severity, OPERATOR.name in alert.message) == ("high", True)
    assert await _events(app, "auth.recovery") == ["auth.recovery.used"]
    refused = await client.get("/v1/overview")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert "authenticator" in refused.json()["message"]
    assert (await client.get("/v1/auth/whoami")).json()["must_enrol"] is True
    secret = (await client.post("/v1/auth/authenticator", json={"password": PASSWORD})).json()["totp_secret"]
    done = await client.post("/v1/auth/authenticator/confirm", json={"totp": _code(hand, secret)})
    assert done.status_code == 200, done.text
    assert (await client.get("/v1/overview")).status_code == 200
    assert (await client.get("/v1/auth/whoami")).json()["must_enrol"] is False
    assert (await _log_in(app, second)).status_code == 401, "the codes of before have ended"
    assert (await _log_in(app, _code(hand, secret))).status_code == 200


async def test_of_one_recovery_code_used_many_times_at_once_one_counts(app: App) -> None:
    code = (await _recovery_codes(app))[0]
    found = await asyncio.gather(*(_log_in(app, code) for _ in range(6)))
    assert sorted(answer.status_code for answer in found) == [200, *[401] * 5]


async def test_recovery_codes_are_stored_hashed_and_never_recorded(app: App) -> None:
    codes = await _recovery_codes(app)
    await _log_in(app, codes[0])
    async with app.runtime.database.read() as session:
        stored = repr([vars(row) for row in await session.scalars(select(RecoveryCode))])
        recorded = repr([vars(row) for row in await session.scalars(select(AuditLog))])
    for code in codes:
        for spelt in (code, code.replace("-", "")):
            assert spelt not in stored
            assert spelt not in recorded


# confirmations


async def _officer(app: App, hand: SetClock, held: Desk, person: Person = OFFICER) -> httpx.AsyncClient:
    await sign_in(app.runtime, person)
    await enrol(app.runtime, person, held)
    token = await signed_in(app.http, person, _code(hand), held)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app.app),
        base_url="http://test",
        headers={"authorization": f"Bearer {token}"},
    )


async def _asked(client: httpx.AsyncClient, act: str = "approve_erasure", about: str = ABOUT) -> dict[str, Any]:
    answer = await client.post("/v1/auth/confirm/challenge", json={"act": act, "about": about})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def _erase(app: App, officer: httpx.AsyncClient) -> str:
    """Have another officer ask for an erasure; its id."""
    asker = await app.as_(Person("ophelia", "compliance_officer"))
    asked = await asker.post("/v1/privacy/erasures", json={"subject": OPERATOR.name, "reason": "left the company"})
    assert asked.status_code in {200, 201}, asked.text
    return str(asked.json()["id"])


async def test_an_erasure_waits_for_a_touch_about_exactly_it(app: App, hand: SetClock, held: Desk) -> None:
    officer = await _officer(app, hand, held)
    ident = await _erase(app, officer)
    approve = f"/v1/privacy/erasures/{ident}/approve"
    refused = await officer.post(approve)
    assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_required")
    assert refused.json()["confirm"] == {"act": "approve_erasure", "about": ident}
    for act, about in (("approve_erasure", ABOUT), ("approve_thaw", ident)):
        asked = await _asked(officer, act, about)
        assert (await officer.post("/v1/auth/confirm", json=signed(asked, held))).status_code == 200
        assert (await officer.post(approve)).json()["code"] == "confirmation_required"
    asked = await _asked(officer, about=ident)
    confirmed = await officer.post("/v1/auth/confirm", json=signed(asked, held))
    assert datetime.fromisoformat(confirmed.json()["until"]) == hand.at + timedelta(minutes=5)
    hand.pass_(seconds=5 * 60)
    assert (await officer.post(approve)).json()["code"] == "confirmation_required", "it was too long ago"
    await officer.post("/v1/auth/confirm", json=signed(await _asked(officer, about=ident), held))
    assert (await officer.post(approve)).status_code == 200
    assert len(await _events(app, "auth.confirmation.given")) == 4


async def test_a_confirmation_belongs_to_its_session(app: App, hand: SetClock, held: Desk) -> None:
    officer = await _officer(app, hand, held)
    with desk() as other:
        admin = await _officer(app, hand, other, ADMIN)
        asked = await _asked(officer)
        stolen = await admin.post("/v1/auth/confirm", json=signed(asked, other))
        assert stolen.status_code == 403
        again = await admin.post("/v1/auth/confirm", json=signed(await _asked(admin), held))
        assert "not enrolled" in again.json()["message"]
    assert (await officer.post("/v1/auth/confirm", json=signed(asked, held))).status_code == 200


async def test_a_sign_ins_challenge_confirms_nothing_and_the_other_way_round(
    app: App, hand: SetClock, held: Desk
) -> None:
    officer = await _officer(app, hand, held)
    body = {"username": OFFICER.name, "password": PASSWORD, "totp": _code(hand)}
    for_sign_in = (await app.http.post("/v1/auth/login", json=body)).json()
    assert (await officer.post("/v1/auth/confirm", json=signed(for_sign_in, held))).status_code == 403
    for_act = await _asked(officer)
    assert (await app.http.post("/v1/auth/login/hardware", json=signed(for_act, held))).status_code == 401
    refused = await officer.post("/v1/auth/confirm/challenge", json={"act": "sign_in", "about": ""})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


async def test_a_freeze_never_waits_for_a_touch(app: App, hand: SetClock, held: Desk) -> None:
    officer = await _officer(app, hand, held)
    hand.pass_(seconds=3_600)
    wanted = {"scope": {"kind": "global", "name": ""}, "mode": "halt", "reason": "looks wrong", "idempotency_key": "k1"}
    assert (await officer.post("/v1/freezes", json=wanted)).status_code in {200, 201}


# the sealed account


async def _sealed(app: App) -> Envelopes:
    async with app.runtime.database.transaction() as session:
        return await accounts.seal_break_glass(session, app.runtime, LOCAL, name="break-glass")


async def test_both_envelopes_open_the_account_loudly_and_it_can_freeze_and_nothing_else(app: App) -> None:
    made = await _sealed(app)
    wrong = [("wrong password here", made.code), (made.password, "aaaa-bbbb-cccc-dddd"), (made.password, "")]
    for password, code in wrong:
        assert (await _log_in(app, code, name=made.name, password=password)).status_code == 401
    assert await _alerts(app, "break_glass_opened") == []
    client = await _client(app, made.code, name=made.name, password=made.password)
    (alert,) = await _alerts(app, "break_glass_opened")
    assert (alert.severity, made.name in alert.message) == ("critical", True)
    wanted = {
        "scope": {"kind": "global", "name": ""},
        "mode": "halt",
        "reason": "keys are lost",
        "idempotency_key": "k",
    }
    frozen = await client.post("/v1/freezes", json=wanted)
    assert frozen.status_code in {200, 201}, frozen.text
    assert (await client.get("/v1/freezes")).status_code == 200
    for path in ("/v1/overview", "/v1/audit", "/v1/executors", "/v1/risk"):
        assert (await client.get(path)).status_code == 403, path
    thaw = await client.post(f"/v1/freezes/{frozen.json()['id']}/thaw/approve", json={"digest": "0" * 64})
    assert thaw.status_code == 403
    changed = await client.post(
        "/v1/auth/password", json={"old": made.password, "new": NEW_PASSWORD, "totp": made.code}
    )
    assert changed.status_code == 403


async def test_it_expires_and_has_to_be_sealed_again(app: App, hand: SetClock) -> None:
    made = await _sealed(app)
    hand.pass_(seconds=86_400 * 400)  # sealed for more than a year
    client = await _client(app, made.code, name=made.name, password=made.password)
    hand.pass_(seconds=3_600 * (made.hours - 1))
    late = await _log_in(app, made.code, name=made.name, password=made.password)
    assert datetime.fromisoformat(late.json()["expires_at"]) == hand.at + timedelta(hours=1)
    hand.pass_(seconds=3_600)
    assert (await _log_in(app, made.code, name=made.name, password=made.password)).status_code == 401
    assert (await client.get("/v1/freezes")).status_code == 401
    again = await _sealed(app)
    assert (again.password, again.code) != (made.password, made.code)
    assert (await _log_in(app, made.code, name=made.name, password=made.password)).status_code == 401
    assert (await _log_in(app, again.code, name=again.name, password=again.password)).status_code == 200
    assert Counter(await _events(app, "auth.break_glass")) == {
        "auth.break_glass.sealed": 2,
        "auth.break_glass.opened": 3,
    }


async def test_guessing_does_not_keep_the_sealed_account_shut(app: App) -> None:
    made = await _sealed(app)
    for _ in range(app.runtime.policy.sign_in.watchfloor.failures_before_wait + 1):
        await _log_in(app, "000000", name=made.name, password="a wrong password")
    assert (await _log_in(app, made.code, name=made.name, password=made.password)).status_code == 200


async def test_nobody_else_gets_the_sealed_accounts_role_or_its_name(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        with pytest.raises(WatchfloorError, match="Only the sealed account"):
            await accounts.add_user(session, app.runtime, LOCAL, name="nora", role="break_glass")
        with pytest.raises(WatchfloorError, match="somebody's own account"):
            await accounts.seal_break_glass(session, app.runtime, LOCAL, name=OPERATOR.name)
