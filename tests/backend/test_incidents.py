"""Incidents through the routes: declared once, numbered without gaps, changed by several people, closed by rules."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend.incidents import service
from contract.base import Page
from contract.incidents import Incident, MilestoneName
from contract.states import IncidentStatus
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.incident_histories import histories
from tests.support.incidents import act, declared, noted, shown, timeline
from tests.support.people import ADMIN, AUDITOR, EXECUTOR, OFFICER, OPERATOR

HISTORIES = 6
"""`make histories-incidents` runs a thousand."""


async def test_a_declared_incident_has_all_that_a_commander_needs(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(
        client, type="availability", severity="critical", commander="adam", scopes=[{"kind": "global"}]
    )
    assert (made.id[:4], made.id[-4:], made.status, made.severity.value) == (
        "INC-",
        "-001",
        IncidentStatus.OPEN,
        "critical",
    )
    assert (made.commander, made.declared_by, made.step, made.postmortem_required) == (
        "adam",
        "olga",
        "Detection",
        True,
    )
    assert [step.name for step in made.steps] == [
        "Detection", "Triage", "Containment", "Resolution", "Recovery", "Post-Mortem",
    ]  # fmt: skip
    assert made.steps[0].actions[0].text == "Automated monitoring alerts"
    assert made.at(MilestoneName.DETECTED) == made.at(MilestoneName.ACKNOWLEDGED) == made.declared_at
    assert made.at(MilestoneName.STARTED) is None, "nobody has said when it started"
    [response] = made.clocks
    assert (response.name, response.due_at) == ("response", made.declared_at + timedelta(minutes=15))
    assert [line.kind for line in await timeline(client, made.id)] == ["milestone", "step", "role"]
    assert await shown(client, made.id.lower()) == made


async def test_ids_have_no_gaps_and_no_doubles_however_many_declare_at_once(app: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        clients = [await app.as_(OPERATOR), await other.as_(ADMIN), await other.as_(OFFICER)]
        bodies = [
            {"title": f"t{n}", "severity": "low", "type": "other" if n % 4 else "no such type"} for n in range(24)
        ]
        answers = await asyncio.gather(
            *(clients[n % 3].post("/v1/incidents", json=body) for n, body in enumerate(bodies))
        )
    wrong = [answer.json()["code"] for answer in answers if answer.status_code != 201]
    assert set(wrong) <= {"invalid_request", "busy", "unavailable"}, "a busy machine lets some wait too long"
    taken = sorted(int(answer.json()["id"][-3:]) for answer in answers if answer.status_code == 201)
    assert taken == list(range(1, len(taken) + 1))
    assert taken, "the first waits for nobody"


async def test_declaring_again_under_the_same_key_is_the_same_incident(app: App) -> None:
    client = await app.as_(OPERATOR)
    twice = await asyncio.gather(*(declared(client, idempotency_key="k") for _ in range(4)))
    assert len({one.id for one in twice}) == 1
    assert (await declared(client)).id.endswith("-002"), "the repetitions took no number"


async def test_a_new_year_begins_with_one(database_url: str) -> None:
    clock = SetClock()
    async with started_app(database_url, clock=clock.clock) as app:
        client = await app.as_(OFFICER)
        assert (await declared(client)).id == "INC-2026-001"
        clock.pass_(days=300)
        client = await app.as_(OFFICER)
        assert [(await declared(client)).id for _ in range(2)] == ["INC-2027-001", "INC-2027-002"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"type": "weather"}, "type of incident"),
        ({"title": "  "}, "blank"),
        ({"started_at": "2999-01-01T00:00:00Z"}, "not come yet"),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, "instant"),
        ({"alerts": ["nonsense"]}, "no alert"),
        ({"freezes": ["FRZ-9999"]}, "FRZ-9999"),
    ],
)
async def test_what_cannot_be_declared_takes_no_number(app: App, body: dict[str, object], says: str) -> None:
    client = await app.as_(OPERATOR)
    answer = await client.post("/v1/incidents", json={"title": "t", "severity": "low"} | body)
    assert answer.status_code in {404, 422}
    assert says in answer.json()["message"]
    assert (await declared(client)).id.endswith("-001")


async def test_a_fact_that_somebody_else_has_changed_meanwhile_is_refused_and_other_facts_are_not(app: App) -> None:
    adam, olga = await app.as_(ADMIN), await app.as_(OPERATOR)
    made = await declared(olga)
    path = f"/v1/incidents/{made.id}"
    seen = {"version": made.version}
    assert (await adam.patch(path, json={"title": "Venue is down", **seen})).status_code == 200
    other = await olga.patch(path, json={"severity": "critical", "loss_usd": "12.50", **seen})
    assert other.status_code == 200, "another fact, from the same old screen"
    refused = await olga.patch(path, json={"title": "Slow", **seen})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "title" in refused.json()["message"]
    now = await shown(adam, made.id)
    assert (now.title, now.severity.value, now.impact.loss_usd) == ("Venue is down", "critical", Decimal("12.5"))
    assert (await olga.patch(path, json={"title": "Venue is down", **seen})).status_code == 200, "it says so already"
    assert (await olga.patch(path, json={"title": "Slow", "version": now.version})).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"loss_usd": "-1"}, {"loss_eth": "1" + "0" * 30}, {"users": 10**15}, {"type": "weather"}, {"services": [" "]}],
)
async def test_an_impact_that_cannot_be_is_refused(app: App, change: dict[str, object]) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    assert (await client.patch(f"/v1/incidents/{made.id}", json=change)).status_code == 422


async def test_notes_are_never_lost_and_the_same_key_writes_one_line(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    hostile = "[red]not red[/] \x1b[2J\r\u202e ; <script>"
    lines = await asyncio.gather(*(noted(client, made.id, hostile, idempotency_key=f"k{n % 5}") for n in range(10)))
    assert len({line.id for line in lines}) == 5
    told = await timeline(client, made.id)
    assert [line.text for line in told if line.kind == "note"] == [hostile] * 5
    assert [line.number for line in sorted(told, key=lambda line: line.number)] == list(range(1, len(told) + 1))


async def test_a_timeline_has_one_order_whichever_way_it_is_read(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    same = "2026-01-02T03:04:05Z"
    for n in range(7):
        await noted(client, made.id, f"n{n}", occurred_at=same if n % 2 else "2026-01-02T03:04:06Z")
    forward, backward = [await timeline(client, made.id, order, limit=3) for order in ("asc", "desc")]
    assert forward == backward[::-1]
    assert [line.text for line in forward[:7]] == ["n1", "n3", "n5", "n0", "n2", "n4", "n6"]


async def test_a_correction_leaves_what_it_corrects(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    line = await noted(client, made.id, "bot-1 stopped", occurred_at="2026-01-02T03:04:05Z")
    answer = await client.post(f"/v1/incidents/{made.id}/timeline/{line.id}/correct", json={"text": "bot-2 stopped"})
    assert answer.status_code == 201
    old, new = (await timeline(client, made.id))[:2]
    assert (old.text, old.corrected_by, new.corrects) == ("bot-1 stopped", new.id, old.id)
    assert new.occurred_at == old.occurred_at
    other = await declared(client)
    elsewhere = f"/v1/incidents/{other.id}/timeline/{line.id}/correct"
    assert (await client.post(elsewhere, json={"text": "x"})).status_code == 404


async def test_the_database_changes_no_line_and_no_evidence(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    await client.post(f"/v1/incidents/{made.id}/evidence?name=a.log", content=b"x")
    for statement in (
        "UPDATE incident_entries SET text = 'other'",
        "DELETE FROM incident_entries",
        "TRUNCATE incident_entries CASCADE",
        "UPDATE incident_evidence SET content = 'other'",
        "UPDATE incident_milestones SET occurred_at = now()",
        "DELETE FROM incident_snapshots",
    ):
        with pytest.raises(DBAPIError, match="append-only") as refused:
            async with app.runtime.database.transaction() as session:
                await session.execute(text(statement))
        assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)


async def test_an_erased_person_is_named_nowhere_in_the_record(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    await noted(client, made.id, "hello")
    await client.post(f"/v1/incidents/{made.id}/follow-ups", json={"text": "do it", "owner": "olga"})
    async with app.runtime.database.transaction() as session:
        await service.forget_person(session, "olga", stand_in="person:p1")
    reader = await app.as_(AUDITOR)
    now = await shown(reader, made.id)
    assert (now.declared_by, now.commander) == ("person:p1", "person:p1")
    assert {line.actor for line in await timeline(reader, made.id)} == {"person:p1"}
    assert "olga" not in (await reader.get("/v1/follow-ups")).text


async def test_roles_are_taken_handed_over_and_renounced(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    await act(client, made.id, "roles", role="Scribe", person="anna")
    handed = await act(client, made.id, "roles", role="commander", person="adam", note="venue is asked, no answer yet")
    assert {one.role: one.person for one in handed.roles} == {"commander": "adam", "scribe": "anna"}
    gone = await act(client, made.id, "roles", role="scribe", person=None)
    assert [one.role for one in gone.roles] == ["commander"]
    said = [line.text for line in await timeline(client, made.id) if line.kind == "role"]
    assert said[-2:] == [
        "adam took over as commander from olga: venue is asked, no answer yet", "anna is no longer scribe",
    ]  # fmt: skip
    assert (
        await client.post(f"/v1/incidents/{made.id}/roles", json={"role": "cook", "person": "x"})
    ).status_code == 422


async def test_the_procedure_is_a_checklist_whose_steps_reach_milestones(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    ticked = await act(client, made.id, "steps/action", step="Detection", number=2, note="by phone")
    action = ticked.steps[0].actions[1]
    assert (action.done_by, action.note) == ("olga", "by phone")
    assert (await act(client, made.id, "steps/action", step="Detection", number=2, done=False)).steps[0].actions[
        1
    ].done_at is None
    for step, reached in (
        ("Triage", "investigating"),
        ("Containment", None),
        ("Resolution", "contained"),
        ("Recovery", "mitigated"),
    ):
        now = await act(client, made.id, "steps/advance", step=step)
        assert now.step == step
        assert reached is None or MilestoneName(reached) in {one.name for one in now.milestones}
    again = await act(client, made.id, "steps/advance", step="Recovery")
    assert again == now, "two commanders who press the same key go on once"
    path = f"/v1/incidents/{made.id}/steps/advance"
    unsaid = await client.post(path, json={"step": "Triage", "note": " "})
    assert (unsaid.status_code, unsaid.json()["message"]) == (422, "Say why it goes back to Triage.")
    assert (await act(client, made.id, "steps/advance", step="Triage", note="another wallet")).step == "Triage"
    assert (await client.post(f"/v1/incidents/{made.id}/steps/advance", json={"step": "Party"})).status_code == 404
    assert (await act(client, made.id, "steps/advance")).step == "Containment"
    said = [one.text for one in await timeline(client, made.id)]
    assert "Detection (step 1 of 6) has begun" in said
    assert "The incident counts as investigating: Triage has begun" in said
    assert "The incident counts as contained: Containment is done" in said
    assert "Back to Triage (step 2 of 6): another wallet" in said


async def test_a_milestone_is_put_right_and_contradictions_are_refused(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client)
    path = f"/v1/incidents/{made.id}/milestones"
    wrong = {"name": "started", "occurred_at": "2999-01-01T00:00:00Z", "why": "guess"}
    assert (await client.post(path, json=wrong)).status_code == 422
    now = await act(
        client, made.id, "milestones", name="started", occurred_at="2026-01-02T03:04:05Z", why="venue's page"
    )
    [started] = [one for one in now.milestones if one.name is MilestoneName.STARTED]
    assert (started.recorded_by, started.auto) == ("olga", False)
    early = {"name": "mitigated", "occurred_at": "2026-01-02T03:04:04Z", "why": "typo"}
    assert "before it started" in (await client.post(path, json=early)).json()["message"]


async def test_whoever_lowers_the_severity_does_not_get_rid_of_the_report(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client, severity="critical")
    path = f"/v1/incidents/{made.id}"
    assert (await client.patch(path, json={"severity": "low"})).status_code == 200
    await act(client, made.id, "resolve", note="venue is back")
    assert (await client.post(f"{path}/close", json={})).status_code in {403, 409}
    assert (await shown(client, made.id)).postmortem_required


async def test_an_incident_is_over_opened_again_and_closed_by_the_rules(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client, severity="low")
    path = f"/v1/incidents/{made.id}"
    assert (await client.post(f"{path}/close", json={})).status_code == 409
    over = await act(client, made.id, "resolve", note="venue is back")
    assert over.at(MilestoneName.RESOLVED) is not None
    assert (await client.post(f"{path}/resolve", json={"note": "again"})).status_code == 409
    assert (await act(client, made.id, "reopen", why="it came back")).at(MilestoneName.RESOLVED) is None
    await act(client, made.id, "resolve", note="for good")
    closed = await act(client, made.id, "close")
    assert (closed.status, closed.postmortem_required) == (IncidentStatus.CLOSED, False)
    for what, body in (
        ("timeline", {"text": "late"}),
        ("reopen", {"why": "x"}),
        ("roles", {"role": "scribe", "person": "x"}),
    ):
        assert (await client.post(f"{path}/{what}", json=body)).status_code == 409
    assert (await client.post(f"{path}/follow-ups", json={"text": "still to do"})).status_code == 201


async def test_a_grave_one_cannot_be_closed_without_an_approved_post_mortem(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await declared(client, severity="high")
    await act(client, made.id, "resolve", note="over")
    refused = await client.post(f"/v1/incidents/{made.id}/close", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "refused_by_policy")
    drill = await declared(client, severity="critical", drill=True)
    await act(client, drill.id, "resolve", note="over")
    assert (await act(client, drill.id, "close")).status is IncidentStatus.CLOSED


async def test_the_list_is_narrowed_and_paged(app: App) -> None:
    client = await app.as_(OPERATOR)
    for title, severity in (("Bot 100% stuck", "low"), ("Venue down", "high"), ("venue_slow", "high")):
        await declared(client, title=title, severity=severity)

    async def found(**query: Any) -> list[str]:
        answer = await client.get("/v1/incidents", params=query)
        assert answer.status_code == 200, answer.text
        return [one.title for one in Page[Incident].model_validate(answer.json()).items]

    assert await found() == ["venue_slow", "Venue down", "Bot 100% stuck"]
    assert await found(q="VENUE down") == ["Venue down"]
    assert await found(q="100%") == ["Bot 100% stuck"]
    assert await found(q="_") == ["venue_slow"]
    assert await found(severity="high", status="open", drill="false") == ["venue_slow", "Venue down"]
    page = Page[Incident].model_validate((await client.get("/v1/incidents?limit=2")).json())
    assert (len(page.items), page.total) == (2, 3)
    assert await found(cursor=page.next_cursor) == ["Bot 100% stuck"]
    assert (await client.get("/v1/incidents?cursor=bm9uc2Vuc2U=")).status_code == 422


async def test_who_may_what(app: App) -> None:
    made = await declared(await app.as_(OFFICER))
    auditor, machine = await app.as_(AUDITOR), await app.as_(EXECUTOR)
    assert (await auditor.get(f"/v1/incidents/{made.id}")).status_code == 200
    assert (await auditor.post(f"/v1/incidents/{made.id}/timeline", json={"text": "x"})).status_code == 403
    assert (await machine.get("/v1/incidents")).status_code == 403


async def test_twenty_people_at_one_record_lose_nothing(database_url: str) -> None:
    assert await histories(database_url, HISTORIES, seed=1) == []


@pytest.mark.parametrize("text", ["a\x00b", "\\ud800"])
async def test_text_that_no_database_takes_is_refused_everywhere(app: App, text: str) -> None:
    client = await app.as_(OFFICER)
    made = await declared(client, severity="low")
    path, said = f"/v1/incidents/{made.id}", text.replace("\x00", "\\u0000")
    for method, what, body in (
        ("POST", "/timeline", '{"text": "%s"}'),
        ("PATCH", "", '{"description": "%s"}'),
        ("PATCH", "", '{"services": ["%s"]}'),
        ("POST", "/roles", '{"role": "scribe", "person": "%s"}'),
        ("POST", "/steps/advance", '{"note": "%s"}'),
        ("POST", "/links", '{"kind": "freeze", "id": "%s"}'),
        ("POST", "/evidence/query", '{"kind": "risk", "description": "%s"}'),
        ("POST", "/evidence/query", '{"kind": "audit", "query": "%s"}'),
        ("POST", "/follow-ups", '{"text": "%s"}'),
        ("POST", "/close", '{"note": "%s"}'),
    ):
        headers = {"content-type": "application/json"}
        answer = await client.request(method, f"{path}{what}", content=body % said, headers=headers)
        assert answer.status_code in {404, 422}, (what, answer.text)


async def test_an_amount_keeps_every_digit(app: App) -> None:
    client = await app.as_(OFFICER)
    made = await declared(client)
    loss = "12345678901234567890.123456789012345678"
    answer = await client.patch(f"/v1/incidents/{made.id}", json={"loss_eth": loss})
    assert answer.json()["impact"]["loss_eth"] == loss
    assert loss in [line.text for line in await timeline(client, made.id)][-1]
