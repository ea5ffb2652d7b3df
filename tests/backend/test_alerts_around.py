"""What changed around an alert, and feeds that go silent."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend import around as around_module
from backend import feedwatch
from backend.alerts import service as alerts
from backend.alerts.tables import AlertRow
from backend.audit import service as audit
from backend.audit.conditions import Where
from backend.audit.search import entries_of, nearest
from backend.audit.service import AuditDraft
from backend.context import system_caller
from backend.feedwatch import Spoke, silent_for
from contract.alert_work import Around
from contract.alerts import Alert
from contract.scope import Scope
from tests.backend.test_alerts import draft, raised
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.holds import freeze
from tests.support.ledger import settled
from tests.support.people import ADMIN, AUDITOR, OPERATOR, Person
from tests.support.trades import store, trade


async def around(app: App, person: Person, alert_id: str, **params: int) -> Around:
    answer = await (await app.as_(person)).get(f"/v1/alerts/{alert_id}/around", params=params)
    assert answer.status_code == 200, answer.text
    return Around.model_validate_json(answer.content)


async def put_back(app: App, alert_id: str, **amount: float) -> None:
    """Have an alert been raised earlier: holds go by the database's clock, which no test can set."""
    async with app.runtime.database.transaction() as session:
        row = await session.get_one(AlertRow, UUID(alert_id))
        row.raised_at -= timedelta(**amount)


async def test_what_changed_around_an_alert_is_shown_to_who_may_see_it(app: App) -> None:
    [(old, _), (other, _)] = await raised(app, draft("old"), draft("other", scope=Scope.parse("chain:base")))
    await put_back(app, old.id, minutes=45)
    await put_back(app, other.id, minutes=10)
    admin = await app.as_(ADMIN)
    await freeze(admin, "chain:base")
    [(one, _)] = await raised(app, draft())
    made = await admin.post("/v1/service-tokens", json={"name": "robot", "permissions": ["view_risk"], "days": 5})
    assert made.status_code == 201, made.text
    await settled(app)

    seen = await around(app, ADMIN, one.id)
    half = timedelta(minutes=30)
    assert (seen.since, seen.until, seen.missing) == (one.raised_at - half, one.raised_at + half, [])
    assert [item.kind for item in seen.items if item.kind != "audit"] == ["alert", "freeze"]
    [hold] = [item for item in seen.items if item.kind == "freeze"]
    assert "chain:base" in hold.text
    assert hold.actor == ADMIN.name
    assert any("auth.token" in item.text for item in seen.items if item.kind == "audit")
    assert [item.at for item in seen.items] == sorted(item.at for item in seen.items)
    narrow = await around(app, ADMIN, one.id, minutes=5)
    assert not [item for item in narrow.items if item.kind == "alert"]
    wide = await around(app, ADMIN, one.id, minutes=60)
    assert {item.id for item in wide.items if item.kind == "alert"} == {old.id, other.id}

    operator = await around(app, OPERATOR, one.id)
    assert operator.missing == ["audit entries"]
    assert {item.kind for item in operator.items} == {"freeze", "alert"}
    assert (await around(app, AUDITOR, one.id)).missing == []


