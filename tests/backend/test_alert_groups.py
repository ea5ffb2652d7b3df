"""Alerts by group: one row a group, the gravest first, in pages that miss none."""

import hashlib
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import psycopg as dialects

from backend.alerts import grouping
from backend.alerts.listing import AlertFilter
from backend.alerts.tables import AlertRow
from contract.alert_work import AlertGroup, AlertGroups
from contract.alerts import Alert, Severity
from contract.base import Page
from contract.scope import Scope
from tests.backend.test_alert_acts import act
from tests.backend.test_alert_silences import silence
from tests.backend.test_alerts import clear, draft, raised
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.people import OPERATOR


async def groups(client: httpx.AsyncClient, **where: Any) -> Page[AlertGroup]:
    answer = await client.get("/v1/alerts/groups", params=where)
    assert answer.status_code == 200, answer.text
    return Page[AlertGroup].model_validate_json(answer.content)


async def test_a_group_says_the_worst_how_many_and_since_when(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        client = await app.as_(OPERATOR)
        began = time.at
        [(seen, _)] = await raised(app, draft("1", rule="A", severity=Severity.LOW))
        await act(client, [seen.id], "acknowledge")
        time.pass_(minutes=1)
        [(_, _)] = await raised(app, draft("2", rule="A", severity=Severity.HIGH))
        await raised(app, draft("3", rule="B", severity=Severity.CRITICAL, scope=Scope.parse("chain:base")))
        time.pass_(minutes=1)
        [(gone, _), (newest, _)] = await raised(app, draft("4", rule="A"), draft("5", rule="A", severity=Severity.LOW))
        await clear(app, gone.id)
        await silence(client, matchers=[{"name": "alertname", "value": "B"}])
        page = await groups(client)
        assert [(one.group, one.severity, one.total, one.rules) for one in page.items] == [
            ("B", Severity.CRITICAL, 1, 1), ("A", Severity.HIGH, 3, 1)
        ]  # fmt: skip
        [muted, last] = page.items
        assert (muted.muted, last.muted, last.open, last.acknowledged) == (1, 0, 2, 1)
        assert (last.newest_at, last.newest.id) == (newest.raised_at, newest.id)
        assert last.oldest_open_at == began + timedelta(minutes=1)
        assert (page.total, page.next_cursor) == (2, None)
        listed = Page[Alert].model_validate_json((await client.get(f"/v1/alerts?group={last.id}")).content)
        assert {one.group for one in listed.items} == {"A"}
        assert len(listed.items) == 4
        narrowed = await groups(client, severity="low", muted="false")
        assert [(one.group, one.total) for one in narrowed.items] == [("A", 2)]
        history = await groups(client, status=["cleared", "open"], since=began.isoformat())
        assert {one.group: (one.total, one.open) for one in history.items} == {"A": (3, 2), "B": (1, 1)}


async def test_pages_of_groups_miss_none_and_repeat_none(app: App) -> None:
    severities = list(Severity)
    drafts = [draft(f"{n}", rule=f"R{n % 23}", severity=severities[n % 3]) for n in range(92)]
    await raised(app, *drafts)
    client = await app.as_(OPERATOR)
    whole = await groups(client)
    assert whole.total == len(whole.items) == 23
    found: list[AlertGroup] = []
    cursor: str | None = None
    while cursor is not None or not found:
        page = await groups(client, limit=4, **({} if cursor is None else {"cursor": cursor}))
        found += page.items
        cursor = page.next_cursor
    assert [one.id for one in found] == [one.id for one in whole.items]
    ranks = [(severities.index(one.severity), -one.newest_at.timestamp()) for one in found]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("where", [{"cursor": "x"}, {"cursor": "WzEsMl0="}, {"status": "cleared"}, {"limit": 501}])
async def test_what_cannot_be_grouped_is_refused(app: App, where: dict[str, Any]) -> None:
    answer = await (await app.as_(OPERATOR)).get("/v1/alerts/groups", params=where)
    assert answer.status_code == 422


async def test_of_cleared_alerts_the_newest_are_grouped_and_the_answer_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "MAX_GROUPED", 5)
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        client = await app.as_(OPERATOR)
        began = time.at.isoformat()
        for number in range(8):
            [(one, _)] = await raised(app, draft(f"{number}", rule=f"R{number}"))
            await clear(app, one.id)
            time.pass_(minutes=1)
        answer = await client.get("/v1/alerts/groups", params={"status": "cleared", "since": began})
        page = AlertGroups.model_validate_json(answer.content)
        assert sorted(one.group for one in page.items) == [f"R{number}" for number in range(3, 8)]
        assert page.grouped_since == time.at - timedelta(minutes=6)
        later = (time.at - timedelta(minutes=5)).isoformat()
        answer = await client.get("/v1/alerts/groups", params={"status": "cleared", "since": later})
        page = AlertGroups.model_validate_json(answer.content)
        assert (len(page.items), page.grouped_since) == (5, None)
        assert (await groups(client)).items == [], "what is live is not counted for it"


async def test_a_group_is_found_by_its_index_whatever_its_text(app: App, database_url: str) -> None:
    odd = '{}:{alertname="a\\b", é="😀"}'
    await raised(app, draft("odd", rule=odd))
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO alerts (id, fingerprint, rule, severity, status, scope_kind, scope_name, message, facts,"
            " links, raised_at, updated_at, group_key)"
            " SELECT gen_random_uuid(), 'f' || n, 'R', 'low', 'cleared', 'global', '', 'm', '{}', '[]',"
            " now() - make_interval(secs => n), now(), 'g' || n % 500 FROM generate_series(1, 20000) AS n"
        )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE alerts")
    client = await app.as_(OPERATOR)
    [one] = (await groups(client)).items
    assert (one.group, one.id) == (odd, hashlib.sha256(odd.encode()).hexdigest())
    listed = Page[Alert].model_validate_json((await client.get(f"/v1/alerts?group={one.id}")).content)
    assert [each.group for each in listed.items] == [odd]
    many = hashlib.sha256(b"g7").hexdigest()
    assert Page[Alert].model_validate_json((await client.get(f"/v1/alerts?group={many}")).content).total == 40
    query = select(AlertRow.id).where(*AlertFilter(group=many).conditions())
    paged = query.order_by(AlertRow.raised_at.desc(), AlertRow.id.desc()).limit(100)
    compiled = paged.compile(dialect=dialects.dialect())  # type: ignore[no-untyped-call]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(f"EXPLAIN {compiled}", dict(compiled.params)).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "ix_alerts_group" in plan, plan
