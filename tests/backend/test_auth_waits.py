"""Guessing: accounts and addresses wait, unknown names cost the same, and the account's holder still gets in."""

import asyncio
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select

from backend.alerts.tables import AlertRow
from backend.audit.tables import AuditLog
from backend.auth import accounts, recovery, totp, waits
from backend.auth.identity_tables import AddressWait, KnownAddress
from backend.auth.tables import User
from backend.context import system_caller
from tests.support.app import ORIGIN, App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import settled
from tests.support.people import OPERATOR, PASSWORD, TOTP_SECRET, sign_in
from tests.support.signing_in import quick_hashes

START = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)
HOME = "198.51.100.7"
ELSEWHERE = "198.51.100.8"
LOCAL = system_caller("test")
GUESSES = int(os.environ.get("WATCHFLOOR_BENCH_GUESSES", "600"))
"""Ten thousand take minutes and show the same."""
ATTACKERS = [f"203.0.113.{host}" for host in range(1, 51)]


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture(autouse=True)
def _quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_hashes" not in request.fixturenames:
        quick_hashes(monkeypatch)


@pytest.fixture
def real_hashes() -> None:
    """For a test of the time that hashing takes."""


@pytest.fixture
async def app(database_url: str, hand: SetClock) -> AsyncIterator[App]:
    """A backend with an operator's account, on a clock that the test moves."""
    async with started_app(database_url, clock=hand.clock) as running:
        await sign_in(running.runtime, OPERATOR)
        yield running


@asynccontextmanager
async def _from(app: App, address: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app.app, client=(address, 40_000))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


async def _log_in(app: App, address: str, code: str, *, password: str = PASSWORD, name: str = OPERATOR.name) -> int:
    async with _from(app, address) as client:
        body = {"username": name, "password": password, "totp": code}
        return (await client.post("/v1/auth/login", json=body)).status_code


def _code(hand: SetClock) -> str:
    hand.pass_(seconds=30)  # a code works once
    return totp.code_at(TOTP_SECRET, hand.at)


async def _recovery_codes(app: App) -> list[str]:
    async with app.runtime.database.transaction() as session:
        user = (await session.scalars(select(User).where(User.username == OPERATOR.name))).one()
        return await recovery.replace_all(session, app.runtime, user.id)


async def _failures(app: App) -> Counter[str | None]:
    await settled(app)
    async with app.runtime.database.read() as session:
        rows = await session.scalars(select(AuditLog.error_message).where(AuditLog.event_type == "auth.login.failed"))
        return Counter(rows)


async def _make_wait(app: App) -> None:
    """Fail until the account waits, from addresses that are strangers to it."""
    for guess in range(app.runtime.policy.sign_in.watchfloor.failures_before_wait):
        assert await _log_in(app, ATTACKERS[guess], "000000") == 401


async def test_an_address_waits_whatever_the_account_and_others_do_not(app: App, hand: SetClock) -> None:
    rules = app.runtime.policy.identity
    for guess in range(rules.address_failures_before_wait):
        assert await _log_in(app, ATTACKERS[0], "000000", name=f"nobody{guess}") == 401
    assert await _log_in(app, ATTACKERS[0], _code(hand)) == 401, "the right factors do not shorten the wait"
    assert await _log_in(app, HOME, _code(hand)) == 200
    hand.pass_(seconds=rules.first_address_wait_seconds)
    assert await _log_in(app, ATTACKERS[0], _code(hand)) == 200


async def test_the_wait_of_an_address_grows_and_is_bounded(app: App, hand: SetClock) -> None:
    rules = app.runtime.policy.identity
    for _ in range(rules.address_failures_before_wait + 12):
        await _log_in(app, ATTACKERS[0], "000000", name="nobody")
        hand.pass_(seconds=rules.longest_address_wait_seconds)
    async with app.runtime.database.read() as session:
        row = (await session.scalars(select(AddressWait))).one()
    assert row.failures == rules.address_failures_before_wait + 12
    assert row.wait_until is not None
    assert row.wait_until - row.last_tried_at == timedelta(seconds=rules.longest_address_wait_seconds)