async def test_looking_into_the_audit_log_leaves_its_trace(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    await settled(app)
    await around(app, ADMIN, one.id)
    await settled(app)
    found = await (await app.as_(ADMIN)).get("/v1/audit", params={"event_type": "audit.search.run"})
    assert [entry["user_id"] for entry in found.json()["items"]][-1] == ADMIN.name


async def test_around_what_is_no_alert_or_too_far_is_refused(app: App) -> None:
    client = await app.as_(OPERATOR)
    assert (await client.get("/v1/alerts/x/around")).status_code == 404
    [(one, _)] = await raised(app, draft())
    assert (await client.get(f"/v1/alerts/{one.id}/around", params={"minutes": 1_441})).status_code == 422


async def feeds(app: App) -> list[Alert]:
    async with app.runtime.database.transaction() as session:
        await feedwatch.tick(session, app.runtime)
        return [alert for _, alert in await alerts.live_of_rules(session, [alerts.FEED_SILENT])]


async def test_a_feed_that_goes_silent_is_an_alert_until_it_speaks_again(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        assert await feeds(app) == []
        time.pass_(minutes=60)
        assert await feeds(app) == [], "a feed that never spoke is none"
        await store(app, trade(time.at))
        time.pass_(minutes=15)
        assert await feeds(app) == []
        time.pass_(seconds=1)
        [alert] = await feeds(app)
        assert (alert.facts["feed"], alert.severity) == ("transactions", "high")
        assert [one.id for one in await feeds(app)] == [alert.id]
        await store(app, trade(time.at))
        assert await feeds(app) == []


async def test_a_restart_is_not_silence_of_others(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        await store(app, trade(time.at))
        time.pass_(minutes=60)
        assert await feeds(app) == [], "this process has not watched it for so long"
        time.pass_(minutes=16)
        assert len(await feeds(app)) == 1
    async with started_app(database_url, clock=time.clock) as app:
        assert len(await feeds(app)) == 1, "and a live alert stays until the feed speaks"


async def test_while_nobody_may_trade_no_trade_is_no_news(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        await store(app, trade(time.at))
        await feeds(app)
        await freeze(await app.as_(ADMIN), "global")
        time.pass_(minutes=60)
        assert await feeds(app) == []


@given(st.none() | st.integers(0, 100), st.integers(0, 100), st.integers(1, 50))
def test_silence_counts_from_when_it_was_watched(silent: int | None, watched: int, limit: int) -> None:
    now = SetClock().at
    spoke = None if silent is None else Spoke(now - timedelta(seconds=silent), now)
    found = silent_for(spoke, timedelta(seconds=watched), timedelta(seconds=limit))
    assert (found is not None) is (silent is not None and silent > limit and watched > limit)


async def test_what_is_nearest_is_shown_however_much_there_is(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(around_module, "MOST", 6)
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        client = await app.as_(ADMIN)
        ids: list[str] = []
        for minute in range(21):  # the tenth is asked around
            [(one, _)] = await raised(app, draft(f"{minute}", message=f"minute {minute}"))
            ids.append(one.id)
            made = await client.post("/v1/incidents", json={"title": f"minute {minute}", "severity": "low"})
            assert made.status_code == 201
            body = {"service": "router", "version": f"minute {minute}", "idempotency_key": f"{minute}"}
            assert (await client.post("/v1/changes/deploys", json=body)).is_success
            time.pass_(minutes=1)
        await settled(app)
        seen = await around(app, ADMIN, ids[10])
        assert [item.at for item in seen.items] == sorted(item.at for item in seen.items)
        middle = seen.since + (seen.until - seen.since) / 2
        assert {abs(item.at - middle) for item in seen.items} <= {timedelta(), timedelta(minutes=1)}
        assert seen.left_out + len(seen.items) >= 20 + 21 + 21
        operator = await around(app, OPERATOR, ids[10])
        assert (len(operator.items), operator.left_out, operator.more_left_out) == (6, 20 + 21 + 21 - 6, False)
        [first, *_] = [item for item in operator.items if item.kind == "alert"]
        assert first.text.endswith("minute 9")


async def test_entries_after_an_instant_are_found_although_searches_go_back(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        began = time.at
        for number in range(60):
            time.pass_(seconds=20)
            async with app.runtime.database.transaction() as session:
                entry = AuditDraft("auth.user.added", f"add {number}")
                await audit.record(session, app.runtime, system_caller("test"), entry)
        await settled(app)
        at = began + timedelta(minutes=10, seconds=10)  # between the thirtieth and the next
        where = Where(("event_type = 'auth.user.added'",), since=began, until=began + timedelta(minutes=25))
        async with app.runtime.database.read() as session:
            rows, total = await nearest(session, where, at, 10)
            found = [one.action for one in await entries_of(session, rows)]
        assert total == 60
        assert sorted(found) == sorted(f"add {number}" for number in range(25, 35))
        assert set(found[:2]) == {"add 29", "add 30"}, "nearest first"
