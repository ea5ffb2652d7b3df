"""The scribe: alerts, freezes with their proofs and entries of the ledger on the timelines of open incidents, once."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from backend.alerts import service as alerts
from backend.alerts.tables import AlertRow
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.freeze.tables import FreezeRow, HaltAck
from backend.incidents import scribe
from backend.incidents import service as incidents
from backend.incidents.tables import ScribeCursor
from backend.incidents.timeline import WITHHELD
from contract.alerts import Alert
from contract.incidents import DeclareRequest, MilestoneName, TimelineEntry
from contract.scope import Scope
from contract.states import Severity
from tests.backend.test_alerts import acknowledge, clear, draft, raised
from tests.support.app import SYSTEM, App
from tests.support.holds import freeze, renew
from tests.support.incidents import act, declared, noted, scribble, shown, timeline
from tests.support.people import ADMIN, OFFICER, OPERATOR


async def one(app: App, mark: str = "m", **changes: Any) -> Alert:
    [(alert, _)] = await raised(app, draft(mark, **changes))
    return alert


async def told(client: httpx.AsyncClient, ident: str) -> list[TimelineEntry]:
    return [line for line in await timeline(client, ident) if line.auto]


async def texts(client: httpx.AsyncClient, ident: str) -> list[str]:
    return [line.text for line in await told(client, ident)]


async def test_an_alert_brings_its_history_and_its_milestones(app: App) -> None:
    client = await app.as_(OPERATOR)
    alert = await one(app)
    await acknowledge(client, alert.id, "on it")
    made = await declared(client, alerts=[alert.id])
    assert [line.kind for line in await told(client, made.id)] == ["alert", "acknowledged"]
    assert made.at(MilestoneName.DETECTED) == alert.raised_at
    acknowledged = made.at(MilestoneName.ACKNOWLEDGED)
    assert acknowledged is not None
    assert alert.raised_at < acknowledged < made.declared_at
    assert (made.scopes, [link.id for link in made.links]) == ([alert.scope], [alert.id])
    assert (await alerts_of(app, alert)).incident == made.id
    before = await told(client, made.id)
    await scribble(app)
    assert await told(client, made.id) == before, "each thing is written once"


async def alerts_of(app: App, alert: Alert) -> Alert:
    async with app.runtime.database.read() as session:
        return await alerts.get_alert(session, alert.id)


async def test_an_alert_is_part_of_one_incident_however_many_declare_it_at_once(app: App) -> None:
    client, other = await app.as_(OPERATOR), await app.as_(ADMIN)
    alert = await one(app)
    body = {"title": "t", "severity": "high", "alerts": [alert.id]}
    answers = await asyncio.gather(*(who.post("/v1/incidents", json=body) for who in (client, other)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert (await declared(client)).id.endswith("-002"), "the refused one took no number"


async def test_what_happens_to_its_alerts_later_is_written_by_itself(app: App) -> None:
    client = await app.as_(OPERATOR)
    await scribble(app)
    alert = await one(app)
    made = await declared(client)
    await act(client, made.id, "links", kind="alert", id=alert.id)
    await acknowledge(client, alert.id, "looking")
    await clear(app, alert.id)
    await scribble(app)
    assert [line.split(": ")[0] for line in await texts(client, made.id)] == [
        "DAILY_LOSS_LIMIT (strategy:arbitrage) was raised",
        "olga acknowledged DAILY_LOSS_LIMIT (strategy:arbitrage)",
        "DAILY_LOSS_LIMIT (strategy:arbitrage) cleared",
    ]


async def test_what_touches_its_scope_is_told_while_it_is_open_and_moves_no_milestone(app: App) -> None:
    client = await app.as_(OPERATOR)
    await one(app, "before")
    made = await declared(client, scopes=[{"kind": "strategy", "name": "arbitrage"}])
    await scribble(app)
    await one(app, "same")
    await one(app, "elsewhere", scope=Scope.parse("chain:base"), rule="GAS_SPEND_LIMIT")
    await scribble(app)
    assert len(await texts(client, made.id)) == 1
    assert (await shown(client, made.id)).milestones == made.milestones
    await act(client, made.id, "resolve", note="over")
    await one(app, "after")
    await scribble(app)
    assert len(await texts(client, made.id)) == 1


async def test_a_drill_is_told_of_nothing_in_earnest(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client, drill=True)
    await scribble(app)
    await one(app)
    await scribble(app)
    assert await texts(client, made.id) == []


async def test_a_storm_of_alerts_does_not_bury_what_people_wrote(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "MAX_BY_SCOPE", 5)
    client = await app.as_(OPERATOR)
    made = await declared(client)
    await scribble(app)
    await raised(app, *(draft(f"m{n}") for n in range(12)))
    await scribble(app)
    await one(app, "one more")
    await scribble(app)
    assert len(await texts(client, made.id)) == 5


async def test_more_than_fits_into_a_tick_is_read_on(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "_EVENTS_AT_ONCE", 4)
    client = await app.as_(OPERATOR)
    made = await declared(client)
    await scribble(app)
    await raised(app, *(draft(f"m{n}") for n in range(10)))
    soon = [await scribble(app) for _ in range(4)]
    assert soon[0] is not None
    assert soon[-1] is None
    assert len(await texts(client, made.id)) == 10


async def acknowledged_halt(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        row = await session.scalar(select(FreezeRow))
        assert row is not None
        at = row.created_at + timedelta(milliseconds=180)
        session.add(
            HaltAck(freeze_id=row.id, executor="bot-1", acked_at=at, last_order_seq=4, in_flight=0, open_orders=0)
        )


async def test_a_freeze_is_told_with_its_proof_and_its_end(app: App) -> None:
    client = await app.as_(ADMIN)
    await renew(app.runtime)
    made = await declared(client, scopes=[{"kind": "executor", "name": "bot-1"}])
    hold = await freeze(client, "executor:bot-1", reason="wallet drains")
    await scribble(app)
    assert [line.text for line in await told(client, made.id)] == [
        f"{hold.ref} froze executor:bot-1 (halt): wallet drains"
    ]
    await act(client, made.id, "links", kind="freeze", id=hold.ref)
    await acknowledged_halt(app)
    await scribble(app)
    await scribble(app)
    lines = await told(client, made.id)
    assert [line.kind for line in lines] == ["freeze", "halt_proven"]
    now = await shown(client, made.id)
    assert now.at(MilestoneName.CONTAINED) == lines[-1].occurred_at == hold.created_at + timedelta(milliseconds=180)
    async with app.runtime.database.transaction() as session:
        done = {"status": "thawed", "thawed_at": func.clock_timestamp(), "thawed_by": "oscar"}
        await session.execute(update(FreezeRow).values(**done))
    await scribble(app)
    assert [line.kind for line in await told(client, made.id)][-1] == "thaw"


async def sequenced(app: App, event_type: str, number: int) -> None:
    """Wait until the ledger has so many entries of a type."""
    for _ in range(400):
        async with app.runtime.database.read() as session:
            if await audit.count_since(session, event_type, app.runtime.clock.now() - timedelta(hours=1)) >= number:
                return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{event_type} never came")


async def recorded(app: App, event_type: str) -> None:
    async with app.runtime.database.transaction() as session:
        change = AuditDraft(event_type, "ask for permissions", resource_type="elevation", resource_id="e1")
        await audit.record(session, app.runtime, SYSTEM, change)


async def test_entries_of_the_ledger_that_the_policy_names_are_told_once(app: App) -> None:
    client = await app.as_(OPERATOR)
    await recorded(app, "access.elevation.requested")
    await sequenced(app, "access.elevation.requested", 1)
    await scribble(app)
    made = await declared(client)
    for _ in range(2):
        await recorded(app, "access.elevation.requested")
    await recorded(app, "risk.review.requested")
    await recorded(app, "audit.search.run")
    await sequenced(app, "access.elevation.requested", 3)
    await sequenced(app, "risk.review.requested", 1)
    for _ in range(3):
        await scribble(app)
    assert await texts(await app.as_(OFFICER), made.id) == ["ask for permissions: elevation e1"] * 3


async def test_what_the_audit_log_says_is_for_who_may_see_it(app: App) -> None:
    client, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    made = await declared(client)
    await recorded(app, "access.elevation.requested")
    await sequenced(app, "access.elevation.requested", 1)
    await scribble(app)
    said = "ask for permissions: elevation e1"
    [hidden], [seen] = await told(client, made.id), await told(officer, made.id)
    assert (seen.text, seen.withheld, seen.link is None) == (said, False, False)
    assert (hidden.text, hidden.withheld, hidden.link, hidden.actor) == (WITHHELD, True, None, "system:incident-scribe")
    assert (hidden.id, hidden.kind, hidden.occurred_at) == (seen.id, "audit", seen.occurred_at)
    for form in ("json", "markdown", "html"):
        path = f"/v1/incidents/{made.id}/export?format={form}"
        assert said not in (await client.get(path)).text
        assert said in (await officer.get(path)).text
    opened = await officer.post(f"/v1/incidents/{made.id}/postmortem", json={})
    assert said not in opened.text, "the operator reads it as well"
    assert said not in (await officer.get(f"/v1/incidents/{made.id}/export?format=markdown")).text


async def test_what_happens_while_an_incident_is_being_declared_is_on_its_timeline(app: App) -> None:
    """The scribe reads on, past it, before it sees the incident: its declaration commits late."""
    client = await app.as_(OPERATOR)
    await declared(client, scopes=[{"kind": "chain", "name": "elsewhere"}])
    await scribble(app)
    caller = replace(SYSTEM, subject="olga", kind="user")
    wanted = DeclareRequest(title="slow", severity=Severity.LOW, scopes=[Scope.parse("chain:base")])
    async with app.runtime.database.transaction() as slow:
        made = await incidents.declare(slow, app.runtime, caller, wanted)
        await one(app, scope=Scope.parse("chain:base"))
        await recorded(app, "access.elevation.requested")
        await sequenced(app, "access.elevation.requested", 1)
        await scribble(app)
        await scribble(app)
    for _ in range(3):
        await scribble(app)
    reader = await app.as_(OFFICER)
    assert [line.kind for line in await told(reader, made.id)] == ["alert", "audit"]
    async with app.runtime.database.read() as session:
        left = (await session.scalars(select(ScribeCursor).where(ScribeCursor.source.endswith(" alerts")))).all()
    assert left == [], "what was caught up on is forgotten"


async def test_nothing_is_lost_between_the_last_incident_and_the_next(app: App) -> None:
    caller = replace(SYSTEM, subject="olga", kind="user")
    wanted = DeclareRequest(title="slow", severity=Severity.LOW)
    async with app.runtime.database.transaction() as slow:
        made = await incidents.declare(slow, app.runtime, caller, wanted)
        await one(app)
        await scribble(app)  # nothing is open for it: it skips
    await scribble(app)
    assert [line.kind for line in await told(await app.as_(OPERATOR), made.id)] == ["alert"]


async def test_people_and_the_scribe_at_once_leave_no_gap(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    await scribble(app)

    async def storm() -> None:
        for n in range(6):
            await one(app, f"m{n}")
            await scribble(app)

    await asyncio.gather(storm(), storm_of_notes(client, made.id), storm_of_notes(client, made.id))
    lines = await timeline(client, made.id)
    assert sorted(line.number for line in lines) == list(range(1, len(lines) + 1))
    assert len([line for line in lines if line.kind == "alert"]) == 6
    assert len([line for line in lines if line.kind == "note"]) == 20


async def storm_of_notes(client: httpx.AsyncClient, ident: str) -> None:
    for n in range(10):
        await noted(client, ident, f"note {n}")


async def test_an_alert_from_before_alerts_had_histories_is_told_as_raised(app: App) -> None:
    client = await app.as_(OPERATOR)
    alert = await one(app)
    async with app.runtime.database.transaction() as session:
        row = await session.get_one(AlertRow, alert.id)
        old = {column.key: getattr(row, column.key) for column in AlertRow.__table__.columns}
        session.add(AlertRow(**(old | {"id": app.runtime.clock.new_id(), "fingerprint": "old"})))
        ident = await session.scalar(select(AlertRow.id).where(AlertRow.fingerprint == "old"))
    made = await declared(client, alerts=[str(ident)])
    assert [line.kind for line in await told(client, made.id)] == ["alert"]
