"""Post-mortems through the routes: prefilled, edited by several, approved by another, then never changed again."""

import asyncio
import hashlib
import json

import httpx
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from backend.audit.tables import AuditLog
from backend.incidents.postmortem.merging import OPENING_MARK
from backend.incidents.postmortem.tables import PostmortemEdit, PostmortemRow
from contract.incidents import Incident
from contract.postmortem import EditOutcome, Postmortem, PostmortemState, PostmortemTemplates, SectionAnswer
from tests.support.app import App, started_app
from tests.support.incidents import act, declared, noted, shown, timeline
from tests.support.people import ADMIN, AUDITOR, EXECUTOR, OFFICER, OFFICER2, OPERATOR

WORDS = {"root_cause": "A relay refused us.", "lessons_learned": "Watch relays."}


async def opened(client: httpx.AsyncClient, ident: str, **body: str) -> Postmortem:
    answer = await client.post(f"/v1/incidents/{ident}/postmortem", json=body)
    assert answer.status_code == 200, answer.text
    return Postmortem.model_validate(answer.json())


async def read(client: httpx.AsyncClient, ident: str, version: int | None = None) -> Postmortem:
    params = {} if version is None else {"version": version}
    answer = await client.get(f"/v1/incidents/{ident}/postmortem", params=params)
    assert answer.status_code == 200, answer.text
    return Postmortem.model_validate(answer.json())


async def put(client: httpx.AsyncClient, ident: str, key: str, text: str, base: int) -> SectionAnswer:
    answer = await client.put(
        f"/v1/incidents/{ident}/postmortem/sections/{key}", json={"text": text, "base_version": base}
    )
    assert answer.status_code == 200, answer.text
    return SectionAnswer.model_validate(answer.json())


async def written(client: httpx.AsyncClient, **declaring: object) -> Incident:
    """An incident with a post-mortem in which everything is said."""
    incident = await declared(client, **declaring)
    for section in (await opened(client, incident.id)).sections:
        if section.key in WORDS:
            await put(client, incident.id, section.key, WORDS[section.key], section.version)
    return incident


async def submitted(client: httpx.AsyncClient, ident: str) -> Postmortem:
    answer = await client.post(f"/v1/incidents/{ident}/postmortem/submit")
    assert answer.status_code == 200, answer.text
    return Postmortem.model_validate(answer.json())


