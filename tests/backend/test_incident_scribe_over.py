"""The scribe and the end of an incident: what happened until then is told, also late, and what came after only once it
is open again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from backend.alerts import service as alerts
from backend.alerts.tables import AlertRow
from backend.incidents import places, scribe
from contract.alerts import Alert
from contract.incidents import MilestoneName
from contract.scope import Scope
from contract.states import IncidentStatus
from tests.backend.test_alerts import RULE, acknowledge, clear, draft, raised
from tests.backend.test_incident_scribe import one, recorded, sequenced, texts, told
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.incidents import act, declared, scribble
from tests.support.people import OFFICER, OPERATOR


async def raised_again(app: App, alert: Alert) -> None:
    """As the Alertmanager's part and the mutes write it: the same occurrence goes on."""
    async with app.runtime.database.transaction() as session:
        row = await session.scalar(select(AlertRow).where(AlertRow.fingerprint == "m"))
        assert row is not None
        row.status, row.acknowledged_at, row.acknowledged_by, row.cleared_at = "open", None, None, None
        alerts.happened(session, app.runtime, RULE, alerts.Happening(row.id, alerts.Kind.RAISED_AGAIN))
    assert alert.rule == "DAILY_LOSS_LIMIT"


async def test_what_happened_to_its_alerts_while_it_counted_as_over_is_told_when_it_is_opened_again(app: App) -> None:
    client = await app.as_(OPERATOR)
    alert = await one(app)
    made = await declared(client, alerts=[alert.id])
    await clear(app, alert.id)
    await act(client, made.id, "resolve", note="venue is back")
    await scribble(app)
    await raised_again(app, alert)
    await acknowledge(client, alert.id, "not again")
    await scribble(app)
    assert len(await texts(client, made.id)) == 2, "it is over"
    await act(client, made.id, "reopen", why="it came back")
    now = [line.split(": ")[0] for line in await texts(client, made.id)]
    assert now == [
        "DAILY_LOSS_LIMIT (strategy:arbitrage) was raised",
        "DAILY_LOSS_LIMIT (strategy:arbitrage) cleared",
        "DAILY_LOSS_LIMIT (strategy:arbitrage) was raised again",
        "olga acknowledged DAILY_LOSS_LIMIT (strategy:arbitrage)",
    ]
    await scribble(app)
    assert len(await texts(client, made.id)) == len(now), "each once"


async def test_what_happened_just_before_it_was_over_is_told_although_it_is(app: App) -> None:
    client = await app.as_(OPERATOR)
    alert = await one(app)
    made = await declared(client, alerts=[alert.id])
    await scribble(app)
    await recorded(app, "access.elevation.requested")
    await one(app, "beside")
    await acknowledge(client, alert.id, "looking")
    over = await act(client, made.id, "resolve", note="venue is back")
    await recorded(app, "access.elevation.requested")
    await one(app, "after")
    await sequenced(app, "access.elevation.requested", 2)
    for _ in range(3):
        await scribble(app)
    lines = await told(await app.as_(OFFICER), made.id)
    assert sorted(line.kind for line in lines) == ["acknowledged", "alert", "alert", "audit"]
    resolved = over.at(MilestoneName.RESOLVED)
    assert resolved is not None
    assert all(line.occurred_at <= resolved for line in lines)


async def test_what_is_part_of_it_is_told_even_if_it_is_closed_at_once(app: App) -> None:
    client = await app.as_(OPERATOR)
    alert = await one(app)
    made = await declared(client, alerts=[alert.id], severity="low")
    await acknowledge(client, alert.id, "looking")
    await act(client, made.id, "resolve", note="over")
    assert (await act(client, made.id, "close")).status is IncidentStatus.CLOSED
    await scribble(app)
    assert [line.kind for line in await told(client, made.id)] == ["alert", "acknowledged"]


@asynccontextmanager
async def timed(database_url: str) -> AsyncIterator[tuple[App, SetClock]]:
    clock = SetClock()
    async with started_app(database_url, clock=clock.clock) as app:
        yield app, clock


async def test_one_that_is_over_is_let_go_once_all_until_then_has_been_read(database_url: str) -> None:
    async with timed(database_url) as (app, clock):
        client = await app.as_(OPERATOR)
        made = await declared(client, scopes=[{"kind": "strategy", "name": "arbitrage"}])
        await scribble(app)
        clock.pass_(minutes=1)
        await raised(app, draft("before"))
        clock.pass_(seconds=1)
        await act(client, made.id, "resolve", note="over")
        clock.pass_(minutes=30)  # nobody led the scribe meanwhile
        await scribble(app)
        assert len(await texts(client, made.id)) == 1
        clock.pass_(minutes=-30, seconds=-1)
        await raised(app, draft("before too"))
        clock.pass_(minutes=31)
        await scribble(app)
        assert len(await texts(client, made.id)) == 1, "it has been let go"


async def test_one_is_not_let_go_while_there_is_more_to_read(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe, "_EVENTS_AT_ONCE", 2)
    async with timed(database_url) as (app, clock):
        client = await app.as_(OPERATOR)
        made = await declared(client)
        await scribble(app)
        clock.pass_(minutes=1)
        await raised(app, *(draft(f"m{n}", scope=Scope.parse("strategy:arbitrage")) for n in range(5)))
        await act(client, made.id, "resolve", note="over")
        clock.pass_(minutes=30)
        soon: list[Any] = [await scribble(app) for _ in range(3)]
        assert [one is None for one in soon] == [False, False, True]
        assert len(await texts(client, made.id)) == 5


async def test_that_all_has_been_read_is_noted_now_and_then(database_url: str) -> None:
    async with timed(database_url) as (app, clock):
        began = clock.at
        for _ in range(4):
            await scribble(app)
            clock.pass_(seconds=10)
        async with app.runtime.database.read() as session:
            assert await places.all_read_at(session) == began + timedelta(seconds=30)
