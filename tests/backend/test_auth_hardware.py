"""Signing in and confirming with a hardware key: what is taken, and everything that looks like it and is refused."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from backend.alerts.tables import AlertRow
from backend.auth import hardware_keys, totp
from backend.auth.identity_tables import HardwareKeyRow
from backend.auth.tables import Session, User
from backend.context import system_caller
from backend.errors import WatchfloorError
from contract.hardware import SK_ECDSA, SK_ED25519, HardwareChallenge, HardwareStatement, bytes_to_sign
from contract.sshwire import encode64, string
from simulator.security_key import Counting
from tests.support.app import ORIGIN, App, started_app
from tests.support.clocks import SetClock
from tests.support.hardware import Desk, desk
from tests.support.ledger import entries_of
from tests.support.people import ADMIN, ADMIN2, OFFICER, OPERATOR, PASSWORD_HASH, TOTP_SECRET, Person, sign_in
from tests.support.signing_in import enrol, first_step, quick_hashes, second_step, signed, signed_in

START = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)
LOCAL = system_caller("test")


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
def held() -> Iterator[Desk]:
    with desk() as made:
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_hashes(monkeypatch)


@pytest.fixture
async def app(database_url: str, hand: SetClock, held: Desk) -> AsyncIterator[App]:
    """A backend on a clock that the test moves, with an admin who has a key and another one who has none."""
    async with started_app(database_url, clock=hand.clock) as running:
        for person in (ADMIN, ADMIN2):
            await sign_in(running.runtime, person)
        await enrol(running.runtime, ADMIN, held)
        yield running


def _code(hand: SetClock) -> str:
    return totp.code_at(TOTP_SECRET, hand.at)


async def _challenge(app: App, hand: SetClock, person: Person = ADMIN) -> dict[str, Any]:
    hand.pass_(seconds=30)  # a code works once
    asked = await first_step(app.http, person, _code(hand))
    assert asked.status_code == 202, asked.text
    body: dict[str, Any] = asked.json()
    return body


async def _alerts(app: App, rule: str) -> list[AlertRow]:
    async with app.runtime.database.read() as session:
        return list(await session.scalars(select(AlertRow).where(AlertRow.rule == rule)))


async def _key(app: App) -> HardwareKeyRow:
    async with app.runtime.database.read() as session:
        return (await session.scalars(select(HardwareKeyRow))).one()


@pytest.mark.parametrize("kind", [SK_ED25519, SK_ECDSA])
async def test_all_three_factors_give_a_session_that_says_so(app: App, hand: SetClock, held: Desk, kind: str) -> None:
    if kind != SK_ED25519:
        await enrol(app.runtime, ADMIN, held, kind=kind)
    asked = await _challenge(app, hand)
    assert "token" not in asked
    answer = await second_step(app.http, signed(asked, held, kind=kind))
    assert answer.status_code == 200, answer.text
    me = (await app.with_token(answer.json()["token"]).get("/v1/auth/whoami")).json()
    assert me["username"] == ADMIN.name
    async with app.runtime.database.read() as session:
        row = (await session.scalars(select(Session).order_by(Session.created_at.desc()))).first()
    assert row is not None
    assert row.factors == ["password", "totp", "hardware_key"]
    entry = (await entries_of(app, "auth.login.succeeded"))[-1]
    assert entry.entry_metadata["factors"] == row.factors


async def test_password_and_code_alone_open_nothing(app: App, hand: SetClock) -> None:
    before = len(await entries_of(app, "auth.login.succeeded"))
    await _challenge(app, hand)
    assert len(await entries_of(app, "auth.login.succeeded")) == before


async def test_a_role_without_the_demand_signs_in_in_one_step(app: App, hand: SetClock) -> None:
    await sign_in(app.runtime, OPERATOR)
    assert (await first_step(app.http, OPERATOR, _code(hand))).status_code == 200


async def test_an_account_without_a_key_is_told_so_and_only_after_its_other_factors(app: App, hand: SetClock) -> None:
    code = _code(hand)
    told = await first_step(app.http, ADMIN2, code)
    assert (told.status_code, told.json()["code"]) == (403, "not_allowed")
    assert "enroll-key" in told.json()["hint"]
    (entry,) = await entries_of(app, "auth.login.failed")
    assert entry.error_message == "no hardware key enrolled"
    assert (await first_step(app.http, ADMIN2, code)).status_code == 401, "the code is used up"
    wrong = await first_step(app.http, ADMIN2, "000000")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "login_failed")


async def test_a_wrong_code_never_shows_a_challenge(app: App, hand: SetClock) -> None:
    assert (await first_step(app.http, ADMIN, "000000")).status_code == 401


async def test_a_replayed_answer_is_refused(app: App, hand: SetClock, held: Desk) -> None:
    answer = signed(await _challenge(app, hand), held)
    assert (await second_step(app.http, answer)).status_code == 200
    again = await second_step(app.http, answer)
    assert (again.status_code, again.json()["code"]) == (401, "login_failed")
    assert "answered" in again.json()["message"]


async def test_of_one_answer_sent_many_times_at_once_one_counts(app: App, hand: SetClock, held: Desk) -> None:
    answer = signed(await _challenge(app, hand), held)
    found = await asyncio.gather(*(second_step(app.http, answer) for _ in range(6)))
    assert sorted(one.status_code for one in found) == [200, *[401] * 5]


async def test_a_wrong_answer_spends_the_challenge(app: App, hand: SetClock, held: Desk) -> None:
    asked = await _challenge(app, hand)
    wrong = signed(asked, held) | {"signature": encode64(b"nonsense")}
    assert (await second_step(app.http, wrong)).status_code == 401
    assert (await second_step(app.http, signed(asked, held))).status_code == 401


async def test_an_answer_to_somebody_elses_challenge_is_refused(app: App, hand: SetClock, held: Desk) -> None:
    with desk() as other:
        await enrol(app.runtime, ADMIN2, other)
        asked = await _challenge(app, hand, ADMIN2)
        mine = signed(asked, held)
        refused = await second_step(app.http, mine)
    assert refused.status_code == 401
    assert "not enrolled" in refused.json()["message"]


@pytest.mark.parametrize(
    "changed",
    [
        {"user": ADMIN2.name},
        {"origin": "http://elsewhere.example"},
        {"act": "approve_thaw"},
        {"about": "something else"},
        {"nonce": "n" * 43},
        {"challenge_id": "another"},
    ],
)
async def test_a_signature_about_anything_else_is_refused(
    app: App, hand: SetClock, held: Desk, changed: dict[str, str]
) -> None:
    """What was signed for another account, origin, act or challenge is worth nothing here."""
    asked = await _challenge(app, hand)
    stated = HardwareChallenge.model_validate(asked).statement
    message = bytes_to_sign(HardwareStatement.model_validate(stated.model_dump() | changed))
    answer = {
        "challenge_id": asked["statement"]["challenge_id"],
        "key": encode64(held.key.blob(SK_ED25519)),
        "signature": encode64(held.sign(SK_ED25519, message)),
    }
    refused = await second_step(app.http, answer)
    assert refused.status_code == 401
    assert "does not fit" in refused.json()["message"]


async def test_an_answer_that_comes_too_late_is_refused(app: App, hand: SetClock, held: Desk) -> None:
    answer = signed(await _challenge(app, hand), held)
    hand.pass_(seconds=app.runtime.policy.identity.challenge_seconds)
    refused = await second_step(app.http, answer)
    assert refused.status_code == 401
    assert "too late" in refused.json()["message"]


async def test_a_touch_is_needed(app: App, hand: SetClock, held: Desk) -> None:
    held.behaviour.touched = False
    refused = await second_step(app.http, signed(await _challenge(app, hand), held))
    assert refused.status_code == 401
    assert "touched" in refused.json()["message"]


async def test_a_cloned_key_is_refused_for_good_and_loudly(app: App, hand: SetClock, held: Desk) -> None:
    await signed_in(app.http, ADMIN, _code(hand), held)
    held.behaviour.counting = Counting.FROZEN
    refused = await second_step(app.http, signed(await _challenge(app, hand), held))
    assert refused.status_code == 401
    assert "copy" in refused.json()["message"]
    (entry,) = await entries_of(app, "auth.hardware_key.cloned")
    assert entry.resource_id == ADMIN.name
    (alert,) = await _alerts(app, "hardware_key_cloned")
    assert (alert.severity, ADMIN.name in alert.message) == ("critical", True)
    held.behaviour.counting = Counting.GROWS  # the original: it is refused as well
    hand.pass_(seconds=30)
    assert (await first_step(app.http, ADMIN, _code(hand))).status_code == 403
    async with app.runtime.database.transaction() as session:
        fingerprint = (await session.scalars(select(HardwareKeyRow.fingerprint))).one()
        await hardware_keys.remove(session, app.runtime, LOCAL, name=ADMIN.name, fingerprint=fingerprint)
    with pytest.raises(WatchfloorError, match="not taken again"):
        await enrol(app.runtime, ADMIN, held)


async def test_removing_a_key_does_not_reset_what_it_counted(app: App, hand: SetClock, held: Desk) -> None:
    await signed_in(app.http, ADMIN, _code(hand), held)
    row = await _key(app)
    assert row.last_counter > 0
    async with app.runtime.database.transaction() as session:
        await hardware_keys.remove(session, app.runtime, LOCAL, name=ADMIN.name, fingerprint=row.fingerprint)
    await enrol(app.runtime, ADMIN, held)
    held.behaviour.counting = Counting.FROZEN
    refused = await second_step(app.http, signed(await _challenge(app, hand), held))
    assert "copy" in refused.json()["message"]


async def test_two_answers_at_once_do_not_let_a_copy_pass(app: App, hand: SetClock, held: Desk) -> None:
    """The second of two equal counters is refused although both were signed before either arrived."""
    first, second = await _challenge(app, hand), await _challenge(app, hand)
    held.key.set_counter(41)
    answers = [signed(first, held)]
    held.key.set_counter(41)
    answers.append(signed(second, held))
    found = await asyncio.gather(*(second_step(app.http, answer) for answer in answers))
    assert sorted(one.status_code for one in found) == [200, 401]


async def test_ordinary_keys_cannot_be_enrolled(app: App) -> None:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    line = f"ssh-ed25519 {encode64(string(b'ssh-ed25519') + string(raw))} somebody"
    async with app.runtime.database.transaction() as session:
        with pytest.raises(WatchfloorError, match="ordinary SSH key"):
            await hardware_keys.enrol(session, app.runtime, LOCAL, name=ADMIN.name, line=line)


async def test_one_key_belongs_to_one_account(app: App, held: Desk) -> None:
    """Else one person with two accounts could be the second person of an approval."""
    with pytest.raises(WatchfloorError, match="another account"):
        await enrol(app.runtime, ADMIN2, held)
    assert await enrol(app.runtime, ADMIN, held) == (await _key(app)).fingerprint, "enrolling again changes nothing"
    assert len(await entries_of(app, "auth.hardware_key.enrolled")) == 1


async def test_a_disabled_account_cannot_finish(app: App, hand: SetClock, held: Desk) -> None:
    answer = signed(await _challenge(app, hand), held)
    async with app.runtime.database.transaction() as session:
        (await session.scalars(select(User).where(User.username == ADMIN.name))).one().disabled = True
    assert (await second_step(app.http, answer)).status_code == 401


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://test.evil.example", "http://test:81", "https://test"]
)
async def test_an_address_that_is_not_the_backends_gets_no_challenge(app: App, hand: SetClock, origin: str) -> None:
    """Somebody in between would have the key sign for an address of their own, or test factors without a trace."""
    code = _code(hand)
    told = await first_step(app.http, ADMIN, code, origin=origin)
    assert (told.status_code, told.json()["code"]) == (403, "not_allowed")
    assert "WATCHFLOOR_ORIGINS" in told.json()["hint"]
    (entry,) = await entries_of(app, "auth.login.failed")
    assert (entry.resource_id, entry.error_message) == (ADMIN.name, "not an address of this backend")
    assert (await first_step(app.http, ADMIN, code)).status_code == 401, "the code is used up"


async def test_the_challenge_names_the_address_that_was_called(app: App, hand: SetClock) -> None:
    assert (await _challenge(app, hand))["statement"]["origin"] == ORIGIN
    transport = httpx.ASGITransport(app.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://other") as elsewhere:
        hand.pass_(seconds=30)
        assert (await first_step(elsewhere, ADMIN, _code(hand))).status_code == 403


async def test_wrong_answers_make_the_account_wait(app: App, hand: SetClock, held: Desk) -> None:
    held.behaviour.touched = False
    for _ in range(app.runtime.policy.sign_in.watchfloor.failures_before_wait):
        await second_step(app.http, signed(await _challenge(app, hand), held))
    hand.pass_(seconds=29)
    assert (await first_step(app.http, ADMIN, _code(hand))).status_code == 401


async def test_a_full_sign_in_costs_less_than_a_second_and_a_half_of_machine_time(
    app: App, hand: SetClock, held: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processor time of this process, where backend and key both run, with a real hash: waiting for others is free."""
    monkeypatch.undo()
    async with app.runtime.database.transaction() as session:
        user = (await session.scalars(select(User).where(User.username == ADMIN.name))).one()
        user.password_hash = PASSWORD_HASH
    hand.pass_(seconds=30)
    began = time.process_time()
    await signed_in(app.http, ADMIN, _code(hand), held)
    assert time.process_time() - began < 1.5


async def test_an_officer_signs_in_with_the_key_too(app: App, hand: SetClock) -> None:
    await sign_in(app.runtime, OFFICER)
    with desk() as own:
        await enrol(app.runtime, OFFICER, own)
        await signed_in(app.http, OFFICER, _code(hand), own)
