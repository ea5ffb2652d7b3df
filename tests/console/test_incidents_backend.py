"""The screens of incidents on a real backend: from the declaration to the post-mortem that another person signs."""

import hashlib
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from console.client import incidents, postmortems
from console.client.api import Api
from console.client.errors import ApiError
from console.screens.incidents import drafting
from console.widgets.sheet import Sheet
from contract.errors import ErrorCode
from contract.incidents import DeclareRequest, IncidentChange, NoteRequest, Severity, StepActionRequest
from contract.postmortem import (
    ApprovePostmortemRequest,
    DraftRequest,
    EditOutcome,
    ExportFormat,
    PostmortemState,
    SectionEdit,
)
from tests.console.driving import Running, on_backend
from tests.support.floor import Floor
from tests.support.people import ADMIN, AUDITOR, OFFICER, OPERATOR, Person


def _console(floor: Floor, person: Person, state: Path) -> AbstractAsyncContextManager[Running]:
    return on_backend(floor.url, floor.token(person), state / person.name)


async def _declared(api: Api, title: str) -> str:
    made = await incidents.declare(api, DeclareRequest(title=title, severity=Severity.HIGH))
    return made.id


async def test_every_route_that_the_screens_ask_is_there(floor: Floor) -> None:
    async with Api(floor.url, floor.token(OPERATOR)) as api:
        ident = await _declared(api, "Routes")
        await incidents.note(api, ident, NoteRequest(text="a line"))
        lines = (await incidents.timeline(api, ident)).items
        assert [one.number for one in lines] == sorted((one.number for one in lines), reverse=True)
        known = await incidents.incident(api, ident)
        action = known.steps[0].actions[0]
        wanted = StepActionRequest(step=known.step, number=action.number)
        assert (await incidents.tick(api, ident, wanted)).steps[0].actions[0].done_by == OPERATOR.name
        changed = await incidents.change(api, ident, IncidentChange(users=3, version=known.version))
        assert (changed.impact.users, changed.title) == (3, "Routes")
        kept = await incidents.attach(
            api, ident, b"\x00raw", name="node.log", media_type="text/plain", description="what it said"
        )
        assert kept.sha256 == hashlib.sha256(b"\x00raw").hexdigest()
        assert await incidents.content(api, ident, kept.id) == b"\x00raw"
        assert [one.id for one in (await incidents.evidence(api, ident)).items] == [kept.id]
        assert (await incidents.snapshot(api, ident)).incident == ident
        assert any(group.incidents for group in (await incidents.stats(api)).groups)
        assert [one.id for one in (await incidents.incidents(api, q="Routes")).items] == [ident]


async def test_drafts_are_ones_own_and_gone_when_they_are_dropped(floor: Floor) -> None:
    async with Api(floor.url, floor.token(OPERATOR)) as mine, Api(floor.url, floor.token(OFFICER)) as theirs:
        key = f"note:{await _declared(mine, 'Drafts')}"
        assert await postmortems.draft(mine, key) is None
        await postmortems.keep_draft(mine, key, DraftRequest(text="half a sent"))
        found = await postmortems.draft(mine, key)
        assert found is not None
        assert found.text == "half a sent"
        assert await postmortems.draft(theirs, key) is None
        await postmortems.drop_draft(mine, key)
        assert await postmortems.draft(mine, key) is None


async def test_two_writers_of_one_section_are_told(floor: Floor) -> None:
    async with Api(floor.url, floor.token(OPERATOR)) as mine, Api(floor.url, floor.token(OFFICER)) as theirs:
        ident = await _declared(mine, "Two writers")
        assert await postmortems.find(mine, ident) is None
        opened = await postmortems.open_one(mine, ident)
        part = next(one for one in opened.sections if "cause" in one.key)
        first = await postmortems.edit(mine, ident, part.key, SectionEdit(text="mine\n", base_version=part.version))
        assert first.outcome is EditOutcome.SAVED
        second = await postmortems.edit(
            theirs, ident, part.key, SectionEdit(text="theirs\n", base_version=part.version)
        )
        assert second.outcome is EditOutcome.CONFLICT
        assert second.conflict
        assert "mine" in second.conflict
        assert "theirs" in second.conflict
        assert second.section.version == first.section.version


