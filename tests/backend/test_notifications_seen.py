"""What somebody has taken on needs no page: what has not left by then does not leave."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contract.alerts import Alert
from tests.support.app import SWIFT, App, started_app
from tests.support.clocks import SetClock
from tests.support.notifying import channel_file, cleared, delivered, draft, followed, raised, rows, told
from tests.support.people import OPERATOR
from tests.support.receivers import Receiver, webhook

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TITLE = "[CRITICAL] DAILY_LOSS_LIMIT (strategy:arbitrage)"
SEEN = "acknowledged before it was sent"


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
async def app(database_url: str, hand: SetClock, hook: Receiver, tmp_path: Path) -> AsyncIterator[App]:
    file = channel_file(tmp_path / "channels.toml", {"oncall": hook.url()})
    settings = {"notifications_file": file}
    async with started_app(database_url, clock=hand.clock, policy=SWIFT, settings=settings) as running:
        yield running


async def act(app: App, alert: Alert, name: str) -> None:
    """Do something with an alert."""
    operator = await app.as_(OPERATOR)
    acted = await operator.post("/v1/alerts/acts", json={"ids": [alert.id], "act": name, "comment": "so"})
    assert acted.json()["refused"] == [], acted.text


async def states(app: App) -> list[tuple[str, str, str | None]]:
    """What became of each notification."""
    return [(row.event.partition(":")[0], row.state, row.reason) for row in await rows(app)]


async def test_nobody_is_paged_about_an_alert_that_somebody_has_taken_on_already(app: App, hook: Receiver) -> None:
    [alert] = await raised(app, draft())
    await act(app, alert, "acknowledge")
    await told(app, "oncall")
    await cleared(app, alert)
    await told(app, "oncall")
    assert hook.titles == [], "neither that it began nor that it is over"
    assert await states(app) == [("raised", "held_back", SEEN)]


async def test_what_waits_when_somebody_takes_the_alert_on_is_held_back(
    app: App, hook: Receiver, hand: SetClock
) -> None:
    first, second = await raised(app, draft("a"), draft("b"))
    await followed(app)
    hook.status = 503
    await delivered(app, "oncall")
    await act(app, first, "acknowledge")
    await followed(app)
    assert sorted((row.subject_id == first.id, row.state) for row in await rows(app)) == [
        (False, "failed"), (True, "held_back"),
    ]  # fmt: skip
    hook.status = 200
    hand.pass_(minutes=1)
    await delivered(app, "oncall")
    assert hook.titles == [TITLE], "the other one"
    await cleared(app, first)
    await told(app, "oncall")
    assert hook.titles == [TITLE, f"Over: {TITLE}"], "the try that failed may have arrived"
    assert second.id != first.id


async def test_passed_on_and_then_taken_on_needs_no_page_and_the_other_way_round_does(
    app: App, hook: Receiver, hand: SetClock
) -> None:
    before, after = await raised(app, draft("a"), draft("b"))
    await told(app, "oncall")
    for alert, acts in ((before, ("escalate", "acknowledge")), (after, ("acknowledge", "escalate"))):
        for name in acts:
            await act(app, alert, name)
            hand.pass_(seconds=10)  # further apart than the clocks of two backends
    await told(app, "oncall")
    found = {(row.subject_id, row.state, row.reason) for row in await rows(app) if row.event.startswith("escalated")}
    assert found == {(before.id, "held_back", SEEN), (after.id, "sent", None)}
