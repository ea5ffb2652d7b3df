"""Sessions: locked when nobody uses them, unlocked by every factor, listed, ended, and never too many."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select, update

from backend.auth import presence, totp
from backend.auth.tables import Session
from backend.policy.load import load_policy
from contract.auth import Factor
from contract.hardware import HardwareAct
from contract.presence import PRESENCE_GAP_S, PRESENT, PRESENT_HEADER
from tests.support.app import ORIGIN, App, started_app
from tests.support.backends import serving
from tests.support.clocks import SetClock
from tests.support.hardware import Desk, desk
from tests.support.holds import freeze
from tests.support.latching import latched, until
from tests.support.ledger import entries_of
from tests.support.outage import outage
from tests.support.people import (
    ADMIN,
    AUDITOR,
    EXECUTOR,
    OFFICER,
    OPERATOR,
    PASSWORD,
    TOTP_SECRET,
    sign_in,
)
from tests.support.sessions import code_of, ends, sessions_of
from tests.support.signing_in import enrol, quick_hashes, signed
from tests.support.sse import open_stream

START = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)
LOCKING = str(Path(__file__).parent.parent / "support" / "locking.toml")
IDLE = timedelta(minutes=15)
THERE = {PRESENT_HEADER: PRESENT}


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
    monkeypatch.setattr(presence, "WRITE_EVERY_S", 3_600.0)  # the tests write themselves, or hours pass meanwhile


@pytest.fixture
async def app(database_url: str, hand: SetClock, directory: Path) -> AsyncIterator[App]:
    """A backend under the product's rules of sessions, on a clock that the test moves."""
    async with started_app(database_url, clock=hand.clock, policy=LOCKING) as running:
        yield running


