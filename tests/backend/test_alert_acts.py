"""Acts on alerts: one or many at once, their history, the clocks that run until somebody acknowledges, and filters."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.alerts import clocks
from backend.alerts import service as alerts
from contract.alert_work import AlertActAnswer, AlertEvent
from contract.alerts import Alert, Severity
from contract.base import Page
from contract.scope import Scope
from tests.backend.test_alert_silences import kinds, shown, silence, tick, told
from tests.backend.test_alerts import RULE, audited, clear, draft, listed, raised
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.people import ADMIN, AUDITOR, OPERATOR

UNKNOWN = "00000000-0000-7000-8000-000000000000"


async def act(client: httpx.AsyncClient, ids: list[str], what: str, **more: Any) -> AlertActAnswer:
    answer = await client.post("/v1/alerts/acts", json={"ids": ids, "act": what, **more})
    assert answer.status_code == 200, answer.text
    return AlertActAnswer.model_validate_json(answer.content)


async def test_one_act_on_many_names_those_it_could_not_be_done_to(app: App) -> None:
    found = await raised(app, *(draft(str(number)) for number in range(5)))
    ids = [one.id for one, _ in found]
    await clear(app, ids[0])
    client = await app.as_(OPERATOR)
    await app.as_(ADMIN)
    answer = await act(client, [*ids, ids[1], "x", UNKNOWN], "assign", to=ADMIN.name, comment="yours")
    assert [one.id for one in answer.done] == ids[1:]
    assert {one.assigned_to for one in answer.done} == {ADMIN.name}
    assert {(one.id, one.code) for one in answer.refused} == {
        (ids[0], "conflict"), ("x", "not_found"), (UNKNOWN, "not_found")
    }  # fmt: skip
    again = await act(client, ids[1:], "assign", to=ADMIN.name)
    assert len(again.done) == 4
    lines = await told(app, ids[1])
    assert [(line.event.kind, line.event.text, line.event.facts) for line in lines[1:]] == [
        ("assigned", "yours", {"to": ADMIN.name})
    ]
    [given_back] = (await act(client, ids[1:2], "assign")).done
    assert given_back.assigned_to is None
    assert ("alerts.alert.assigned", OPERATOR.name) in await audited(app)


async def test_a_note_is_kept_and_cleared_alerts_take_one_too(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    await clear(app, one.id)
    client = await app.as_(OPERATOR)
    await act(client, [one.id], "note", comment="\x1b[31mit was the venue[/]")
    page = Page[AlertEvent].model_validate_json((await client.get(f"/v1/alerts/{one.id}/events")).content)
    assert [(line.kind, line.actor) for line in page.items] == [
        ("noted", OPERATOR.name), ("cleared", RULE.subject), ("raised", RULE.subject)
    ]  # fmt: skip
    assert page.items[0].text == "\x1b[31mit was the venue[/]"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"act": "note"}, 422),
        ({"act": "note", "comment": "a\x00"}, 422),
        ({"act": "note", "comment": "x", "to": "adam"}, 422),
        ({"act": "assign", "to": "nobody-of-that-name"}, 404),
        ({"act": "delete"}, 422),
        ({"act": "note", "comment": "x" * 2_001}, 422),
        ({"act": "acknowledge", "ids": []}, 422),
        ({"act": "acknowledge", "ids": ["x"] * 201}, 422),
    ],
)
async def test_an_act_that_is_none_is_refused(app: App, body: dict[str, Any], status: int) -> None:
    answer = await (await app.as_(OPERATOR)).post("/v1/alerts/acts", json={"ids": [UNKNOWN], **body})
    assert answer.status_code == status, answer.text


async def test_who_may_only_look_does_nothing(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    client = await app.as_(AUDITOR)
    assert (await client.post("/v1/alerts/acts", json={"ids": [one.id], "act": "acknowledge"})).status_code == 403
    assert (await client.get(f"/v1/alerts/{one.id}/events")).status_code == 200


async def test_many_at_once_are_told_in_one_event(app: App, database_url: str) -> None:
    found = await raised(app, *(draft(str(number)) for number in range(30)))
    answer = await act(await app.as_(OPERATOR), [one.id for one, _ in found], "acknowledge")
    assert {one.status for one in answer.done} == {"acknowledged"}
    from sqlalchemy import select

    from backend.stream.tables import StreamEvent

    async with app.runtime.database.read() as session:
        topics = [row.topic for row in await session.scalars(select(StreamEvent).order_by(StreamEvent.id))]
    assert topics == ["alert"] * 30 + ["alerts"]


async def test_who_does_not_acknowledge_in_time_is_passed_over(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        [(one, _), (taken, _)] = await raised(
            app, draft(severity=Severity.CRITICAL), draft("taken", severity=Severity.CRITICAL)
        )
        start = time.at
        await (await app.as_(OPERATOR)).post(f"/v1/alerts/{taken.id}/acknowledge", json={"comment": ""})
        seen = []
        for minutes in (15, 5, 10, 60):
            time.pass_(minutes=minutes, seconds=-1)
            await tick(app)
            before = (await shown(app, one.id)).escalation
            time.pass_(seconds=1)
            await tick(app)
            after = (await shown(app, one.id)).escalation
            assert before is not None
            assert after is not None
            seen.append((before.to, after.to, after.next_to, after.next_at and (after.next_at - start)))
        assert seen == [
            ("On-call engineer", "Team lead", "Director level", timedelta(minutes=20)),
            ("Team lead", "Director level", "C-level", timedelta(minutes=30)),
            ("Director level", "C-level", None, None),
            ("C-level", "C-level", None, None),
        ]
        lines = [line.event for line in await told(app, one.id)]
        assert [line.kind for line in lines] == ["raised", "escalated", "escalated", "escalated"]
        assert lines[1].at == start + timedelta(minutes=15)
        assert lines[1].facts["to"] == "Team lead"
        assert await kinds(app, taken.id) == ["raised", "acknowledged"]


async def test_steps_that_passed_while_nobody_looked_are_gone_over_at_once(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        [(one, _)] = await raised(app, draft(severity=Severity.CRITICAL))
        time.pass_(minutes=25)
        await tick(app)
        found = (await shown(app, one.id)).escalation
        assert found is not None
        assert (found.level, found.to, found.next_at) == (2, "Director level", one.raised_at + timedelta(minutes=30))
        assert await kinds(app, one.id) == ["raised", "escalated"]


async def test_nobodys_time_runs_while_an_alert_is_muted(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        [(one, _)] = await raised(app, draft(severity=Severity.CRITICAL))
        await silence(await app.as_(OPERATOR), minutes=60)
        time.pass_(minutes=50)
        await tick(app)
        async with app.runtime.database.read() as session:
            assert await alerts.overdue(session, time.at, 10) == []
        time.pass_(minutes=10)
        await tick(app)
        found = (await shown(app, one.id)).escalation
        assert found is not None
        assert (found.level, found.next_at) == (0, time.at + timedelta(minutes=15))


async def test_a_person_passes_it_on_early_until_there_is_nobody_above(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        [(one, _)] = await raised(app, draft(severity=Severity.HIGH))
        client = await app.as_(OPERATOR)
        time.pass_(minutes=1)
        [first] = (await act(client, [one.id], "escalate", comment="the venue is theirs")).done
        assert first.escalation is not None
        assert (first.escalation.to, first.escalation.next_at) == ("Team lead", time.at + timedelta(minutes=30))
        await act(client, [one.id], "acknowledge")
        [second] = (await act(client, [one.id], "escalate")).done
        assert second.escalation is not None
        assert (second.escalation.to, second.escalation.next_at) == ("Director level", None)
        answer = await act(client, [one.id], "escalate")
        assert [refusal.code for refusal in answer.refused] == ["conflict"]
        await clear(app, one.id)
        assert (await act(client, [one.id], "escalate")).refused


async def test_two_ticks_at_once_pass_it_on_once(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        ids = [one.id for one, _ in await raised(app, *(draft(str(number)) for number in range(20)))]
        time.pass_(minutes=60)
        await asyncio.gather(*(tick(app) for _ in range(3)))
        for ident in ids:
            assert await kinds(app, ident) == ["raised", "escalated"]


async def test_the_history_read_on_from_a_number_misses_nothing(app: App) -> None:
    """Many writers at once: whoever follows sees every line once, in ascending order, however it reads in between."""
    seen: list[int] = []

    async def follow(*, until: asyncio.Event) -> None:
        cursor = 0
        while True:
            last = until.is_set()
            async with app.runtime.database.read() as session:
                lines = await alerts.events_after(session, cursor, 7)
            seen.extend(line.number for line in lines)
            cursor = lines[-1].number if lines else cursor
            if last and not lines:
                return
            await asyncio.sleep(0)

    done = asyncio.Event()
    following = asyncio.create_task(follow(until=done))
    await asyncio.gather(*(raised(app, *(draft(f"{who}-{n}") for n in range(4))) for who in range(10)))
    done.set()
    await following
    async with app.runtime.database.read() as session:
        every = await alerts.events_after(session, 0)
        assert await alerts.newest_event(session) == every[-1].number
    assert seen == [line.number for line in every]
    assert len(seen) == 40


async def test_alerts_are_found_by_what_is_known_of_them(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        [(first, _)] = await raised(app, draft("1", rule="LOW_SUCCESS_RATE", message="50%_ of trades failed"))
        time.pass_(minutes=10)
        [(second, _)] = await raised(app, draft("2", scope=Scope.parse("chain:base"), severity=Severity.CRITICAL))
        await app.as_(ADMIN)
        await act(await app.as_(OPERATOR), [second.id], "assign", to=ADMIN.name)
        async with app.runtime.database.transaction() as session:
            linked = await alerts.link_incident(session, app.runtime, RULE, second.id, "INC-2026-001")
        assert linked.incident == "INC-2026-001"

        async def found(**params: Any) -> set[str]:
            return {{first.id: "first", second.id: "second"}[one.id] for one in await listed(app, **params)}

        assert await found(q="50%_") == {"first"}
        assert await found(q="%") == {"first"}
        assert await found(q="CHAIN:base") == {"second"}
        assert await found(category="performance") == {"first"}
        assert await found(category=["performance", "critical"]) == {"first", "second"}
        assert await found(label=["alertname=LOW_SUCCESS_RATE", "team="]) == {"first"}
        assert await found(assigned=ADMIN.name) == {"second"}
        assert await found(assigned="-") == {"first"}
        assert await found(incident="INC-2026-001") == {"second"}
        assert await found(source="watchfloor") == {"first", "second"}
        assert await found(since=second.raised_at.isoformat()) == {"second"}
        assert await found(until=second.raised_at.isoformat()) == {"first"}
        await silence(await app.as_(OPERATOR), matchers=[{"name": "scope", "value": "chain:base"}])
        assert await found(muted=True) == {"second"}
        assert await found(muted=False) == {"first"}
        client = await app.as_(OPERATOR)
        for params in ({"label": "x"}, {"q": "a\x00"}, {"since": "yesterday"}):
            assert (await client.get("/v1/alerts", params=params)).status_code == 422


async def test_an_alert_belongs_to_one_incident(app: App) -> None:
    [(one, _)] = await raised(app, draft())

    async def link(incident: str | None) -> Alert:
        async with app.runtime.database.transaction() as session:
            return await alerts.link_incident(session, app.runtime, RULE, one.id, incident)

    await link("INC-2026-001")
    await link("INC-2026-001")
    with pytest.raises(Exception, match="INC-2026-001"):
        await link("INC-2026-002")
    await link(None)
    assert [line.event.facts for line in await told(app, one.id)][1:] == [
        {"incident": "INC-2026-001"}, {"incident": "INC-2026-001", "removed": "yes"}
    ]  # fmt: skip


def test_a_tick_is_due_before_any_console_would_notice() -> None:
    assert clocks.MONITOR.interval_s <= 5


async def test_an_act_sent_again_under_its_key_is_done_once(app: App) -> None:
    found = await raised(app, draft("a"), draft("b"))
    ids = [one.id for one, _ in found]
    client = await app.as_(OPERATOR)
    for what, words in (("escalate", "cannot reach them"), ("note", "the venue is down")):
        key = f"key of {what}"
        first, second = await asyncio.gather(
            *(act(client, ids, what, comment=words, idempotency_key=key) for _ in range(2))
        )
        assert first.done == second.done, "both are told that it is done"
        assert [*first.refused, *second.refused] == []
    lines = [(line.event.kind, line.event.facts.keys()) for line in await told(app, ids[0])]
    assert [kind for kind, _ in lines] == ["raised", "escalated", "noted"]
    assert all("key" not in facts for _, facts in lines), "nobody is shown the key"
    other = await act(client, ids, "note", comment="something else", idempotency_key="key of note")
    assert [one.code for one in other.refused] == ["conflict", "conflict"]
    assert len((await act(await app.as_(ADMIN), ids, "note", comment="mine", idempotency_key="key of note")).done) == 2


async def test_an_acknowledgement_sent_again_is_harmless_and_answers_the_same(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    client = await app.as_(OPERATOR)
    path, body = f"/v1/alerts/{one.id}/acknowledge", {"comment": " on it ", "idempotency_key": "k"}
    made = await silence(client, matchers=[{"name": "alertname", "value": one.rule}])
    first = await client.post(path, json=body)
    again = await client.post(path, json=body)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert (await client.post(f"/v1/silences/{made.id}/end")).is_success
    for late in (await client.post(path, json=body), await client.post(path, json=body | {"comment": "on it"})):
        assert (late.status_code, late.json()["status"]) == (200, "open"), (
            "it was raised again since: nobody has seen it"
        )
    bulk = await act(client, [one.id], "acknowledge", comment="on it", idempotency_key="k")
    assert [each.status for each in bulk.done] == ["open"]
    other = await client.post(path, json=body | {"comment": "else"})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    fresh = await client.post(path, json=body | {"idempotency_key": "another"})
    assert fresh.json()["status"] == "acknowledged"
    assert (await kinds(app, one.id)).count("acknowledged") == 2
    for wrong in ("x" * 65, "a\x00"):
        assert (await client.post(path, json=body | {"idempotency_key": wrong})).status_code == 422


async def test_the_same_key_gives_an_alert_to_nobody_else(app: App) -> None:
    [(one, _)] = await raised(app, draft())
    client = await app.as_(OPERATOR)
    await app.as_(ADMIN)
    for _ in range(2):
        answer = await act(client, [one.id], "assign", to=ADMIN.name, idempotency_key="k")
        assert [each.assigned_to for each in answer.done] == [ADMIN.name]
    for to in ({"to": OPERATOR.name}, {}):
        other = await act(client, [one.id], "assign", idempotency_key="k", **to)
        assert [refused.code for refused in other.refused] == ["conflict"]
    assert (await shown(app, one.id)).assigned_to == ADMIN.name
