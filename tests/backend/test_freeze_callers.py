"""Who may freeze while the database is away: whoever a token and what was last known of it say, and nobody else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text, update

from backend.auth import accounts, tokens
from backend.auth.tables import User
from backend.clock import utc_now
from backend.known_callers import KnownPerson
from contract.permissions import Permission
from tests.support.app import SYSTEM, App, started_app
from tests.support.holds import freeze, stored
from tests.support.latching import latched, post, rows, signed_in, until
from tests.support.outage import outage
from tests.support.people import ADMIN, AUDITOR, OFFICER, OPERATOR

pytestmark = pytest.mark.usefixtures("directory")


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    async with started_app(database_url) as running:
        yield running


@asynccontextmanager
async def away(app: App, database_url: str) -> AsyncIterator[None]:
    """Take the database away once the backend has looked at everything that a test has changed."""
    callers = app.runtime.callers
    for _ in range(2):  # the first may be one that was under way
        callers.known = replace(callers.known, ended=callers.known.ended | {"until a whole look"})
        callers.stale.set()
        await until(lambda: "until a whole look" not in callers.known.ended, "a look")
    with outage(database_url):
        yield


async def refused(client: httpx.AsyncClient, why: str) -> None:
    answer = await post(client)
    assert answer.status_code == 503, answer.text
    assert why in answer.json()["message"]


async def test_a_token_that_is_known_to_have_ended_freezes_nothing(app: App, database_url: str) -> None:
    officer, admin, auditor, operator = await signed_in(app, OFFICER, ADMIN, AUDITOR, OPERATOR)
    second = await app.as_(OFFICER)
    assert (await officer.post("/v1/auth/logout")).status_code == 204
    async with app.runtime.database.transaction() as session:
        await session.execute(update(User).where(User.username == ADMIN.name).values(disabled=True))
    async with away(app, database_url):
        await refused(officer, "a session that has ended")
        await refused(admin, "a disabled account")
        await refused(auditor, "who may not freeze")
        await refused(operator, "who may not freeze")
        await refused(app.http, "the audit log takes no entry")
        stranger = httpx.AsyncClient(transport=httpx.ASGITransport(app.app), base_url="http://test")
        stranger.headers["authorization"] = "Bearer not.a.token"
        await refused(stranger, "the audit log takes no entry")
        assert not app.runtime.latched.pending()
        made = await latched(second)
    assert (await stored(second, made)).created_by == OFFICER.name


async def test_an_expired_token_and_a_forged_one_freeze_nothing(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    token = officer.headers["authorization"].removeprefix("Bearer ")
    head, claims, signature = token.split(".")
    hours = app.runtime.policy.session_hours
    async with away(app, database_url):
        officer.headers["authorization"] = f"Bearer {head}.{claims}.{signature[:-6]}AAAAAA"
        await refused(officer, "does not verify")
        officer.headers["authorization"] = f"Bearer {token}"
        tomorrow = replace(app.runtime.clock, now=lambda: utc_now() + timedelta(hours=hours, minutes=1))
        today, app.app.state.runtime = app.runtime, replace(app.runtime, clock=tomorrow)
        await refused(officer, "has expired")
        app.app.state.runtime = today


async def test_a_machine_that_may_freeze_is_known_by_its_hash(app: App, database_url: str) -> None:
    async with app.runtime.database.transaction() as session:
        for name, held in (("watchdog", Permission.FREEZE_OPERATIONS), ("feed", Permission.RENEW_PERMIT)):
            await accounts.ensure_service_token(
                session, app.runtime, SYSTEM, name=name, permissions=frozenset({held}),
                token=f"{tokens.SERVICE_PREFIX}{name}-of-the-test",
            )  # fmt: skip
    clients = {}
    for name in ("watchdog", "feed"):
        clients[name] = httpx.AsyncClient(
            transport=httpx.ASGITransport(app.app), base_url="http://test",
            headers={"authorization": f"Bearer {tokens.SERVICE_PREFIX}{name}-of-the-test"},
        )  # fmt: skip
    async with away(app, database_url):
        await refused(clients["feed"], "no machine's token that may freeze")
        made = await latched(clients["watchdog"])
        assert made.created_by == "service:watchdog"
    await until(lambda: not app.runtime.latched.pending(), "the hold in the database")
    assert rows(database_url, "SELECT created_by FROM freezes") == [("service:watchdog",)]


async def test_only_freezing_is_open_without_a_database(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    async with away(app, database_url):
        for method, path in (("GET", "/v1/freezes"), ("GET", "/v1/audit"), ("POST", "/v1/freezes/FRZ-0001/thaw")):
            assert (await officer.request(method, path, json={"reason": "x"})).status_code == 503


async def test_a_freeze_is_refused_as_ever_while_the_database_answers(app: App) -> None:
    operator, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    assert (await post(operator)).status_code == 403
    assert (await post(app.http)).status_code == 401
    assert (await officer.post("/v1/freezes", json={})).status_code == 422
    assert (await freeze(officer, idempotency_key="k")).ref == "FRZ-0001"
    assert (await post(officer, "chain:base", idempotency_key="k")).status_code == 409


async def test_an_elevation_that_was_known_counts_while_it_lasts(app: App, database_url: str) -> None:
    (operator,) = await signed_in(app, OPERATOR)
    ask = {"permissions": ["freeze_operations"], "minutes": 10, "reason": "alone at night"}
    asked = (await operator.post("/v1/elevations", json=ask)).json()
    officer = await app.as_(OFFICER)
    assert (await officer.post(f"/v1/elevations/{asked['id']}/approve")).status_code == 200
    async with away(app, database_url):
        later = replace(app.runtime.clock, now=lambda: utc_now() + timedelta(minutes=11))
        now, app.app.state.runtime = app.runtime, replace(app.runtime, clock=later)
        await refused(operator, "who may not freeze")
        app.app.state.runtime = now
        made = await latched(operator)
    await until(lambda: not app.runtime.latched.pending(), "the hold in the database")
    assert (await stored(officer, made)).created_by == OPERATOR.name


async def test_a_window_that_is_known_to_be_closed_shuts_without_a_database_too(app: App, database_url: str) -> None:
    (auditor,) = await signed_in(app, AUDITOR)
    roles = app.runtime.policy.roles
    freezing = roles[AUDITOR.role].permissions | {Permission.FREEZE_OPERATIONS}
    may_freeze = replace(roles[AUDITOR.role], permissions=freezing)
    app.runtime.policy.__dict__["roles"] = {**roles, AUDITOR.role: may_freeze}
    async with app.runtime.database.transaction() as session:
        await session.execute(text("UPDATE access_windows SET ends_at = now() - interval '1 second'"))
    async with away(app, database_url):
        await refused(auditor, "whose access window is closed")
    async with app.runtime.database.transaction() as session:
        await session.execute(text("UPDATE access_windows SET ends_at = now() + interval '1 day'"))
    async with away(app, database_url):
        await latched(auditor)


async def test_what_is_known_of_people_survives_the_process(app: App, database_url: str) -> None:
    known = app.runtime.callers.known
    start = utc_now()
    person = KnownPerson("mev_operator", False, ((start, start + timedelta(hours=1)),), (("freeze_operations", start),))
    app.runtime.callers.known = replace(known, people={"olga": person})
    await app.runtime.callers.keep(bytes(12))
    app.runtime.callers.known = known
    await app.runtime.callers.load()
    assert app.runtime.callers.known.people == {"olga": person}
