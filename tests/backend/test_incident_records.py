"""What is kept with incidents: evidence, follow-up actions, the snapshot, clocks, and what the ledger is told."""

import asyncio
import hashlib
from datetime import date, timedelta

from sqlalchemy import select

from backend.audit.tables import AuditLog
from backend.stream.tables import StreamEvent
from contract.base import Page
from contract.incident_records import IncidentSnapshot
from contract.incidents import Evidence, FollowUp
from contract.overview import Overview
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.incidents import act, declared, noted, shown, timeline
from tests.support.people import AUDITOR, OFFICER, OPERATOR

REPORTING = """
extends = "mev"
[watchfloor.incidents.reports]
enabled = true
"""


async def test_evidence_comes_back_as_it_was_and_its_hash_is_in_the_ledger(app: App) -> None:
    client, auditor = await app.as_(OPERATOR), await app.as_(AUDITOR)
    made = await declared(client)
    content = bytes(range(256)) * 40
    path = f"/v1/incidents/{made.id}/evidence"
    query = {"name": "../../etc/passwd\u202e.html", "media_type": "text/html", "description": "the page"}
    answer = await client.post(path, params=query, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 201, answer.text
    kept = Evidence.model_validate(answer.json())
    assert kept.sha256 == hashlib.sha256(content).hexdigest()
    back = await client.get(f"{path}/{kept.id}/content")
    assert (back.content, back.headers["content-type"]) == (content, "application/octet-stream")
    assert back.headers["content-disposition"].startswith("attachment;")
    assert "/" not in back.headers["content-disposition"]
    assert (await auditor.get(path)).json()["items"][0]["sha256"] == kept.sha256
    assert (await auditor.get(f"{path}/{kept.id}/content")).status_code == 403, "an auditor takes nothing out"
    for wrong, status in (({"name": "a", "media_type": "x y"}, 422), ({"name": " "}, 422)):
        assert (await client.post(path, params=wrong, content=b"x")).status_code == status
    assert (await client.post(path, params={"name": "a"}, content=b"")).status_code == 422
    assert (await client.post(path, params={"name": "a"}, content=b"x" * (10 * 1024 * 1024 + 1))).status_code == 413


async def test_answers_are_kept_by_who_may_ask_and_read_by_such(app: App) -> None:
    olga, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    made = await declared(olga)
    path = f"/v1/incidents/{made.id}/evidence"
    for kind in ("executors", "risk"):
        assert (await olga.post(f"{path}/query", json={"kind": kind})).status_code == 201
    assert (await olga.post(f"{path}/query", json={"kind": "audit", "query": "incident"})).status_code == 403
    kept = await officer.post(f"{path}/query", json={"kind": "audit", "query": "incident"})
    assert kept.status_code == 201, kept.text
    content = f"{path}/{kept.json()['id']}/content"
    assert (await officer.get(content)).status_code == 200
    assert (await olga.get(content)).status_code == 403
    assert (await olga.post(f"{path}/query", json={"kind": "freeze", "query": "FRZ-7"})).status_code == 404


async def test_follow_ups_are_listed_by_how_long_they_are_overdue(database_url: str) -> None:
    clock = SetClock()
    async with started_app(database_url, clock=clock.clock) as app:
        client = await app.as_(OFFICER)
        made = await declared(client)
        path = f"/v1/incidents/{made.id}/follow-ups"
        for due in ("2026-03-20", None, "2026-03-11", "2026-03-09"):
            await client.post(path, json={"text": f"due {due}", "owner": "Adam", "due_on": due})
        clock.pass_(days=3)
        client = await app.as_(OFFICER)
        first = Page[FollowUp].model_validate((await client.get("/v1/follow-ups?limit=3")).json())
        rest = Page[FollowUp].model_validate((await client.get(f"/v1/follow-ups?cursor={first.next_cursor}")).json())
        found = [*first.items, *rest.items]
        assert [(one.number, one.overdue, one.age_days) for one in found] == [
            (4, True, 3), (3, True, 3), (1, False, 3), (2, False, 3),
        ]  # fmt: skip
        done = await client.patch(f"{path}/4", json={"done": True, "note": "done with the venue"})
        assert FollowUp.model_validate(done.json()).done_by == OFFICER.name
        assert len((await client.get("/v1/follow-ups?owner=adam&state=open")).json()["items"]) == 3
        assert (await client.patch(f"{path}/9", json={"done": True})).status_code == 404
        nobodys = FollowUp.model_validate((await client.patch(f"{path}/3", json={"owner": None})).json())
        assert (nobodys.owner, nobodys.due_on, nobodys.version) == (None, date(2026, 3, 11), 2)
        overview = Overview.model_validate((await client.get("/v1/overview")).json())
        assert (overview.follow_ups_open, overview.follow_ups_overdue) == (3, 1)
        assert [(one.id, one.follow_ups_open, one.milestones) for one in overview.incidents] == [(made.id, 3, [])]


async def test_the_floor_is_kept_as_it_was_at_the_declaration(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    kept = IncidentSnapshot.model_validate((await client.get(f"/v1/incidents/{made.id}/snapshot")).json())
    assert (kept.incident, len(kept.measures)) == (made.id, 4)
    assert abs(kept.taken_at - made.declared_at) < timedelta(minutes=1)


async def test_every_act_is_in_the_ledger_under_its_incident_and_on_the_stream(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    await noted(client, made.id, "seen")
    async with app.runtime.database.read() as session:
        events = (await session.scalars(select(StreamEvent).where(StreamEvent.topic == "incident"))).all()
        assert [(one.payload["incident"]["id"], one.payload["entries"]) for one in events] == [
            (made.id, 3),
            (made.id, 4),
        ]
    for _ in range(200):
        async with app.runtime.database.read() as session:
            query = select(AuditLog.event_type).where(AuditLog.resource_id == made.id).order_by(AuditLog.timestamp)
            told = (await session.scalars(query)).all()
        if len(told) == 2:
            break
        await asyncio.sleep(0.05)
    assert told == ["incidents.record.declared", "incidents.timeline.noted"]
    auditor = await app.as_(OFFICER)
    assert len((await auditor.get(f"/v1/audit?incident={made.id}")).json()["items"]) == 2


async def test_clocks_of_an_authority_run_where_the_policy_says_so(database_url: str, tmp_path: object) -> None:
    clock = SetClock()
    path = f"{tmp_path}/policy.toml"
    with open(path, "w", encoding="utf-8") as file:  # noqa: ASYNC230, PTH123  a few bytes before anything runs
        file.write(REPORTING)
    async with started_app(database_url, clock=clock.clock, policy=path) as app:
        client = await app.as_(OFFICER)
        made = await declared(client, severity="high")
        assert [one.name for one in made.clocks] == ["response"]
        refused = await client.post(f"/v1/incidents/{made.id}/reports-sent", json={"report": "initial"})
        assert refused.status_code == 409
        clock.pass_(hours=1)
        client = await app.as_(OFFICER)
        await client.patch(f"/v1/incidents/{made.id}", json={"severity": "critical"})
        due = (await shown(client, made.id)).clocks[1]
        assert (due.name, due.due_at) == ("initial", clock.at + timedelta(hours=4))
        clock.pass_(hours=1)
        client = await app.as_(OFFICER)
        told = {"to": " the central bank ", "reference": "MI-7"}
        sent = await act(client, made.id, "reports-sent", report="initial", **told)
        assert (sent.clocks[1].done_at, sent.clocks[1].to, sent.clocks[1].reference) == (
            clock.at, "the central bank", "MI-7",
        )  # fmt: skip
        [line] = [one for one in await timeline(client, made.id) if "report was sent" in one.text]
        assert (line.text, line.actor) == (
            "The initial report was sent to the central bank, reference MI-7", OFFICER.name,
        )  # fmt: skip
        assert [(one.name, one.due_at) for one in sent.clocks[1:]] == [
            ("initial", due.due_at), ("intermediate", clock.at + timedelta(hours=72)),
        ]  # fmt: skip