async def exported(client: httpx.AsyncClient, ident: str, form: str = "markdown", **params: int) -> bytes:
    answer = await client.get(f"/v1/incidents/{ident}/export", params={"format": form, **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-content-sha256"] == hashlib.sha256(answer.content).hexdigest()
    return answer.content


async def approving(client: httpx.AsyncClient, ident: str, sha256: str | None = None) -> httpx.Response:
    read = sha256 or hashlib.sha256(await exported(client, ident)).hexdigest()
    return await client.post(f"/v1/incidents/{ident}/postmortem/approve", json={"sha256": read})


def section(made: Postmortem, key: str) -> tuple[str, int]:
    found = next(one for one in made.sections if one.key == key)
    return found.text, found.version


async def test_the_templates_are_the_policys_and_can_be_opened(app: App) -> None:
    client = await app.as_(OPERATOR)
    answer = await client.get("/v1/incidents/templates")
    found = PostmortemTemplates.model_validate(answer.json()).items
    assert [one.name for one in found] == ["incident", "sre"]
    made = await opened(client, (await declared(client)).id, template="sre")
    assert [one.title for one in made.sections] == found[1].sections


async def test_from_the_record_to_an_approved_text_that_never_changes(app: App) -> None:
    writer, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    incident = await written(writer, title="Relay refuses bundles", severity="high")
    assert (await shown(writer, incident.id)).postmortem is PostmortemState.DRAFT
    review = await submitted(writer, incident.id)
    assert (review.state, review.submitted_by, review.sha256) == (PostmortemState.REVIEW, "olga", None)
    markdown = await exported(officer, incident.id)
    assert markdown.startswith(f"# {incident.id}: Relay refuses bundles\n\n- **Incident ID:** {incident.id}".encode())
    answer = await approving(officer, incident.id)
    approved = Postmortem.model_validate(answer.json())
    assert (approved.state, approved.approved_by) == (PostmortemState.APPROVED, "oscar")
    assert approved.sha256 == hashlib.sha256(markdown).hexdigest()
    await act(writer, incident.id, "resolve", note="the relay answers again")
    await act(writer, incident.id, "close")
    assert await exported(writer, incident.id) == markdown, "what happened since changes nothing"
    kinds = [line.text for line in await timeline(writer, incident.id) if line.kind == "postmortem"]
    assert kinds == [
        "post-mortem version 1 opened",
        "post-mortem version 1 submitted",
        f"post-mortem version 1 approved, SHA-256 {approved.sha256}",
    ]


async def test_nothing_of_an_approved_version_can_be_changed_by_anybody(app: App) -> None:
    writer, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    incident = await written(writer)
    await submitted(writer, incident.id)
    assert (await approving(officer, incident.id)).status_code == 200
    refused = await writer.put(
        f"/v1/incidents/{incident.id}/postmortem/sections/summary", json={"text": "x", "base_version": 1}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    for what, body in (("submit", None), ("send-back", {"why": "late doubts"})):
        answer = await officer.post(f"/v1/incidents/{incident.id}/postmortem/{what}", json=body)
        assert answer.status_code == 409, answer.text
    statements = [
        "UPDATE postmortems SET markdown = 'x'",
        "UPDATE postmortems SET state = 'draft'",
        "DELETE FROM postmortems",
        "UPDATE postmortem_sections SET title = 'x'",
        "DELETE FROM postmortem_sections",
        "UPDATE postmortem_edits SET text = 'x'",
        "DELETE FROM postmortem_edits",
        "INSERT INTO postmortem_edits SELECT postmortem, key, 99, 'x', NULL, now() FROM postmortem_edits LIMIT 1",
        "TRUNCATE postmortem_edits",
        "SET LOCAL session_replication_role = replica; UPDATE postmortems SET sha256 = 'x'",
    ]
    for statement in statements:
        with pytest.raises(DBAPIError, match=r"refused|permission denied"):
            await _run(app, statement)


async def _run(app: App, statements: str) -> None:
    async with app.runtime.database.transaction() as session:
        for one in statements.split("; "):
            await session.execute(text(one))


async def test_whoever_wrote_or_submitted_it_does_not_approve_it(app: App) -> None:
    writer, officer, second = await app.as_(OPERATOR), await app.as_(OFFICER), await app.as_(OFFICER2)
    incident = await written(writer)
    made = await read(officer, incident.id)
    text_, version = section(made, "summary")
    await put(officer, incident.id, "summary", f"{text_}\n\nSeen by us.", version)
    await submitted(writer, incident.id)
    refused = await approving(officer, incident.id)
    assert (refused.status_code, refused.json()["code"]) == (403, "second_person_required")
    assert (await approving(writer, incident.id)).status_code == 403
    assert (await read(writer, incident.id)).state is PostmortemState.REVIEW
    assert (await approving(second, incident.id)).status_code == 200


async def test_only_the_text_that_was_read_is_approved(app: App) -> None:
    writer, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    incident = await written(writer)
    await submitted(writer, incident.id)
    first = hashlib.sha256(await exported(officer, incident.id)).hexdigest()
    back = await officer.post(f"/v1/incidents/{incident.id}/postmortem/send-back", json={"why": "say when"})
    assert (back.json()["state"], back.json()["sent_back_why"]) == ("draft", "say when")
    text_, version = section(await read(writer, incident.id), "root_cause")
    await put(writer, incident.id, "root_cause", f"{text_} At three.", version)
    again = await submitted(writer, incident.id)
    assert again.sent_back_why is None
    stale = await approving(officer, incident.id, first)
    assert (stale.status_code, stale.json()["code"]) == (409, "conflict")
    assert (await approving(officer, incident.id)).status_code == 200


async def test_what_no_record_knows_has_to_be_written_by_somebody(app: App) -> None:
    writer = await app.as_(OPERATOR)
    incident = await declared(writer)
    made = await opened(writer, incident.id)
    assert [one.edited_by for one in made.sections] == [None] * 7
    refused = await writer.post(f"/v1/incidents/{incident.id}/postmortem/submit")
    assert refused.status_code == 409
    assert refused.json()["message"] == "Nobody has written: Root Cause, Lessons Learned."


async def test_sections_that_nobody_edited_follow_the_record(app: App) -> None:
    writer = await app.as_(OPERATOR)
    incident = await written(writer)
    _, version = section(await read(writer, incident.id), "summary")
    await put(writer, incident.id, "summary", "Our own words.", version)
    await noted(writer, incident.id, "the relay's operator answered")
    await writer.post(f"/v1/incidents/{incident.id}/follow-ups", json={"text": "Watch the relay"})
    made = await opened(writer, incident.id)
    assert made.version == 1
    assert section(made, "summary")[0] == "Our own words."
    assert "operator answered" in section(made, "timeline")[0]
    assert "Watch the relay" in section(made, "follow_up_actions")[0]
    again = await opened(writer, incident.id)
    assert again == made, "nothing is new"


async def test_edits_of_different_lines_meet_and_of_the_same_line_are_both_shown(app: App) -> None:
    one, other = await app.as_(OPERATOR), await app.as_(OFFICER)
    incident = await declared(one)
    await opened(one, incident.id)
    base = await put(one, incident.id, "root_cause", "First.\n\nSecond.\n\nThird.", 1)
    assert (base.outcome, base.section.version, base.section.edited_by) == (EditOutcome.SAVED, 2, "olga")
    mine = await put(one, incident.id, "root_cause", "The first.\n\nSecond.\n\nThird.", 2)
    theirs = await put(other, incident.id, "root_cause", "First.\n\nSecond.\n\nThe third.", 2)
    assert (mine.outcome, theirs.outcome) == (EditOutcome.SAVED, EditOutcome.MERGED)
    assert theirs.section.text == "The first.\n\nSecond.\n\nThe third."
    clash = await put(other, incident.id, "root_cause", "It began.\n\nSecond.\n\nThe third.", 2)
    assert clash.outcome is EditOutcome.CONFLICT
    assert clash.section.version == 4, "nothing was saved"
    assert clash.conflict is not None
    assert all(line in clash.conflict.split("\n") for line in ("The first.", "It began.", OPENING_MARK))
    unresolved = await one.put(
        f"/v1/incidents/{incident.id}/postmortem/sections/root_cause",
        json={"text": clash.conflict, "base_version": 4},
    )
    assert unresolved.status_code == 422
    resolved = await put(other, incident.id, "root_cause", "It began first.\n\nSecond.\n\nThe third.", 4)
    assert (resolved.outcome, resolved.section.version) == (EditOutcome.SAVED, 5)
    for never_reached in (9, 2**31 - 1, 2**31):
        never = await one.put(
            f"/v1/incidents/{incident.id}/postmortem/sections/root_cause",
            json={"text": "x", "base_version": never_reached},
        )
        assert never.status_code == 422, never.text


async def test_line_ends_of_another_system_are_no_edits(app: App) -> None:
    client = await app.as_(OPERATOR)
    incident = await declared(client)
    await opened(client, incident.id)
    await put(client, incident.id, "root_cause", "a\nb", 1)
    same = await put(client, incident.id, "root_cause", "a\r\nb", 2)
    assert (same.section.text, same.section.version) == ("a\nb", 2)


async def test_editors_at_two_backends_lose_no_line(app: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        first = await app.as_(OPERATOR)
        clients = [first, await other.as_(OFFICER), await app.as_(ADMIN)]
        incident = await declared(first)
        await opened(first, incident.id)
        paragraphs = [f"Paragraph {number}." for number in range(9)]
        await put(first, incident.id, "root_cause", "\n\n".join(paragraphs), 1)

        async def write(number: int) -> None:
            """Add a line at a place of one's own, from a version that others have left behind meanwhile."""
            mine = [*paragraphs]
            mine[number] += f"\nAdded by writer {number}."
            answer = await put(clients[number % 3], incident.id, "root_cause", "\n\n".join(mine), 2)
            assert answer.outcome in {EditOutcome.SAVED, EditOutcome.MERGED}

        await asyncio.gather(*(write(number) for number in range(9)))
        text_, version = section(await read(first, incident.id), "root_cause")
    assert version == 11
    assert [line for line in text_.split("\n") if line.startswith("Added")] == [
        f"Added by writer {number}." for number in range(9)
    ]


async def test_an_amendment_is_the_next_version_and_leaves_the_approved_one(app: App) -> None:
    writer, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    incident = await written(writer)
    await submitted(writer, incident.id)
    assert (await approving(officer, incident.id)).status_code == 200
    await act(writer, incident.id, "resolve", note="over")
    await act(writer, incident.id, "close")
    before = await exported(writer, incident.id)
    amended = await opened(officer, incident.id)
    assert (amended.version, amended.versions, amended.state) == (2, [1, 2], PostmortemState.DRAFT)
    assert section(amended, "root_cause")[0] == WORDS["root_cause"]
    assert (await shown(writer, incident.id)).postmortem is PostmortemState.APPROVED, "a closed record stays"
    newest = section(amended, "root_cause")[1]
    await put(officer, incident.id, "root_cause", "It was our clock.", newest)
    await submitted(officer, incident.id)
    assert await exported(writer, incident.id, version=1) == before
    assert b"It was our clock." in await exported(writer, incident.id)
    assert (await approving(officer, incident.id)).status_code == 403
    assert (await read(writer, incident.id, 1)).state is PostmortemState.APPROVED


async def test_what_was_begun_before_an_approval_is_carried_over_into_the_amendment(app: App) -> None:
    writer, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    incident = await written(writer)
    first = section(await read(writer, incident.id), "root_cause")[1]
    await put(writer, incident.id, "root_cause", "one\ntwo\nthree", first)
    begun = section(await read(writer, incident.id), "root_cause")[1]
    await put(officer, incident.id, "root_cause", "one\ntwo\nthree, put right", begun)
    await submitted(writer, incident.id)
    assert (await approving(await app.as_(ADMIN), incident.id)).status_code == 200
    path = f"/v1/incidents/{incident.id}/postmortem/sections/root_cause"
    typed = "one, as typed before\ntwo\nthree"
    assert (await officer.put(path, json={"text": typed, "base_version": begun})).status_code == 409, "it is approved"
    await opened(officer, incident.id)
    carried = await put(officer, incident.id, "root_cause", typed, begun)
    assert (carried.outcome, carried.section.text) == (
        EditOutcome.MERGED, "one, as typed before\ntwo\nthree, put right"
    )  # fmt: skip
    against = await officer.put(path, json={"text": "one\ntwo\nthree, differently", "base_version": begun})
    assert against.json()["outcome"] == "conflict"
    assert "three, put right" in (await exported(writer, incident.id, version=1)).decode()


async def test_whoever_wrote_any_of_the_text_of_an_earlier_version_does_not_approve_a_later_one(app: App) -> None:
    writer, officer, admin = await app.as_(OPERATOR), await app.as_(OFFICER), await app.as_(ADMIN)
    incident = await written(writer)
    first = section(await read(writer, incident.id), "root_cause")
    await put(admin, incident.id, "root_cause", f"{first[0]}\nIts clock was wrong.", first[1])
    await put(writer, incident.id, "root_cause", f"{first[0]}\nIts clock was wrong.\nOurs was not.", first[1] + 1)
    await submitted(writer, incident.id)
    assert (await approving(officer, incident.id)).status_code == 200
    amended = await opened(writer, incident.id)
    await put(writer, incident.id, "lessons_learned", "Watch clocks.", section(amended, "lessons_learned")[1])
    await submitted(writer, incident.id)
    refused = await approving(admin, incident.id)
    assert (refused.status_code, refused.json()["code"]) == (403, "second_person_required")
    assert (await approving(officer, incident.id)).status_code == 200


@pytest.mark.parametrize("form", ["markdown", "html", "pdf", "json", "ocsf"])
async def test_every_format_can_be_had_with_and_without_a_post_mortem(app: App, form: str) -> None:
    client = await app.as_(OPERATOR)
    bare = await declared(client, title="Nothing <b>written</b> yet")
    first = await exported(client, bare.id, form)
    incident = await written(client)
    second = await exported(client, incident.id, form)
    assert first
    assert second
    if form in {"json", "ocsf"}:
        assert isinstance(json.loads(second), dict)
    if form == "html":
        assert b"<b>written" not in first
        assert b"nobody has written a post-mortem" in first
        assert b"is a draft: nobody has approved it" in second
    missing = await client.get(f"/v1/incidents/{bare.id}/export", params={"format": form, "version": 1})
    assert missing.status_code == 404


async def _recorded(app: App, ident: str, count: int) -> list[AuditLog]:
    """What the ledger has of an incident's post-mortem, once it has as much as that."""
    of_it = AuditLog.event_type.like("incidents.postmortem.%")
    query = select(AuditLog).where(AuditLog.resource_id == ident, of_it)
    for _ in range(200):
        async with app.runtime.database.read() as session:
            found = list((await session.scalars(query)).all())
        if len(found) >= count:
            break
        await asyncio.sleep(0.05)
    return found


async def test_acts_and_exports_are_in_the_ledger_with_their_hashes(app: App) -> None:
    writer, officer = await app.as_(OFFICER2), await app.as_(OFFICER)
    incident = await written(writer)
    await submitted(writer, incident.id)
    await approving(writer, incident.id)
    await approving(officer, incident.id)
    entries = await _recorded(app, incident.id, 6)
    seen = [(entry.event_type.rpartition(".")[2], entry.result) for entry in entries]
    assert sorted(seen) == sorted(
        [("opened", "success"), ("edited", "success"), ("edited", "success"), ("submitted", "success"),
         ("approved", "denied"), ("approved", "success")]
    )  # fmt: skip
    approved = next(entry for entry in entries if entry.event_type.endswith("approved") and entry.result == "success")
    assert approved.new_value is not None
    assert approved.new_value["sha256"] == (await read(writer, incident.id)).sha256


async def test_who_may_do_what(app: App) -> None:
    writer, trader, auditor = await app.as_(OPERATOR), await app.as_(EXECUTOR), await app.as_(AUDITOR)
    incident = await written(writer)
    await submitted(writer, incident.id)
    for client in (trader, auditor):
        assert (await approving_without_reading(client, incident.id)).status_code == 403
        assert (await client.post(f"/v1/incidents/{incident.id}/postmortem", json={})).status_code == 403
    assert (await writer.get("/v1/incidents/INC-1999-001/postmortem")).status_code == 404
    other = await declared(writer)
    assert (await writer.get(f"/v1/incidents/{other.id}/postmortem")).status_code == 404
    unknown = await writer.post(f"/v1/incidents/{other.id}/postmortem", json={"template": "no such"})
    assert unknown.status_code == 422
    assert unknown.json()["hint"] == "One of: incident, sre."


async def approving_without_reading(client: httpx.AsyncClient, ident: str) -> httpx.Response:
    return await client.post(f"/v1/incidents/{ident}/postmortem/approve", json={"sha256": "0" * 64})


async def test_an_erased_person_s_name_gives_way_also_where_nothing_else_changes(app: App) -> None:
    writer, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    incident = await written(writer)
    await submitted(writer, incident.id)
    await approving(officer, incident.id)
    async with app.runtime.database.transaction() as session:
        await session.execute(update(PostmortemRow).values(submitted_by="person-1", approved_by="person-2"))
        await session.execute(
            update(PostmortemEdit).where(PostmortemEdit.edited_by.is_not(None)).values(edited_by="person-1")
        )
    assert (await read(writer, incident.id)).approved_by == "person-2"
