"""Alerts: raised once, acknowledged by people, cleared by their rule."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.audit.tables import AuditLog
from backend.context import system_caller
from backend.errors import WatchfloorError
from backend.stream.tables import StreamEvent
from contract.alerts import Alert, AlertStatus, Link, Severity
from contract.base import Page
from contract.scope import GLOBAL, Scope
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.people import AUDITOR, OPERATOR

RULE = system_caller("test-rule")


def draft(mark: str = "m", **changes: Any) -> AlertDraft:
    usual: dict[str, Any] = {
        "fingerprint": mark,
        "rule": "DAILY_LOSS_LIMIT",
        "severity": Severity.HIGH,
        "scope": Scope.parse("strategy:arbitrage"),
        "message": "Strategy arbitrage lost 12 ETH today.",
        "facts": {"value": "12"},
    }
    return AlertDraft(**(usual | changes))


async def raised(app: App, *drafts: AlertDraft) -> list[tuple[Alert, bool]]:
    async with app.runtime.database.transaction() as session:
        return [await alerts.raise_alert(session, app.runtime, RULE, one) for one in drafts]


async def clear(app: App, alert_id: str) -> Alert:
    async with app.runtime.database.transaction() as session:
        return await alerts.clear_alert(session, app.runtime, RULE, alert_id, why="back within the limit")


async def acknowledge(client: httpx.AsyncClient, alert_id: str, comment: str = "") -> httpx.Response:
    return await client.post(f"/v1/alerts/{alert_id}/acknowledge", json={"comment": comment})


async def events(app: App) -> list[str]:
    async with app.runtime.database.read() as session:
        found = await session.execute(select(StreamEvent).where(StreamEvent.topic == "alert").order_by(StreamEvent.id))
        return [one.payload["status"] for one in found.scalars()]


async def audited(app: App) -> list[tuple[str, str | None]]:
    async with app.runtime.database.read() as session:
        found = await session.execute(
            select(AuditLog.event_type, AuditLog.user_id)
            .where(AuditLog.event_type.like("alerts.%"))
            .order_by(AuditLog.timestamp, AuditLog.id)
        )
        return [(kind, who) for kind, who in found]


async def test_one_crossing_is_one_alert_until_it_clears(app: App) -> None:
    [(first, new), (second, again)] = await raised(app, draft(), draft())
    assert (new, again) == (True, False)
    assert first.id == second.id
    await clear(app, first.id)
    [(third, anew)] = await raised(app, draft())
    assert anew
    assert third.id != first.id
    assert await events(app) == ["open", "cleared", "open"]


async def test_an_alert_may_be_about_the_longest_scope_there_is(app: App) -> None:
    name = "x" * 100
    widest = Scope.parse(f"chain:{name}+strategy:{name}+wallet:{name}+executor:{name}")
    mark = f"DAILY_LOSS_LIMIT|{widest}|2026-01-01"
    [(first, is_new), (again, _)] = await raised(app, draft(mark, scope=widest), draft(mark, scope=widest))
    assert is_new
    assert (again.id, again.scope) == (first.id, widest)
    assert len(str(widest)) > 400


async def test_its_response_is_due_by_the_policy(app: App) -> None:
    [(one, _)] = await raised(app, draft(severity=Severity.CRITICAL))
    assert one.due_at == one.raised_at + timedelta(minutes=15)


async def test_two_at_once_are_one(app: App) -> None:
    found = await asyncio.gather(*(raised(app, draft()) for _ in range(4)))
    assert sorted(new for [(_, new)] in found) == [False, False, False, True]
    assert len({one.id for [(one, _)] in found}) == 1


async def test_a_moving_value_is_not_news_every_second(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        await raised(app, draft())
        time.pass_(seconds=3)
        [(one, _)] = await raised(app, draft(message="Strategy arbitrage lost 13 ETH today."))
        assert one.message.endswith("12 ETH today.")
        time.pass_(seconds=7)
        [(one, _)] = await raised(app, draft(message="Strategy arbitrage lost 14 ETH today."))
        assert one.message.endswith("14 ETH today.")
        assert await events(app) == ["open", "open"]


async def test_an_update_keeps_the_link_to_the_hold(database_url: str) -> None:
    time = SetClock()
    hold = Link(kind="freeze", id="f", label="FRZ-0001")
    async with started_app(database_url, clock=time.clock) as app:
        [(one, _)] = await raised(app, draft())
        async with app.runtime.database.transaction() as session:
            await alerts.note_action(session, one.id, "FRZ-0001 placed", link=hold)
        time.pass_(minutes=1)
        [(one, _)] = await raised(app, draft(message="More.", links=[Link(kind="executor", id="b", label="b")]))
        assert [link.kind for link in one.links] == ["executor", "freeze"]
        assert one.action_taken == "FRZ-0001 placed"


async def test_acknowledging_twice_keeps_the_first(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    client = await app.as_(OPERATOR)
    first = (await acknowledge(client, one.id, "looking")).json()
    second = (await acknowledge(client, one.id, "me too")).json()
    assert first == second
    assert (first["status"], first["acknowledged_by"]) == ("acknowledged", OPERATOR.name)
    assert await audited(app) == [
        ("alerts.alert.raised", RULE.subject),
        ("alerts.alert.acknowledged", OPERATOR.name),
    ]


async def test_acknowledging_what_has_just_cleared_is_no_error(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    await clear(app, one.id)
    answer = await acknowledge(await app.as_(OPERATOR), one.id)
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["acknowledged_by"]) == ("cleared", OPERATOR.name)


async def test_clearing_and_acknowledging_at_once_end_cleared(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    client = await app.as_(OPERATOR)
    await asyncio.gather(clear(app, one.id), acknowledge(client, one.id))
    found = (await client.get(f"/v1/alerts/{one.id}")).json()
    assert (found["status"], found["acknowledged_by"]) == ("cleared", OPERATOR.name)


async def test_clearing_twice_changes_nothing(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    assert await clear(app, one.id) == await clear(app, one.id)
    assert await events(app) == ["open", "cleared"]


async def test_an_auditor_sees_no_button_and_may_not_press_it(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    assert (await acknowledge(await app.as_(AUDITOR), one.id)).status_code == 403


@pytest.mark.parametrize("ident", ["x", "00000000-0000-7000-8000-000000000000"])
async def test_an_unknown_alert_is_not_found(app: App, ident: str) -> None:
    client = await app.as_(OPERATOR)
    assert (await client.get(f"/v1/alerts/{ident}")).status_code == 404
    assert (await acknowledge(client, ident)).status_code == 404


@pytest.mark.parametrize("comment", ["a\x00b", "x" * 2_001])
async def test_a_comment_that_cannot_be_kept_is_refused(app: App, comment: str) -> None:
    [(one, _)] = await raised(app, draft())
    assert (await acknowledge(await app.as_(OPERATOR), one.id, comment)).status_code == 422


async def test_hostile_text_is_stored_as_given_and_nul_is_refused(app: App) -> None:
    hostile = "\x1b]0;owned\x07 [red]x[/] \u202e"
    [(one, _)] = await raised(app, draft(message=hostile, scope=Scope.parse(f"strategy:{hostile}")))
    found = (await (await app.as_(OPERATOR)).get(f"/v1/alerts/{one.id}")).json()
    assert found["message"] == hostile
    with pytest.raises(WatchfloorError, match="NUL"):
        await raised(app, draft("other", facts={"value": "a\x00"}))


async def listed(app: App, **params: Any) -> list[Alert]:
    client = await app.as_(OPERATOR)
    found: list[Alert] = []
    cursor = None
    while True:
        answer = await client.get("/v1/alerts", params=params | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page = Page[Alert].model_validate_json(answer.content)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_the_list_is_paged_newest_first_and_narrowed(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        for number in range(9):
            time.pass_(seconds=number % 2)  # some share their instant
            severity = Severity.LOW if number % 3 else Severity.CRITICAL
            scope = GLOBAL if number % 2 else Scope.parse("chain:base")
            [(one, _)] = await raised(app, draft(str(number), rule=f"R{number % 4}", severity=severity, scope=scope))
            if number < 4:
                await clear(app, one.id)
        every = await listed(app, limit=2)
        assert len({one.id for one in every}) == len(every) == 9
        assert [one.raised_at for one in every] == sorted((one.raised_at for one in every), reverse=True)
        assert len(await listed(app, status=["open", "acknowledged"])) == 5
        assert len(await listed(app, severity="critical")) == 3
        assert len(await listed(app, rule="R1")) == 2
        assert len(await listed(app, scope="chain:base")) == 5
        first = (await (await app.as_(OPERATOR)).get("/v1/alerts", params={"status": "cleared", "limit": 1})).json()
        assert first["total"] == 4


async def test_a_scope_that_is_none_is_refused(app: App) -> None:
    assert (await (await app.as_(OPERATOR)).get("/v1/alerts", params={"scope": "planet:mars"})).status_code == 422


async def test_the_most_urgent_come_first(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        ids = {}
        for name, severity in (
            ("low", Severity.LOW),
            ("old critical", Severity.CRITICAL),
            ("critical", Severity.CRITICAL),
            ("seen critical", Severity.CRITICAL),
            ("medium", Severity.MEDIUM),
        ):
            time.pass_(minutes=1)
            [(one, _)] = await raised(app, draft(name, severity=severity))
            ids[one.id] = name
        await acknowledge(await app.as_(OPERATOR), next(key for key, name in ids.items() if name == "seen critical"))
        async with app.runtime.database.read() as session:
            found = [ids[one.id] for one in await alerts.most_urgent(session, 4)]
            counts = await alerts.counts(session)
            overdue = await alerts.overdue(session, time.at + timedelta(minutes=20), 10)
        assert found == ["critical", "old critical", "seen critical", "medium"]
        assert (counts.critical, counts.medium, counts.low, counts.total) == (3, 1, 1, 5)
        assert [ids[one.id] for one in overdue] == ["old critical", "critical"]
        assert all(one.status is AlertStatus.OPEN for one in overdue)