async def test_tries_from_a_waiting_address_are_counted_not_recorded_one_by_one(app: App, hand: SetClock) -> None:
    """A flood must not fill the audit log; how many there were is told by the next entry about the address."""
    rules = app.runtime.policy.identity
    for _ in range(rules.address_failures_before_wait + 7):
        await _log_in(app, ATTACKERS[0], "000000", name="nobody")
    assert (await _failures(app)).total() == rules.address_failures_before_wait
    hand.pass_(seconds=rules.first_address_wait_seconds)
    await _log_in(app, ATTACKERS[0], "000000", name="nobody")
    async with app.runtime.database.read() as session:
        last = (await session.scalars(select(AuditLog).order_by(AuditLog.id.desc()).limit(1))).one()
    assert last.entry_metadata["turned_away_from_there"] == 7


async def test_an_address_is_forgotten_after_a_quiet_day(app: App, hand: SetClock) -> None:
    await _log_in(app, ATTACKERS[0], "000000", name="nobody")
    hand.pass_(seconds=3_600 * app.runtime.policy.identity.forget_failures_hours + 1)
    await _log_in(app, ATTACKERS[1], "000000", name="nobody")
    async with app.runtime.database.read() as session:
        assert list(await session.scalars(select(AddressWait.network))) == [f"{ATTACKERS[1]}/32"]


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.9", "203.0.113.9/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9/32"),
        (None, None),
    ],
)
def test_one_subscriber_counts_as_one_address(ip: str | None, network: str | None) -> None:
    assert waits.network_of(ip) == network


async def test_the_backends_own_host_never_waits_as_an_address(app: App, hand: SetClock) -> None:
    """Everybody who comes over SSH shares it."""
    for _ in range(app.runtime.policy.identity.address_failures_before_wait + 1):
        await _log_in(app, "127.0.0.1", "000000", name="nobody")
    assert await _log_in(app, "127.0.0.1", _code(hand)) == 200


async def test_who_signed_in_from_an_address_is_not_held_up_by_strangers(app: App, hand: SetClock) -> None:
    assert await _log_in(app, HOME, _code(hand)) == 200
    await _make_wait(app)
    next_code = totp.code_at(TOTP_SECRET, hand.at + timedelta(seconds=30))
    assert await _log_in(app, ELSEWHERE, next_code) == 401
    assert await _log_in(app, HOME, next_code) == 200
    assert await _log_in(app, ELSEWHERE, next_code) == 401
    assert (await _failures(app))["waiting after failures"] == 2, "signing in at home ends nobody else's wait"


async def test_a_known_address_waits_for_its_own_failures(app: App, hand: SetClock) -> None:
    rules = app.runtime.policy.sign_in.watchfloor
    assert await _log_in(app, HOME, _code(hand)) == 200
    for _ in range(rules.failures_before_wait):
        assert await _log_in(app, HOME, "000000") == 401
    assert await _log_in(app, HOME, totp.code_at(TOTP_SECRET, hand.at + timedelta(seconds=30))) == 401
    assert await _log_in(app, ELSEWHERE, totp.code_at(TOTP_SECRET, hand.at + timedelta(seconds=30))) == 200
    assert (await _failures(app))["waiting after failures"] == 1


async def test_an_address_is_known_for_as_long_as_the_policy_says(app: App, hand: SetClock) -> None:
    assert await _log_in(app, HOME, _code(hand)) == 200
    hand.pass_(seconds=86_400 * app.runtime.policy.identity.known_address_days)
    await _make_wait(app)
    assert await _log_in(app, HOME, totp.code_at(TOTP_SECRET, hand.at)) == 401


async def test_a_waiting_address_does_not_hold_up_who_is_known_there(app: App, hand: SetClock) -> None:
    """A colleague behind the same router must not lock the others out."""
    assert await _log_in(app, HOME, _code(hand)) == 200
    for _ in range(app.runtime.policy.identity.address_failures_before_wait):
        await _log_in(app, HOME, "000000", name="nobody")
    assert await _log_in(app, HOME, _code(hand)) == 200


async def test_a_recovery_code_gets_in_while_the_account_waits(app: App, hand: SetClock) -> None:
    codes = await _recovery_codes(app)
    await _make_wait(app)
    assert await _log_in(app, ELSEWHERE, codes[0], password="wrong") == 401
    assert await _log_in(app, ELSEWHERE, codes[0]) == 200
    async with app.runtime.database.read() as session:
        alerts = (await session.scalars(select(AlertRow).where(AlertRow.rule == "recovery_code_used"))).all()
    assert [OPERATOR.name in alert.message for alert in alerts] == [True]


