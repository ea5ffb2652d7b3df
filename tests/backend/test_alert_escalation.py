"""An alert that nobody takes on reaches the next in the directory: named in the alert, its history and the audit log,
and told over the channels that reach them.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backend.alerts import clocks
from backend.alerts import service as alerts
from backend.notifications.channels import channels_now
from contract.alerts import Alert
from tests.support.app import SWIFT, App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.notifying import channel_file, draft, followed, raised, rows
from tests.support.people import OFFICER, OPERATOR

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
POLICY = f"""
extends = "{SWIFT}"
[watchfloor.directory.{OPERATOR.name}]
[watchfloor.directory.{OFFICER.name}]
channels = ["officer-phone"]
[watchfloor.directory.second]
channels = ["second-phone"]
[[watchfloor.escalation.critical]]
title = "Desk"
after_minutes = 0
people = ["{OPERATOR.name}"]
[[watchfloor.escalation.critical]]
title = "Director"
after_minutes = 5
people = ["{OFFICER.name}", "second"]
channels = ["directors"]
[[watchfloor.escalation.critical]]
title = "Board"
after_minutes = 20
"""


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def app(database_url: str, hand: SetClock, tmp_path: Path) -> AsyncIterator[App]:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    urls = dict.fromkeys(("desk", "directors", "officer-phone", "second-phone"), "json://127.0.0.1:1/x")
    low = {name: ["low"] for name in urls if name != "desk"}
    file = channel_file(tmp_path / "channels.toml", urls, **low)
    settings = {"notifications_file": file}
    async with started_app(database_url, clock=hand.clock, policy=str(policy), settings=settings) as running:
        yield running


async def ticked(app: App) -> None:
    """Have the clocks looked at once."""
    async with app.runtime.database.transaction() as session:
        await clocks.tick(session, app.runtime)


async def shown(app: App, alert: Alert) -> dict[str, Any]:
    """Who has it, by the route of one alert; the list says the same."""
    operator = await app.as_(OPERATOR)
    one = (await operator.get(f"/v1/alerts/{alert.id}")).json()["escalation"]
    [listed] = (await operator.get("/v1/alerts")).json()["items"]
    assert listed["escalation"] == one
    return dict(one)


async def history(app: App, alert: Alert) -> list[tuple[str, dict[str, str]]]:
    """Kinds and facts of the lines about who has it."""
    async with app.runtime.database.read() as session:
        lines = await alerts.events_of(session, [alert.id])
    return [(one.event.kind, one.event.facts) for one in lines if one.event.kind in {"escalated", "named"}]


async def test_a_breach_reaches_the_people_of_the_next_step(app: App, hand: SetClock) -> None:
    [alert] = await raised(app, draft())
    assert (await shown(app, alert))["people"] == [OPERATOR.name]
    hand.pass_(minutes=6)
    await ticked(app)
    told = await shown(app, alert)
    assert (told["to"], told["people"], told["next_to"]) == ("Director", [OFFICER.name, "second"], "Board")
    [(kind, _), *names] = await history(app, alert)
    assert kind == "escalated"
    assert names == [("named", {"step": "Director", "to": name}) for name in (OFFICER.name, "second")]
    [entry] = await entries_of(app, "alerts.alert.escalated")
    assert (entry.new_value or {})["people"] == [OFFICER.name, "second"]
    await followed(app)
    reached = {row.channel for row in await rows(app) if row.event.startswith("escalated")}
    assert reached == {"desk", "directors", "officer-phone", "second-phone"}
    assert set(channels_now(app.runtime.settings)) == reached
    assert not [row for row in await rows(app) if OFFICER.name in row.title + row.body], "no name leaves the house"
    hand.pass_(minutes=20)
    await ticked(app)
    assert ((await shown(app, alert))["to"], (await shown(app, alert))["people"]) == ("Board", [])


async def test_passing_on_by_hand_names_them_too(app: App) -> None:
    [alert] = await raised(app, draft())
    operator = await app.as_(OPERATOR)
    acted = await operator.post("/v1/alerts/acts", json={"ids": [alert.id], "act": "escalate", "comment": "stuck"})
    assert acted.json()["done"][0]["escalation"]["people"] == [OFFICER.name, "second"]
    assert [kind for kind, _ in await history(app, alert)] == ["escalated", "named", "named"]


async def test_an_erased_person_is_named_nowhere(app: App, hand: SetClock) -> None:
    [alert] = await raised(app, draft())
    hand.pass_(minutes=6)
    await ticked(app)
    async with app.runtime.database.transaction() as session:
        await alerts.forget_person(session, OFFICER.name, stand_in="person:p1")
    assert (await shown(app, alert))["people"] == ["person:p1", "second"]
    assert [facts.get("to") for kind, facts in await history(app, alert) if kind == "named"] == ["person:p1", "second"]
    async with app.runtime.database.read() as session:
        for table in ("alerts", "alert_events"):
            assert not await session.scalar(
                text(f"SELECT count(*) FROM {table} t WHERE position(:name in t::text) > 0"),  # noqa: S608  our tables
                {"name": OFFICER.name},
            )