def plain(app: App, token: str) -> httpx.AsyncClient:
    """A client that confirms nothing by itself."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app.app), base_url=ORIGIN, headers={"authorization": f"Bearer {token}"}
    )


def _typed(hand: SetClock, password: str = PASSWORD) -> dict[str, str]:
    return {"password": password, "totp": totp.code_at(TOTP_SECRET, hand.at), "origin": ORIGIN}


async def _last_used(app: App) -> list[datetime]:
    await presence.write(app.runtime)
    async with app.runtime.database.read() as session:
        return list(await session.scalars(select(Session.last_used_at).order_by(Session.created_at)))


def test_the_product_locks_as_these_tests_do() -> None:
    rules = load_policy("mev").sessions
    assert (rules.idle, rules.most_per_person) == (IDLE, load_policy(LOCKING).sessions.most_per_person)
    assert load_policy("methtrader").sessions == rules


# locked


async def test_a_session_that_nobody_uses_is_locked_and_freezes_all_the_same(app: App, hand: SetClock) -> None:
    client = await app.as_(ADMIN)
    hand.pass_(minutes=14, seconds=59)
    assert await code_of(client, "/v1/alerts") == "ok"
    hand.pass_(seconds=1)
    refused = await client.get("/v1/alerts")
    assert (refused.status_code, refused.json()["code"]) == (403, "session_locked")
    reads, acts = ("overview", "stream", "sessions", "audit"), ("auth/password", "elevations", "transactions")
    asked = [*(("GET", name) for name in reads), *(("POST", name) for name in acts), ("DELETE", "sessions")]
    for method, name in asked:
        assert await code_of(client, f"/v1/{name}", method, json={}) == "session_locked", name
    me = (await client.get("/v1/auth/whoami")).json()
    assert (me["username"], me["locked"], me["locks_in_seconds"]) == (ADMIN.name, True, 0)
    made = await freeze(client)
    assert await code_of(client, f"/v1/freezes/{made.id}") == "ok"
    assert await code_of(client, "/v1/freezes") == "ok"
    assert await code_of(client, "/v1/alerts") == "session_locked", "freezing must not unlock"
    assert await code_of(client, "/v1/auth/logout", "POST") == "ok"
    assert await code_of(client, "/v1/freezes") == "not_authenticated"


async def test_a_person_who_is_there_keeps_the_session_open_until_its_end(app: App, hand: SetClock) -> None:
    client = await app.as_(OPERATOR)
    hours = app.runtime.policy.session_hours
    while hand.at < START + timedelta(hours=hours) - timedelta(minutes=14):
        hand.pass_(minutes=14)
        assert await code_of(client, "/v1/auth/whoami", headers=THERE) == "ok"
        await presence.write(app.runtime)
    assert await code_of(client, "/v1/alerts") == "ok"
    hand.at = START + timedelta(hours=hours)
    assert await code_of(client, "/v1/auth/whoami", headers=THERE) == "not_authenticated"


@pytest.mark.parametrize(
    ("path", "headers", "body", "counts"),
    [
        ("/v1/overview", {}, None, False),
        ("/v1/auth/whoami", {}, None, False),
        ("/v1/overview", THERE, None, True),
        ("/v1/auth/whoami", THERE, None, True),
        ("/v1/freezes", {}, {"scope": "chain:base", "mode": "halt", "reason": "a test"}, True),
        ("/v1/elevations", {}, {}, True),
        ("/v1/overview", {PRESENT_HEADER: "no"}, None, False),
    ],
)
async def test_acts_and_a_person_count_as_use_and_nothing_else(
    app: App, hand: SetClock, path: str, headers: dict[str, str], body: dict[str, str] | None, *, counts: bool
) -> None:
    client = plain(app, await sign_in(app.runtime, ADMIN))
    hand.pass_(minutes=10)
    await client.request("GET" if body is None else "POST", path, headers=headers, json=body)
    (used,) = await _last_used(app)
    assert used == (hand.at if counts else START)


async def test_presence_is_written_without_being_asked(
    database_url: str, hand: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "WRITE_EVERY_S", 0.01)
    async with started_app(database_url, clock=hand.clock, policy=LOCKING) as app:
        client = await app.as_(OPERATOR)
        hand.pass_(minutes=10)
        assert await code_of(client, "/v1/auth/whoami", headers=THERE) == "ok"
        while True:  # else the limit of every test's time
            async with app.runtime.database.read() as session:
                if await session.scalar(select(Session.last_used_at)) == hand.at:
                    return
            await asyncio.sleep(0.02)


async def test_presence_does_not_unlock(app: App, hand: SetClock) -> None:
    client = await app.as_(ADMIN)
    hand.pass_(minutes=15)
    assert (await client.get("/v1/auth/whoami", headers=THERE)).json()["locked"] is True
    assert await code_of(client, "/v1/overview", headers=THERE) == "session_locked"
    assert await _last_used(app) == [START]


async def test_presence_is_written_at_most_every_half_minute(app: App, hand: SetClock) -> None:
    client = await app.as_(OPERATOR)
    written: list[str] = []
    engine = app.runtime.database.engine.sync_engine

    def see(_c: object, _u: object, statement: str, *_: object) -> None:
        if "last_used_at = GREATEST" in statement:
            written.append(statement)

    event.listen(engine, "before_cursor_execute", see)
    for _ in range(4 * PRESENCE_GAP_S):
        hand.pass_(seconds=1)
        assert await code_of(client, "/v1/auth/whoami", headers=THERE) == "ok"
        await presence.write(app.runtime)
    event.remove(engine, "before_cursor_execute", see)
    assert len(written) == 4
    assert await _last_used(app) == [hand.at]


async def test_presence_that_could_not_be_written_is_kept(app: App, hand: SetClock, database_url: str) -> None:
    client = await app.as_(OPERATOR)
    hand.pass_(minutes=10)
    assert await code_of(client, "/v1/auth/whoami", headers=THERE) == "ok"
    with outage(database_url), pytest.raises(Exception):  # noqa: B017, PT011  whichever way a lost database shows
        await presence.write(app.runtime)
    assert await _last_used(app) == [hand.at]


async def test_a_locked_session_hears_nothing_more(app: App, hand: SetClock) -> None:
    token = await sign_in(app.runtime, ADMIN)
    async with serving(app.app) as url, open_stream(url, token) as stream:
        assert (await stream.next(beats=True)).topic == "beat"
        hand.pass_(minutes=15)
        await ends(stream)


@pytest.mark.usefixtures("directory")
async def test_a_locked_session_freezes_while_the_database_is_away(app: App, hand: SetClock, database_url: str) -> None:
    client = plain(app, await sign_in(app.runtime, OFFICER))
    hand.pass_(minutes=20)
    assert await code_of(client, "/v1/alerts") == "session_locked"
    before = app.runtime.callers.known
    app.runtime.callers.stale.set()
    await until(lambda: app.runtime.callers.known is not before, "a look")
    with outage(database_url):
        made = await latched(client)
    assert made.created_by == OFFICER.name


# unlocked


async def test_password_and_code_unlock_and_lengthen_nothing(app: App, hand: SetClock) -> None:
    client = await app.as_(OPERATOR)
    hand.pass_(minutes=30)
    assert await code_of(client, "/v1/auth/unlock", "POST", json=_typed(hand, "not the password")) == "login_failed"
    assert await code_of(client, "/v1/alerts") == "session_locked"
    opened = await client.post("/v1/auth/unlock", json=_typed(hand))
    assert opened.status_code == 200, opened.text
    assert opened.json()["locks_in_seconds"] == IDLE.total_seconds()
    assert datetime.fromisoformat(opened.json()["expires_at"]) == START + timedelta(hours=8)
    assert await code_of(client, "/v1/alerts") == "ok"
    hand.pass_(minutes=15)
    assert await code_of(client, "/v1/auth/unlock", "POST", json=_typed(hand) | {"totp": ""}) == "login_failed"
    assert await code_of(client, "/v1/alerts") == "session_locked"
    (entry,) = await entries_of(app, "auth.session.unlocked")
    assert (entry.user_id, entry.result) == (OPERATOR.name, "success")
    assert {one.action for one in await entries_of(app, "auth.login.failed")} == {"unlock session"}


async def test_a_code_unlocks_once(app: App, hand: SetClock) -> None:
    first, second = await app.as_(OPERATOR), await app.as_(OPERATOR)
    hand.pass_(minutes=15)
    typed = _typed(hand)
    assert await code_of(first, "/v1/auth/unlock", "POST", json=typed) == "ok"
    assert await code_of(second, "/v1/auth/unlock", "POST", json=typed) == "login_failed"


async def test_factors_are_not_tested_without_a_trace_under_another_address(app: App, hand: SetClock) -> None:
    client = plain(app, await sign_in(app.runtime, ADMIN))
    told = await client.post("/v1/auth/unlock", json=_typed(hand) | {"origin": "http://elsewhere.example"})
    assert (told.status_code, told.json()["code"]) == (403, "not_allowed")
    (entry,) = await entries_of(app, "auth.login.failed")
    assert (entry.resource_id, entry.error_message) == (ADMIN.name, "not an address of this backend")
    assert (await client.post("/v1/auth/unlock", json=_typed(hand))).status_code == 401, "the code is used up"


async def test_a_role_with_a_hardware_key_unlocks_with_it(app: App, hand: SetClock, held: Desk) -> None:
    client = plain(app, await sign_in(app.runtime, ADMIN))
    await enrol(app.runtime, ADMIN, held)
    hand.pass_(minutes=15)
    asked = await client.post("/v1/auth/unlock", json=_typed(hand))
    assert (asked.status_code, asked.json()["statement"]["act"]) == (202, "unlock")
    assert await code_of(client, "/v1/alerts") == "session_locked"
    other = plain(app, await sign_in(app.runtime, ADMIN))
    answer = signed(asked.json(), held)
    assert await code_of(other, "/v1/auth/unlock/hardware", "POST", json=answer) == "login_failed", "another session's"
    assert await code_of(client, "/v1/auth/unlock/hardware", "POST", json=answer) == "ok"
    assert await code_of(client, "/v1/alerts") == "ok"
    assert await code_of(client, "/v1/auth/unlock/hardware", "POST", json=answer) == "login_failed", "answered already"


async def test_a_touch_for_another_act_unlocks_nothing(app: App, hand: SetClock, held: Desk) -> None:
    """Obtained while the session was open, without password and code."""
    client = plain(app, await sign_in(app.runtime, ADMIN))
    await enrol(app.runtime, ADMIN, held)
    hand.pass_(minutes=14, seconds=50)
    wish = {"act": HardwareAct.APPROVE_THAW.value, "about": "x", "origin": ORIGIN}
    challenge = (await client.post("/v1/auth/confirm/challenge", json=wish)).json()
    assert (
        await code_of(client, "/v1/auth/confirm/challenge", "POST", json=wish | {"act": "unlock"}) == "invalid_request"
    )
    async with app.runtime.database.transaction() as session:  # that asking counted as nothing
        await session.execute(update(Session).values(last_used_at=START))
    app.runtime.present.clear()
    hand.pass_(seconds=10)
    assert await code_of(client, "/v1/alerts") == "session_locked"
    assert await code_of(client, "/v1/auth/unlock/hardware", "POST", json=signed(challenge, held)) == "login_failed"
    assert await code_of(client, "/v1/alerts") == "session_locked"


async def test_a_machine_has_nothing_to_unlock(app: App, hand: SetClock) -> None:
    client = await app.as_(EXECUTOR)
    assert await code_of(client, "/v1/auth/unlock", "POST", json=_typed(hand)) == "not_allowed"


# how many


async def test_one_sign_in_too_many_ends_the_oldest_and_tells_it_why(app: App, hand: SetClock) -> None:
    most = app.runtime.policy.sessions.most_per_person
    clients = []
    for _ in range(most):
        clients.append(await app.as_(OPERATOR))
        hand.pass_(seconds=1)
    assert [await code_of(one, "/v1/alerts") for one in clients] == ["ok"] * most
    bystander = await app.as_(AUDITOR)
    newest = await app.as_(OPERATOR)
    told = await clients[0].get("/v1/alerts")
    assert (told.status_code, told.json()["code"]) == (401, "not_authenticated")
    assert "signed in elsewhere" in told.json()["message"]
    assert [await code_of(one, "/v1/alerts") for one in (*clients[1:], newest, bystander)] == ["ok"] * (most + 1)
    (entry,) = await entries_of(app, "auth.session.ended")
    assert (entry.user_id, entry.new_value) == (OPERATOR.name, {"account": OPERATOR.name, "reason": "replaced"})


# list and end


async def test_everybody_sees_and_ends_their_own_sessions_alone(app: App, hand: SetClock) -> None:
    old = await app.as_(OPERATOR)
    hand.pass_(minutes=20)
    new, stranger = await app.as_(OPERATOR), await app.as_(AUDITOR)
    newest, oldest = await sessions_of(new)
    assert (newest["own"], newest["state"], oldest["own"], oldest["state"]) == (True, "open", False, "locked")
    assert newest["factors"] == [Factor.PASSWORD.value, Factor.TOTP.value]
    assert await code_of(stranger, f"/v1/sessions/{oldest['id']}", "DELETE") == "not_found"
    assert await code_of(new, "/v1/sessions/rubbish", "DELETE") == "not_found"
    assert await code_of(stranger, "/v1/access/sessions") == "not_allowed"
    assert await code_of(new, f"/v1/access/sessions/{oldest['id']}", "DELETE") == "not_allowed"
    ended = await new.delete(f"/v1/sessions/{oldest['id']}")
    assert ended.json() == {"sessions_ended": 1}
    told = (await old.get("/v1/auth/whoami")).json()
    assert (told["code"], "you ended it" in told["message"]) == ("not_authenticated", True)
    assert await code_of(new, f"/v1/sessions/{oldest['id']}", "DELETE") == "not_found"
    await app.as_(OPERATOR)
    assert (await new.delete("/v1/sessions")).json() == {"sessions_ended": 1}
    assert [one["id"] for one in await sessions_of(new)] == [newest["id"]]


async def test_who_manages_people_ends_anybodys_sessions(app: App) -> None:
    admin, officer, operator = await app.as_(ADMIN), await app.as_(OFFICER), await app.as_(OPERATOR)
    listed = await sessions_of(officer, "/v1/access/sessions")
    assert {one["account"] for one in listed} == {ADMIN.name, OFFICER.name, OPERATOR.name}
    (of_admin,) = await sessions_of(officer, f"/v1/access/sessions?account={ADMIN.name}")
    assert await code_of(officer, f"/v1/access/sessions/{of_admin['id']}", "DELETE") == "ok"
    told = (await admin.get("/v1/auth/whoami")).json()
    assert (told["code"], "somebody who may" in told["message"]) == ("not_authenticated", True)
    assert await code_of(officer, "/v1/access/sessions", "DELETE", params={"account": OPERATOR.name}) == "ok"
    assert await code_of(operator, "/v1/auth/whoami") == "not_authenticated"
    assert await code_of(officer, "/v1/access/sessions", "DELETE", params={"account": "nobody"}) == "not_found"
    entries = await entries_of(app, "auth.session.ended")
    assert {entry.user_id for entry in entries} == {OFFICER.name}
    assert sorted(str((entry.new_value or {})["account"]) for entry in entries) == sorted([ADMIN.name, OPERATOR.name])


async def test_where_others_came_from_is_told_to_whoever_may_reveal_it(app: App) -> None:
    officer, admin = await app.as_(OFFICER), await app.as_(ADMIN)
    async with app.runtime.database.transaction() as session:
        await session.execute(update(Session).values(user_agent="a console"))

    def told(listed: list[dict[str, Any]]) -> dict[str, tuple[object, ...]]:
        return {one["account"]: (one["ip_address"], one["user_agent"], one["sealed"]) for one in listed}

    open_, sealed = ("127.0.0.1", "a console", False), (None, None, True)
    everybody = "/v1/access/sessions"
    assert told(await sessions_of(officer, everybody)) == {OFFICER.name: open_, ADMIN.name: open_}
    assert told(await sessions_of(admin, everybody)) == {OFFICER.name: sealed, ADMIN.name: open_}
    assert told(await sessions_of(admin)) == {ADMIN.name: open_}


async def test_pages_of_everybodys_sessions(app: App, hand: SetClock) -> None:
    officer = await app.as_(OFFICER)
    for person in (OPERATOR, AUDITOR, ADMIN):
        hand.pass_(seconds=1)
        await app.as_(person)
    first = (await officer.get("/v1/access/sessions", params={"limit": 3})).json()
    second = (await officer.get("/v1/access/sessions", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    names = [one["account"] for one in (*first["items"], *second["items"])]
    assert names == [ADMIN.name, AUDITOR.name, OPERATOR.name, OFFICER.name]
    assert second["next_cursor"] is None
