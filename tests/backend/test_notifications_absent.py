"""Channels that only the policy names, and channels that have gone: who is told that nobody is told there."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from backend.alerts import service as alerts
from backend.main import create_app
from backend.notifications.absent import FAILING
from backend.notifications.channels import channels_now
from backend.notifications.delivering import Deliverer
from backend.settings import Settings
from contract.alerts import Alert
from tests.support.app import SWIFT, AloneLead, App, started_app
from tests.support.clocks import SetClock
from tests.support.notifying import channel_file, draft, followed, raised, rows, told
from tests.support.people import ADMIN
from tests.support.receivers import Receiver, webhook

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
ABSENT = "there is no such channel in the file of channels"
POLICY = f"""
extends = "{SWIFT}"
[watchfloor.notifications]
tries = 1
[[watchfloor.escalation.critical]]
title = "Desk"
after_minutes = 0
[[watchfloor.escalation.critical]]
title = "Director"
after_minutes = 5
channels = ["pagr"]
"""


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
def file(tmp_path: Path, hook: Receiver) -> Path:
    return channel_file(tmp_path / "channels.toml", {"oncall": hook.url(), "pager": hook.url("pager")})


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """One whose last step names a channel that nobody has, by one letter."""
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
async def app(database_url: str, hand: SetClock, file: Path, policy: Path) -> AsyncIterator[App]:
    settings = {"notifications_file": file}
    async with started_app(database_url, clock=hand.clock, policy=str(policy), settings=settings) as running:
        yield running


def _written(path: Path, text: str) -> None:
    path.write_text(text)


async def judged(app: App, deliverer: Deliverer | None = None) -> dict[str, Alert]:
    """The live alerts about channels once it was looked at which there are."""
    deliverer = deliverer or Deliverer(app.runtime, AloneLead())
    await deliverer._judge(frozenset(channels_now(app.runtime.settings)))
    async with app.runtime.database.read() as session:
        return {alert.facts["channel"]: alert for _, alert in await alerts.live_of_rules(session, [FAILING])}


async def test_a_channel_that_only_an_escalation_names_is_an_alert_until_it_is_there(
    app: App, hook: Receiver, file: Path
) -> None:
    deliverer = Deliverer(app.runtime, AloneLead())
    alert = (await judged(app, deliverer))["pagr"]
    assert alert.message == f"The policy names the channel pagr, and {ABSENT}: nobody is told there."
    await told(app, "oncall")
    assert hook.titles == ["[HIGH] NOTIFICATIONS_FAILING (global)"], "those who can be told are told"
    assert list(await judged(app, deliverer)) == ["pagr"]
    channel_file(file, {"oncall": hook.url(), "pagr": hook.url()})
    assert await judged(app, deliverer) == {}


async def test_a_channel_that_nobody_names_any_more_is_no_alert(
    app: App, policy: Path, database_url: str, hand: SetClock, file: Path
) -> None:
    assert list(await judged(app)) == ["pagr"]
    _written(policy, POLICY.replace("pagr", "pager"))
    settings = {"notifications_file": file}
    async with started_app(database_url, clock=hand.clock, policy=str(policy), settings=settings) as later:
        assert await judged(later) == {}


async def test_an_alert_about_a_channel_clears_once_the_channel_is_gone(
    app: App, hook: Receiver, file: Path, hand: SetClock
) -> None:
    hook.status = 500
    await raised(app, draft())
    await told(app, "oncall")
    deliverer = Deliverer(app.runtime, AloneLead())
    failing = await judged(app, deliverer)
    assert failing["oncall"].facts["reason"] == "refused with status 500"
    channel_file(file, {"pager": hook.url()})
    assert list(await judged(app, deliverer)) == ["pagr"]
    admin = await app.as_(ADMIN)
    assert (await admin.get(f"/v1/alerts/{failing['oncall'].id}")).json()["status"] == "cleared"


async def test_an_alert_that_a_late_try_raises_about_a_channel_that_is_gone_clears(
    app: App, hook: Receiver, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.status = 500
    await raised(app, draft())
    await followed(app)
    entry = channels_now(app.runtime.settings)["oncall"]
    channel_file(file, {"pager": hook.url()})
    deliverer = Deliverer(app.runtime, AloneLead())
    await judged(app, deliverer)
    assert await deliverer.send_one(entry)
    assert set(await judged(app, deliverer)) == {"oncall", "pagr"}
    monkeypatch.setattr(deliverer, "_judge_at", 0.0)  # its time has come
    assert list(await judged(app, deliverer)) == ["pagr"]


async def test_a_channel_that_is_not_in_the_file_is_listed_as_that(app: App) -> None:
    items = (await (await app.as_(ADMIN)).get("/v1/notifications/channels")).json()["items"]
    assert [(one["name"], one["service"], one["in_file"], one["last_error"]) for one in items] == [
        ("oncall", "json", True, None),
        ("pager", "json", True, None),
        ("pagr", "", False, ABSENT),
    ]
    assert items[-1]["severities"] == []


def test_the_log_says_at_a_start_which_channels_are_absent(file: Path, policy: Path) -> None:
    settings = Settings(database_url="postgresql://nowhere/x", notifications_file=file, policy=str(policy))
    with capture_logs() as lines:
        create_app(settings)
    assert [line["channels"] for line in lines if line["event"] == "channels_not_in_file"] == [["pagr"]]


async def test_what_waits_for_an_absent_channel_is_in_the_log_of_deliveries(app: App, hand: SetClock) -> None:
    [alert] = await raised(app, draft())
    admin = await app.as_(ADMIN)
    acted = await admin.post("/v1/alerts/acts", json={"ids": [alert.id], "act": "escalate", "comment": "stuck"})
    assert acted.status_code == 200, acted.text
    await followed(app)
    assert "pagr" in {row.channel for row in await rows(app)}
