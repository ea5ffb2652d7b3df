"""Signing in and out: what works, what is refused, and that nobody learns which factor was wrong."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from backend.audit.tables import AuditLog
from backend.auth import passwords, totp
from backend.auth.tables import Session, User
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of, sealed_values
from tests.support.people import ADMIN, OPERATOR, PASSWORD, TOTP_SECRET, Person, sign_in

START = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def app(database_url: str, hand: SetClock) -> AsyncIterator[App]:
    """A backend with an operator's and an admin's account, on a clock that the test moves."""
    async with started_app(database_url, clock=hand.clock) as running:
        await sign_in(running.runtime, OPERATOR)
        await sign_in(running.runtime, ADMIN)
        yield running


def _code(hand: SetClock) -> str:
    return totp.code_at(TOTP_SECRET, hand.at)


async def _log_in(app: App, code: str, *, password: str = PASSWORD, name: str = OPERATOR.name) -> httpx.Response:
    body = {"username": name, "password": password, "totp": code}
    return await app.http.post("/v1/auth/login", json=body)


async def _user(app: App, person: Person = OPERATOR) -> User:
    async with app.runtime.database.read() as session:
        return (await session.scalars(select(User).where(User.username == person.name))).one()


async def _change(app: App, **values: Any) -> None:
    async with app.runtime.database.transaction() as session:
        user = (await session.scalars(select(User).where(User.username == OPERATOR.name))).one()
        for name, value in values.items():
            setattr(user, name, value)


async def _who(app: App, token: str) -> httpx.Response:
    return await app.http.get("/v1/auth/whoami", headers={"authorization": f"Bearer {token}"})


async def test_password_and_code_give_a_session_of_eight_hours(app: App, hand: SetClock) -> None:
    answer = await _log_in(app, _code(hand))
    assert answer.status_code == 200, answer.text
    assert datetime.fromisoformat(answer.json()["expires_at"]) == START + timedelta(hours=8)
    me = (await _who(app, answer.json()["token"])).json()
    assert (me["username"], me["role"]) == (OPERATOR.name, "mev_operator")
    assert "execute_trades" in me["permissions"]
    assert "freeze_operations" not in me["permissions"]
    (entry,) = [row for row in await entries_of(app, "auth.login.succeeded") if row.resource_id == me["session_id"]]
    assert (entry.user_id, entry.category, entry.result) == (OPERATOR.name, "authentication", "success")


async def test_a_name_is_taken_in_any_case_and_a_code_with_a_space(app: App, hand: SetClock) -> None:
    code = _code(hand)
    assert (await _log_in(app, f"{code[:3]} {code[3:]}", name=f" {OPERATOR.name.upper()} ")).status_code == 200


async def test_every_wrong_factor_gets_the_same_answer(app: App, hand: SetClock) -> None:
    good = _code(hand)
    answers = [
        await _log_in(app, good, password="wrong"),
        await _log_in(app, "000000"),
        await _log_in(app, ""),
        await _log_in(app, "äöü"),
        await _log_in(app, good, name="nobody"),
    ]
    await _change(app, disabled=True)
    answers.append(await _log_in(app, good))
    told = {(a.status_code, a.json()["code"], a.json()["message"], a.json()["hint"]) for a in answers}
    assert len(told) == 1, told
    assert {status for status, *_ in told} == {401}
    reasons = Counter(row.error_message for row in await entries_of(app, "auth.login.failed"))
    assert reasons == {"password": 1, "code": 3, "unknown account": 1, "disabled account": 1}


async def test_a_name_without_account_is_not_kept(app: App, hand: SetClock) -> None:
    """People type passwords into the name field."""
    await _log_in(app, _code(hand), name="hunter2-by-mistake")
    (entry,) = await entries_of(app, "auth.login.failed")
    assert entry.resource_id is None
    async with app.runtime.database.read() as session:
        text = repr([vars(row) for row in await session.scalars(select(AuditLog))])
    assert "hunter2" not in text


async def test_an_unknown_name_costs_a_hash_too(app: App, hand: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes: list[str] = []
    verify = passwords._verify

    def counting(stored: str, given: str) -> bool:
        hashes.append(stored)
        return verify(stored, given)

    monkeypatch.setattr(passwords, "_verify", counting)
    await _log_in(app, _code(hand), name="nobody")
    await _log_in(app, _code(hand), password="wrong")
    assert len(hashes) == 2
    assert hashes[0] == passwords._DUMMY


def test_the_dummy_hash_has_todays_parameters() -> None:
    assert not passwords.is_outdated(passwords._DUMMY)


async def test_a_code_works_once(app: App, hand: SetClock) -> None:
    code = _code(hand)
    assert (await _log_in(app, code)).status_code == 200
    assert (await _log_in(app, code)).status_code == 401
    hand.pass_(seconds=30)
    assert (await _log_in(app, _code(hand))).status_code == 200


async def test_an_earlier_code_does_not_work_after_a_later_one(app: App, hand: SetClock) -> None:
    earlier = _code(hand)
    hand.pass_(seconds=30)
    assert (await _log_in(app, _code(hand))).status_code == 200
    assert (await _log_in(app, earlier)).status_code == 401


@pytest.mark.parametrize(("steps_off", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
async def test_a_clock_may_be_one_step_off(app: App, hand: SetClock, steps_off: int, status: int) -> None:
    code = totp.code_at(TOTP_SECRET, START + timedelta(seconds=30 * steps_off))
    assert (await _log_in(app, code)).status_code == status


async def test_a_wrong_password_does_not_use_up_the_code(app: App, hand: SetClock) -> None:
    code = _code(hand)
    await _log_in(app, code, password="wrong")
    assert (await _log_in(app, code)).status_code == 200


async def test_failures_make_the_account_wait_longer_and_longer(app: App, hand: SetClock) -> None:
    rules = app.runtime.policy.sign_in.watchfloor
    for _ in range(rules.failures_before_wait):
        assert (await _log_in(app, "000000")).status_code == 401
    hand.pass_(seconds=rules.first_wait_seconds - 1)
    assert (await _log_in(app, _code(hand))).status_code == 401, "the right factors do not shorten the wait"
    hand.pass_(seconds=1)
    await _log_in(app, "000000")
    hand.pass_(seconds=rules.first_wait_seconds * 2 - 1)
    assert (await _log_in(app, _code(hand))).status_code == 401
    hand.pass_(seconds=1)
    assert (await _log_in(app, _code(hand))).status_code == 200
    assert (await _user(app)).failed_logins == 0
    reasons = [row.error_message for row in await entries_of(app, "auth.login.failed")]
    assert reasons.count("waiting after failures") == 2


async def test_failures_while_waiting_do_not_prolong_the_wait(app: App, hand: SetClock) -> None:
    rules = app.runtime.policy.sign_in.watchfloor
    for _ in range(rules.failures_before_wait + 5):
        await _log_in(app, "000000")
    user = await _user(app)
    assert user.locked_until == START + timedelta(seconds=rules.first_wait_seconds)
    assert user.failed_logins == rules.failures_before_wait


async def test_another_account_does_not_wait(app: App, hand: SetClock) -> None:
    for _ in range(app.runtime.policy.sign_in.watchfloor.failures_before_wait):
        await _log_in(app, "000000")
    other = Person("otto", "mev_operator")
    await sign_in(app.runtime, other)
    assert (await _log_in(app, _code(hand), name=other.name)).status_code == 200


async def test_an_old_hash_is_replaced_at_sign_in(app: App, hand: SetClock) -> None:
    await _change(app, password_hash=PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD))
    assert (await _log_in(app, _code(hand))).status_code == 200
    stored = (await _user(app)).password_hash
    assert not passwords.is_outdated(stored)
    hand.pass_(seconds=30)
    assert (await _log_in(app, _code(hand))).status_code == 200


async def test_signing_out_ends_the_session_on_every_backend(app: App, hand: SetClock, database_url: str) -> None:
    token = (await _log_in(app, _code(hand))).json()["token"]
    async with started_app(database_url, clock=hand.clock) as other:
        assert (await _who(other, token)).status_code == 200
        out = await app.http.post("/v1/auth/logout", headers={"authorization": f"Bearer {token}"})
        assert out.status_code == 204
        assert out.content == b""
        assert (await _who(other, token)).status_code == 401
    (entry,) = await entries_of(app, "auth.logout.done")
    assert entry.user_id == OPERATOR.name


async def test_an_admin_may_sign_in_only_from_the_policys_networks(app: App, hand: SetClock) -> None:
    transport = httpx.ASGITransport(app.app, client=("203.0.113.9", 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as outside:
        body = {"username": ADMIN.name, "password": PASSWORD, "totp": _code(hand)}
        assert (await outside.post("/v1/auth/login", json=body)).status_code == 401
        token = await sign_in(app.runtime, ADMIN)
        used = await outside.get("/v1/auth/whoami", headers={"authorization": f"Bearer {token}"})
        assert (used.status_code, used.json()["code"]) == (403, "not_allowed")
    inside = httpx.ASGITransport(app.app, client=("10.20.30.40", 40000))
    async with httpx.AsyncClient(transport=inside, base_url="http://test") as client:
        asked = await client.post("/v1/auth/login", json=body)
        assert (asked.status_code, asked.json()["code"]) == (403, "not_allowed"), "from here only the key is missing"
    (refused,) = await entries_of(app, "auth.request.refused")
    assert refused.user_id == ADMIN.name
    assert (await sealed_values(app, refused.id))["ip_address"] == "203.0.113.9"
    reasons = [row.error_message for row in await entries_of(app, "auth.login.failed")]
    assert sorted(reasons, key=str) == ["address", "no hardware key enrolled"]


@pytest.mark.parametrize(
    "body",
    [
        {"username": "x" * 101, "password": "p"},
        {"username": "x", "password": "p" * 1025},
        {"username": "nul\x00", "password": "p"},
        {"username": "x"},
        {"username": "x", "password": "p", "role": "mev_admin"},
        ["x"],
    ],
)
async def test_a_malformed_sign_in_is_refused_before_any_work(app: App, body: object) -> None:
    answer = await app.http.post("/v1/auth/login", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_burst_of_sign_ins_is_told_to_come_back(
    app: App, hand: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(passwords._WAITING):
        assert passwords._slots.acquire(blocking=False)
    try:
        answer = await _log_in(app, _code(hand))
    finally:
        passwords._slots.release(passwords._WAITING)
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert (await _log_in(app, _code(hand))).status_code == 200


async def test_no_secret_is_recorded(app: App, hand: SetClock) -> None:
    token = (await _log_in(app, _code(hand))).json()["token"]
    await _log_in(app, "000000", password="a-wrong-password")
    async with app.runtime.database.read() as session:
        text = repr([vars(row) for row in await session.scalars(select(AuditLog))])
        kept = repr([vars(row) for row in await session.scalars(select(Session))])
    for secret in (PASSWORD, "a-wrong-password", TOTP_SECRET, token, token.split(".")[2]):
        assert secret not in text
        assert secret not in kept


async def test_waiting_sign_ins_hold_no_database_connection(
    app: App, hand: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than the pool has connections must not keep executors from renewing."""
    let_go = threading.Event()
    monkeypatch.setattr(passwords, "_verify", lambda _stored, _given: let_go.wait(60))
    token = await sign_in(app.runtime, OPERATOR)
    settings = app.runtime.settings
    burst = settings.pool_size + settings.pool_overflow + 2
    assert burst < passwords._WAITING
    waiting = [asyncio.create_task(_log_in(app, _code(hand))) for _ in range(burst)]
    try:
        while passwords._slots._value > passwords._WAITING - burst:  # noqa: ASYNC110  a semaphore tells nobody
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            assert (await _who(app, token)).status_code == 200
    finally:
        let_go.set()
        answers = await asyncio.gather(*waiting)
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * (burst - 1)]


async def test_guesses_made_at_once_count_one_by_one(app: App, hand: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve guesses in one instant are not twelve tries: the account's row is locked while one is judged."""
    guesses = 12
    together = asyncio.Barrier(guesses)

    async def matches(stored: str | None, password: str, *, signed_in: bool = False) -> bool:
        await together.wait()
        return stored is not None and password == PASSWORD

    monkeypatch.setattr(passwords, "matches", matches)
    await asyncio.gather(*(_log_in(app, f"{guess:06}") for guess in range(guesses)))
    rules = app.runtime.policy.sign_in.watchfloor
    assert (await _user(app)).failed_logins == rules.failures_before_wait
    reasons = Counter(row.error_message for row in await entries_of(app, "auth.login.failed"))
    assert reasons == {
        "code": rules.failures_before_wait,
        "waiting after failures": guesses - rules.failures_before_wait,
    }