async def test_hundreds_of_guesses_from_fifty_addresses_keep_out_nobody_but_the_guessers(
    app: App, hand: SetClock
) -> None:
    """A guess every second, a wrong code each. Who is at home gets in throughout, who travels by a recovery code."""
    codes = await _recovery_codes(app)
    assert await _log_in(app, HOME, _code(hand)) == 200
    rng = random.Random(5)  # noqa: S311  guesses, the same in each run
    judged_before = (await _failures(app)).total()
    clients = [
        httpx.AsyncClient(transport=httpx.ASGITransport(app.app, client=(one, 40_000)), base_url=ORIGIN)
        for one in ATTACKERS
    ]
    for guess in range(GUESSES):
        body = {"username": OPERATOR.name, "password": PASSWORD, "totp": f"{rng.randrange(10**6):06}"}
        answer = await clients[guess % len(clients)].post("/v1/auth/login", json=body)
        assert answer.status_code == 401
        hand.pass_(seconds=1)
        if guess % (GUESSES // 4) == GUESSES // 8:
            assert await _log_in(app, HOME, totp.code_at(TOTP_SECRET, hand.at)) == 200
    for client in clients:
        await client.aclose()
    async with app.runtime.database.read() as session:
        user = (await session.scalars(select(User))).one()
        assert user.locked_until is not None
        waiting = await session.scalar(select(func.count()).where(AddressWait.failures > 0))
        refused = await session.scalar(select(func.sum(AddressWait.refused)))
    reasons = await _failures(app)
    rules = app.runtime.policy.sign_in.watchfloor
    print(f"{GUESSES:,} guesses: judged {dict(reasons)}, {waiting} addresses waiting")  # noqa: T201  for the record
    # the account lets a stranger's guess be judged once a wait: a handful, then one each quarter of an hour
    most = rules.failures_before_wait + rules.longest_wait_seconds.bit_length() + GUESSES // rules.longest_wait_seconds
    assert rules.failures_before_wait <= reasons["code"] <= most + 1
    assert reasons.total() - judged_before + (refused or 0) <= GUESSES
    assert waiting
    assert await _log_in(app, ELSEWHERE, codes[0]) == 200
    async with app.runtime.database.transaction() as session:
        made = await accounts.reset_totp(session, app.runtime, LOCAL, name=OPERATOR.name)
    assert await _log_in(app, "198.51.100.99", totp.code_at(made.totp_secret, hand.at)) == 200


async def test_guesses_made_at_once_by_strangers_are_judged_one_by_one(app: App, hand: SetClock) -> None:
    rules = app.runtime.policy.identity
    many = rules.address_failures_before_wait + 6
    await asyncio.gather(*(_log_in(app, ATTACKERS[0], "000000", name=f"nobody{n}") for n in range(many)))
    async with app.runtime.database.read() as session:
        row = (await session.scalars(select(AddressWait))).one()
    assert row.failures == rules.address_failures_before_wait


async def test_a_name_without_account_takes_as_long_as_one_with(app: App, hand: SetClock, real_hashes: None) -> None:
    """Medians of one run, taken in turn: whatever else the machine does falls on both alike."""
    taken: dict[str, list[float]] = {OPERATOR.name: [], "nobody": []}
    for round_ in range(16):
        for name in sorted(taken, reverse=round_ % 2 == 0):
            began = time.process_time()
            assert await _log_in(app, f"192.0.2.{round_ + 1}", "000000", password="wrong", name=name) == 401
            taken[name].append(time.process_time() - began)
    ratio = statistics.median(taken[OPERATOR.name]) / statistics.median(taken["nobody"])
    assert 0.75 < ratio < 1.33, ratio


async def test_a_known_address_is_forgotten_with_the_wait_when_an_administrator_resets(
    app: App, hand: SetClock
) -> None:
    assert await _log_in(app, HOME, _code(hand)) == 200
    await _make_wait(app)
    async with app.runtime.database.transaction() as session:
        made = await accounts.reset_totp(session, app.runtime, LOCAL, name=OPERATOR.name)
    assert await _log_in(app, ELSEWHERE, totp.code_at(made.totp_secret, hand.at)) == 200
    async with app.runtime.database.read() as session:
        assert list(await session.scalars(select(KnownAddress.network))) == [f"{ELSEWHERE}/32"]