async def test_the_text_that_is_read_is_the_one_that_is_approved(floor: Floor) -> None:
    async with Api(floor.url, floor.token(OPERATOR)) as mine:
        ident = await _declared(mine, "Hashes")
        for part in (await postmortems.open_one(mine, ident)).sections:
            edit = SectionEdit(text=f"{part.text}\nSaid.", base_version=part.version)
            await postmortems.edit(mine, ident, part.key, edit)
        submitted = await postmortems.submit(mine, ident)
        assert submitted.state is PostmortemState.REVIEW
        text = await postmortems.export(mine, ident, ExportFormat.MARKDOWN, submitted.version)
    async with Api(floor.url, floor.token(OFFICER)) as theirs:
        with pytest.raises(ApiError):
            await postmortems.approve(theirs, ident, ApprovePostmortemRequest(sha256="0" * 64))
        wanted = ApprovePostmortemRequest(sha256=hashlib.sha256(text).hexdigest())
        assert (await postmortems.approve(theirs, ident, wanted)).sha256 == wanted.sha256


async def test_an_auditor_may_take_nothing_out(floor: Floor) -> None:
    async with Api(floor.url, floor.token(OPERATOR)) as mine:
        ident = await _declared(mine, "Auditors")
        await postmortems.open_one(mine, ident)
    async with Api(floor.url, floor.token(AUDITOR)) as theirs:
        with pytest.raises(ApiError) as refused:
            await postmortems.export(theirs, ident, ExportFormat.MARKDOWN)
    assert refused.value.code is ErrorCode.NOT_ALLOWED


async def test_from_the_declaration_to_the_signed_post_mortem(
    floor: Floor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.1)
    async with _console(floor, OPERATOR, tmp_path) as mine:
        await mine.press("I")
        await mine.at("Incidents")
        await mine.opens("i", "Declare an incident")
        await mine.type("Walked through")
        await mine.press("enter")
        await mine.until(lambda: mine.title.startswith("INC-"), "the record")
        ident = mine.title
        await mine.shows("TIMELINE")
        await mine.press("S")
        await mine.at("As it was")
        await mine.shows("taken")
        await mine.press("escape")
        await mine.at(ident)
        async with _console(floor, ADMIN, tmp_path) as theirs:
            await theirs.app.show_incident(ident)
            await theirs.shows("Walked through")
            await mine.press("n")
            await mine.type("the oracle lags")
            await mine.shows("draft kept")
            await mine.press("enter")
            await mine.hides("NOTE goes")
            await theirs.shows("the oracle lags")  # by the stream, without a key
        await mine.press("v")
        await mine.shows("The step is")
        await mine.opens("R", "Resolve the incident")
        await mine.type("oracle replaced")
        await mine.press("enter", "enter", "tab", "enter")
        await mine.shows("is resolved")
        await mine.press("P")
        await mine.opens("n", "Open the post-mortem")
        await mine.press("enter")
        await mine.shows("POST-MORTEM ◐ draft")
        await mine.press("e")
        await mine.until(lambda: isinstance(mine.app.screen.focused, Sheet), "a section")
        await mine.type("Because of the oracle.")
        await mine.press("f3")
        await mine.shows("Saved:")
        await mine.press("s")
        await mine.shows("▲ REFUSED Nobody has written: Lessons Learned.")
        await _write_the_rest(floor, ident)
        await mine.press("s")
        await mine.shows("POST-MORTEM ▲ in review")
    await _signed(floor, tmp_path, ident)


async def _signed(floor: Floor, tmp_path: Path, ident: str) -> None:
    """Another person reads it and signs it."""
    async with _console(floor, OFFICER, tmp_path) as signing:
        await signing.app.show_incident(ident)
        await signing.shows("in review")
        await signing.press("P")
        await signing.shows("It waits for you")
        await signing.press("r")
        await signing.shows("sha256")
        await signing.press("escape")
        await signing.shows("POST-MORTEM")
        await signing.opens("T", "Approve the post-mortem")
        await signing.press("tab", "enter")
        await signing.shows(f"Approved by {OFFICER.name}; it never changes again.")


async def _write_the_rest(floor: Floor, ident: str) -> None:
    """What the walk would only repeat."""
    async with Api(floor.url, floor.token(OPERATOR)) as api:
        for part in (await postmortems.postmortem(api, ident)).sections:
            if part.edited_by is None:
                await postmortems.edit(api, ident, part.key, SectionEdit(text="Said.", base_version=part.version))
