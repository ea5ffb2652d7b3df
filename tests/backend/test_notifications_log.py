"""Notifications: tests of channels, and the log of deliveries by its routes."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from backend.notifications import waiting
from backend.notifications.tables import NotificationRow
from contract.alerts import Severity
from tests.support.app import SWIFT, App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.notifying import channel_file, delivered, draft, followed, raised, rows, told
from tests.support.people import ADMIN, OPERATOR
from tests.support.receivers import Receiver, webhook

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SECRET = "T0KENofthechannel"
ROUTE = "/v1/notifications"
TITLE = "[CRITICAL] DAILY_LOSS_LIMIT (strategy:arbitrage)"


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
def file(tmp_path: Path, hook: Receiver) -> Path:
    return channel_file(tmp_path / "channels.toml", {"oncall": hook.url(SECRET)})


@pytest.fixture
async def app(database_url: str, hand: SetClock, file: Path, tmp_path: Path) -> AsyncIterator[App]:
    """A backend whose clock stands, that queues and sends when the test says so."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f'extends = "{SWIFT}"\n[watchfloor.notifications]\nper_minute = 3\ntries = 3\n')
    settings = {"notifications_file": file}
    async with started_app(database_url, clock=hand.clock, policy=str(policy), settings=settings) as running:
        yield running


async def test_a_test_takes_the_way_of_every_notification(app: App, hook: Receiver) -> None:
    admin = await app.as_(ADMIN)
    asked = await admin.post(f"{ROUTE}/test", json={"channel": "oncall"})
    assert (asked.status_code, asked.json()["state"]) == (202, "queued")
    await raised(app, draft())
    await told(app, "oncall")
    seen = await admin.get(f"{ROUTE}/{asked.json()['id']}")
    assert (seen.json()["state"], seen.json()["subject_kind"]) == ("sent", "test")
    assert hook.titles == ["Test of Watchfloor's notifications", TITLE]
    assert hook.arrived[0]["type"] == "info"
    [entry] = await entries_of(app, "notifications.test.requested")
    assert (entry.user_id, entry.resource_id) == (ADMIN.name, "oncall")
    assert (await admin.post(f"{ROUTE}/test", json={"channel": "nobody"})).status_code == 404
    assert (await admin.post(f"{ROUTE}/test", json={"channel": "\x00"})).status_code == 422
    assert (await (await app.as_(OPERATOR)).post(f"{ROUTE}/test", json={"channel": "oncall"})).status_code == 403


async def test_channels_are_shown_with_what_became_of_the_last_day(app: App, hook: Receiver, file: Path) -> None:
    channel_file(file, {"oncall": hook.url(SECRET), "desk": hook.url()}, desk=["low"])
    await raised(app, draft())
    await told(app, "oncall")
    [desk, oncall] = (await (await app.as_(ADMIN)).get(f"{ROUTE}/channels")).json()["items"]
    assert (desk["name"], desk["severities"], desk["sent_24h"], desk["last_sent_at"]) == ("desk", ["low"], 0, None)
    assert (oncall["service"], oncall["severities"], oncall["sent_24h"]) == ("json", ["critical", "high"], 1)


async def test_the_log_is_paged_and_narrowed(app: App, hand: SetClock) -> None:
    for number in range(5):
        await raised(app, draft(f"{number}"))
        await followed(app)
        hand.pass_(seconds=1)
    await delivered(app, "oncall")
    admin = await app.as_(ADMIN)
    first = (await admin.get(ROUTE, params={"limit": 3})).json()
    second = (await admin.get(ROUTE, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    listed = [one["queued_at"] for one in (*first["items"], *second["items"])]
    assert (first["total"], len(listed), second["next_cursor"]) == (5, 5, None)
    assert listed == sorted(listed, reverse=True)
    since = (START + timedelta(seconds=3)).isoformat()
    narrowed = {
        "state": len((await admin.get(ROUTE, params={"state": "sent"})).json()["items"]),
        "channel": len((await admin.get(ROUTE, params={"channel": "desk"})).json()["items"]),
        "subject": len(
            (await admin.get(ROUTE, params={"subject_id": first["items"][0]["subject_id"]})).json()["items"]
        ),
        "since": len((await admin.get(ROUTE, params={"since": since})).json()["items"]),
    }
    assert narrowed == {"state": 3, "channel": 0, "subject": 1, "since": 2}
    assert (await admin.get(ROUTE, params={"channel": "\x00"})).status_code == 422
    assert (await admin.get(f"{ROUTE}/nothing")).status_code == 404


async def test_the_log_reaches_back_as_far_as_the_policy_says(app: App, hand: SetClock) -> None:
    await raised(app, draft())
    await told(app, "oncall")
    hand.pass_(days=89)
    await followed(app)
    assert len(await rows(app)) == 1
    hand.pass_(days=2)
    await followed(app)
    assert await rows(app) == []


async def test_a_channel_that_only_the_policy_knows_shows(
    app: App, hand: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = app.runtime.policy.notifications
    monkeypatch.setitem(rules.severities, Severity.CRITICAL, ("oncall", "pager"))
    await raised(app, draft())
    await told(app, "oncall")
    hand.pass_(minutes=3)
    async with app.runtime.database.transaction() as session:
        await waiting.give_up_unknown(session, ["oncall"], hand.at - timedelta(minutes=2))
    async with app.runtime.database.read() as session:
        found = await session.execute(select(NotificationRow.channel, NotificationRow.state, NotificationRow.reason))
    assert sorted(tuple(one) for one in found) == [
        ("oncall", "sent", None),
        ("pager", "given_up", "there is no such channel in the file of channels"),
    ]
