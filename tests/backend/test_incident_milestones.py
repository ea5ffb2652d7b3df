"""When an incident reached what: by clocks that differ, put right by people, and what of it is counted."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from backend.alerts.tables import AlertRow
from contract.alerts import Alert
from contract.incidents import Incident, IncidentStats, Interval, Milestone, MilestoneName
from contract.states import IncidentStatus
from tests.backend.test_alerts import acknowledge, draft, raised
from tests.support.app import App
from tests.support.incidents import act, declared, shown, timeline
from tests.support.people import OPERATOR


async def foreign(app: App, mark: str = "m", *, ahead_s: float) -> tuple[Alert, datetime]:
    """An alert whose source says that it began so much after it was raised here, and when that is."""
    [(alert, _)] = await raised(app, draft(mark))
    began = alert.raised_at + timedelta(seconds=ahead_s)
    async with app.runtime.database.transaction() as session:
        await session.execute(update(AlertRow).where(AlertRow.fingerprint == mark).values(starts_at=began))
    return alert, began


def milestone(one: Incident, name: MilestoneName) -> Milestone | None:
    return next((each for each in one.milestones if each.name is name), None)


async def refused(client: httpx.AsyncClient, path: str, **body: Any) -> tuple[int, str]:
    answer = await client.post(path, json=body)
    return answer.status_code, f"{answer.json()['message']} {answer.json().get('hint')}"


@pytest.mark.parametrize("ahead_s", [-300, 5, 120])
async def test_the_start_is_what_the_source_says_and_never_after_the_alert_came(app: App, ahead_s: float) -> None:
    client = await app.as_(OPERATOR)
    alert, began = await foreign(app, ahead_s=ahead_s)
    started = milestone(await declared(client, alerts=[alert.id]), MilestoneName.STARTED)
    assert started is not None
    assert (started.occurred_at, started.auto) == (min(began, alert.raised_at), True)


async def test_a_start_that_somebody_names_is_not_after_it_was_seen(app: App) -> None:
    client = await app.as_(OPERATOR)
    alert, _ = await foreign(app, ahead_s=-60)
    late = (alert.raised_at + timedelta(seconds=30)).isoformat()
    body = {"title": "t", "severity": "high", "alerts": [alert.id], "started_at": late}
    status, said = await refused(client, "/v1/incidents", **body)
    assert (status, "cannot have started after it was detected" in said) == (422, True)
    ahead = (app.runtime.clock.now() + timedelta(seconds=40)).isoformat()
    made = await declared(client, started_at=ahead)
    assert made.id.endswith("-001"), "what was refused took no number"
    assert made.at(MilestoneName.STARTED) == made.declared_at, "a clock that is ahead of ours"


async def test_an_alert_that_comes_after_a_declaration_does_not_say_when_it_began(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    later, _ = await foreign(app, "later", ahead_s=0)
    now = await act(client, made.id, "links", kind="alert", id=later.id)
    assert now.at(MilestoneName.STARTED) is None, "it cannot have begun after it was detected"
    earlier, began = await foreign(app, "earlier", ahead_s=-600)
    now = await act(client, made.id, "links", kind="alert", id=earlier.id)
    assert now.at(MilestoneName.STARTED) == began


async def test_what_is_found_to_precede_the_start_is_told(app: App) -> None:
    client = await app.as_(OPERATOR)
    alert, _ = await foreign(app, ahead_s=-60)
    made = await declared(client)
    said = {"name": "started", "occurred_at": made.declared_at.isoformat(), "why": "guess"}
    await act(client, made.id, "milestones", **said)
    now = await act(client, made.id, "links", kind="alert", id=alert.id)
    assert now.at(MilestoneName.STARTED) == made.declared_at, "nobody's word is overridden"
    told = [line.text for line in await timeline(client, made.id) if "before it started" in line.text]
    assert [line.partition(" at ")[0] for line in told] == ["detected"]
    assert "has to be put right" in told[0]


async def stats(client: httpx.AsyncClient) -> IncidentStats:
    return IncidentStats.model_validate((await client.get("/v1/incidents/stats")).json())


async def test_whoever_declares_what_they_see_first_is_no_quick_answer(app: App) -> None:
    client = await app.as_(OPERATOR)
    await declared(client)
    [(alert, _)] = await raised(app, draft())
    await acknowledge(client, alert.id, "on it")
    await declared(client, alerts=[alert.id])
    found = await stats(client)
    [tta] = [one for one in found.groups[0].intervals if one.interval is Interval.TTA]
    assert (tta.n, tta.missing, tta.unmeasured) == (1, 0, 1)
    assert tta.median_s is not None
    assert tta.median_s > 0
    high = found.compliance[1]
    assert (high.in_time, high.unmeasured) == (1, 1)


async def test_the_end_is_an_act_whose_time_can_be_put_right(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client, severity="low")
    path = f"/v1/incidents/{made.id}/milestones"
    now = made.declared_at.isoformat()
    for name in ("resolved", "closed"):
        status, said = await refused(client, path, name=name, occurred_at=now, why="it is over")
        assert (status, f"is not {name}" in said) == (409, True)
        act_of = name.removesuffix("d")
        assert f"`watchfloor incidents {act_of} {made.id}" in said
        assert f"{'R' if name == 'resolved' else 'D'} on its screen" in said
    assert (await shown(client, made.id)).version == made.version
    assert not any("resolved" in line.text for line in await timeline(client, made.id))
    await act(client, made.id, "resolve", note="over")
    put_right = await act(client, made.id, "milestones", name="resolved", occurred_at=now, why="the venue's page")
    assert (put_right.status, put_right.at(MilestoneName.RESOLVED)) == (IncidentStatus.RESOLVED, made.declared_at)
    status, said = await refused(client, path, name="closed", occurred_at=now, why="it is over")
    assert (status, "Close it" in said) == (409, True)
