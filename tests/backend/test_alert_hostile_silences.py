"""Silences at their worst: regular expressions that others would never be done with, many alerts, locks in a circle."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from backend.alerts import matched, matching, muting, silencing
from backend.alerts.matching import Trial, Trials
from backend.alerts.tables import AlertRow
from contract.alert_work import Matcher, SilencePreview, SilenceState
from contract.scope import Scope
from tests.backend.test_alert_silences import shown, silence, tick
from tests.backend.test_alerts import draft, raised
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.people import OPERATOR

HOSTILE = [{"name": "alertname", "op": "=~", "value": "(A+)+x"}, {"name": "scope", "op": "!~", "value": "(.*)*y"}]


async def test_a_pattern_that_others_go_back_over_for_ever_is_tried_on_many_alerts(app: App) -> None:
    await raised(app, *(draft(f"{n}", rule="A" * (100 + n % 7)) for n in range(600)), draft("x", rule="A" * 99 + "x"))
    client = await app.as_(OPERATOR)
    answer = await client.post("/v1/silences/preview", json={"matchers": HOSTILE})
    assert SilencePreview.model_validate_json(answer.content).total == 1
    await silence(client, matchers=HOSTILE)
    [(later, _)] = await raised(app, draft("y", rule="AAx"))
    assert len((await shown(app, later.id)).muted_by) == 1


async def test_matchers_that_take_too_long_are_refused_and_hold_up_no_clock(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        client = await app.as_(OPERATOR)
        [(one, _)] = await raised(app, draft())
        ahead = (time.at + timedelta(minutes=1)).isoformat()
        slow = await silence(client, matchers=HOSTILE, starts_at=ahead)
        plain = await silence(client, starts_at=ahead)
        monkeypatch.setattr(matched, "Trial", lambda: Trial(seconds=0))
        for path in ("/v1/silences", "/v1/silences/preview"):
            body: dict[str, Any] = {"matchers": HOSTILE}
            if path == "/v1/silences":
                body |= {"minutes": 5, "comment": "why not"}
            answer = await client.post(path, json=body)
            assert (answer.status_code, "too long" in answer.text) == (422, True)
        time.pass_(minutes=2)
        await tick(app)
        assert [mute.id for mute in (await shown(app, one.id)).muted_by] == [plain.id]
        found = (await client.get(f"/v1/silences/{slow.id}")).json()
        assert (found["state"], found["muted_now"]) == (SilenceState.SET_ASIDE.value, 0)
        listed = (await client.get("/v1/silences", params={"state": "set_aside"})).json()["items"]
        assert [one["id"] for one in listed] == [slow.id]
        assert [one["id"] for one in (await client.get("/v1/silences?state=active")).json()["items"]] == [plain.id]
        [entry] = await entries_of(app, "alerts.silence.set_aside")
        assert entry.resource_id == slow.id
        time.pass_(minutes=60)
        await tick(app)
        assert (await client.get(f"/v1/silences/{slow.id}")).json()["state"] == SilenceState.ENDED.value


async def test_a_slow_silence_is_set_aside_alone(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await app.as_(OPERATOR)
    slow = await silence(client, matchers=[{"name": "alertname", "op": "=~", "value": "slow.*"}])
    fast = await silence(client, matchers=[{"name": "alertname", "op": "=~", "value": "DAILY.*"}])
    seconds = 0.0
    fits = matching._fits

    def timed(one: Matcher, value: str) -> bool:
        nonlocal seconds
        seconds += 10.0 if one.value.startswith("slow") else 0.0
        return fits(one, value)

    monkeypatch.setattr(matching, "_fits", timed)
    monkeypatch.setattr(muting, "Trials", lambda each, whole: Trials(each, whole, clock=lambda: seconds))
    for mark in ("a", "b"):
        [(one, _)] = await raised(app, draft(mark))
        assert [mute.id for mute in (await shown(app, one.id)).muted_by] == [fast.id]
    assert seconds == 10.0, "it is not tried again"
    states = {one["id"]: one["state"] for one in (await client.get("/v1/silences")).json()["items"]}
    assert states == {slow.id: "set_aside", fast.id: "active"}
    assert [entry.resource_id for entry in await entries_of(app, "alerts.silence.set_aside")] == [slow.id]


async def test_a_silence_over_more_alerts_than_go_at_once_goes_on_with_the_clock(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = SetClock()
    monkeypatch.setattr(silencing, "AT_ONCE", 10)
    async with started_app(database_url, clock=time.clock) as app:
        found = await raised(app, *(draft(f"{n}") for n in range(25)))
        client = await app.as_(OPERATOR)
        made = await silence(client, minutes=5)
        assert made.muted_now == 10
        for _ in range(2):
            await tick(app)
        assert (await client.get(f"/v1/silences/{made.id}")).json()["muted_now"] == 25
        time.pass_(minutes=6)
        for _ in range(3):
            await tick(app)
        again = [(await shown(app, one.id)).times_raised for one, _ in found]
        assert again == [2] * 25


async def test_the_alerts_of_all_silences_that_turn_are_locked_in_one_order(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        found = await raised(app, draft("a", scope=Scope.parse("chain:base")), draft("b"))
        first, second = sorted(one.id for one, _ in found)
        names = {first: "chain:base", second: "strategy:arbitrage"}
        if found[0][0].id != first:
            names = {first: "strategy:arbitrage", second: "chain:base"}
        client = await app.as_(OPERATOR)
        for ident, minutes in ((second, 5), (first, 6)):  # the later alert's silence turns first
            await silence(client, matchers=[{"name": "scope", "value": names[ident]}], minutes=minutes)
        time.pass_(minutes=10)
        async with app.runtime.database.transaction() as session:
            await session.execute(select(AlertRow).where(AlertRow.id == first).with_for_update())
            turning = asyncio.create_task(tick(app))
            await _waits_for_a_lock(app)
            await session.execute(select(AlertRow).where(AlertRow.id == second).with_for_update())
        await turning
        assert [(await shown(app, ident)).times_raised for ident in (first, second)] == [2, 2]


_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def _waits_for_a_lock(app: App) -> None:
    while True:
        async with app.runtime.database.read() as session:
            waiting = await session.scalar(text(_WAITING))
        if waiting:
            return
        await asyncio.sleep(0.01)
