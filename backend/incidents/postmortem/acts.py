"""What people do with post-mortems: open, edit, submit, send back, approve. One transaction each; every act audited.

draft → review → approved. Only a draft is edited; what was approved never changes, an amendment is the next version.
"""

import hashlib
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.documents.document import markdown_of, sha256_of
from backend.errors import WatchfloorError, not_found
from backend.incidents import telling
from backend.incidents.postmortem import keeping
from backend.incidents.postmortem.keeping import Part
from backend.incidents.postmortem.merging import has_marks, merge
from backend.incidents.postmortem.tables import PostmortemRow
from backend.incidents.writing import INCIDENT, Writing, row_of, writing
from backend.policy.notifying import IncidentTopic
from contract.alerts import Link
from contract.errors import ErrorCode
from contract.incidents import IncidentStatus
from contract.postmortem import (
    MAX_SECTION_CHARS,
    ApprovePostmortemRequest,
    EditOutcome,
    OpenPostmortemRequest,
    Postmortem,
    PostmortemState,
    SectionAnswer,
    SectionEdit,
    SendBackRequest,
)
from contract.states import AuditResult

_LINK: Final = "postmortem"


async def postmortem(session: AsyncSession, ident: str, version: int | None) -> Postmortem:
    """A version of an incident's post-mortem; the newest unless one is named.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    incident = await row_of(session, ident)
    row = await keeping.version_of(session, incident.id, version)
    if row is None:
        raise not_found("post-mortem", incident.id if version is None else f"{incident.id} version {version}")
    return await keeping.show(session, row)


async def open_postmortem(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: OpenPostmortemRequest
) -> Postmortem:
    """Open the post-mortem of an incident, prefilled from its record; of an approved one, the next version.

    One that is being written is brought up to date where nobody has edited it, and returned.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for a template that does not exist.
    """
    template = keeping.template_of(runtime, request.template)
    work = await writing(session, runtime, caller, ident)
    found = await keeping.newest(session, work.row.id)
    facts = await keeping.facts_of(session, runtime, work.row.id)
    if found is not None and found.state == PostmortemState.DRAFT.value:
        await keeping.refresh(session, runtime, found, facts, work.now)
    if found is not None and found.state != PostmortemState.APPROVED.value:
        return await keeping.show(session, found)
    row = PostmortemRow(
        id=runtime.clock.new_id(),
        incident=work.row.id,
        version=1 if found is None else found.version + 1,
        template=template.name if found is None else found.template,
        state=PostmortemState.DRAFT.value,
        created_by=caller.subject,
        created_at=work.now,
    )
    session.add(row)
    await session.flush()
    if found is None:
        await keeping.begin(session, row, template, facts)
    else:
        await keeping.amend(session, row, found)
    await _told(work, row, "opened", "open", {"template": row.template})
    return await keeping.show(session, row)


async def edit(  # noqa: PLR0917  what a route has
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, key: str, request: SectionEdit
) -> SectionAnswer:
    """Put a section's text in place, together with what others have written since the editing began.

    In an amendment it may have begun before the version that it amends was approved.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT unless it is a draft; INVALID_REQUEST for a version that never was, and for
            a text with an unresolved conflict in it; TOO_LARGE.
    """
    text = request.text.replace("\r\n", "\n")
    if has_marks(text):
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            "The text still shows a conflict between two edits.",
            hint="Keep of each what is right, and take the lines of marks out.",
        )
    work = await writing(session, runtime, caller, ident)
    row = await _in(session, work, PostmortemState.DRAFT)
    part = next((one for one in await keeping.parts_of(session, row) if one.row.key == key), None)
    if part is None:
        raise not_found("section", key)
    base = await keeping.text_at(session, row, key, request.base_version)
    if base is None:
        hint = f"Its newest is version {part.row.version}."
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "The section never had that version.", hint=hint)
    return await _put(work, row, part, base=base, text=text, merging=request.base_version != part.row.version)


async def _put(work: Writing, row: PostmortemRow, part: Part, *, base: str, text: str, merging: bool) -> SectionAnswer:
    merged = merge(base, text, part.edit.text)
    if merged.conflicts:
        return SectionAnswer(outcome=EditOutcome.CONFLICT, section=part.wire(), conflict=merged.text)
    if len(merged.text) > MAX_SECTION_CHARS:
        raise WatchfloorError(ErrorCode.TOO_LARGE, f"A section has at most {MAX_SECTION_CHARS:,} characters.")
    outcome = EditOutcome.MERGED if merging and merged.text != text else EditOutcome.SAVED
    if merged.text == part.edit.text:
        return SectionAnswer(outcome=outcome, section=part.wire())
    part = await keeping.put(work.session, part, merged.text, work.caller.subject, work.now)
    told = {
        "postmortem_version": row.version,
        "section": part.row.key,
        "section_version": part.row.version,
        "merged": outcome is EditOutcome.MERGED,
        "sha256": hashlib.sha256(merged.text.encode()).hexdigest(),
    }
    await work.finish("incidents.postmortem.edited", "edit post-mortem of incident", told)
    return SectionAnswer(outcome=outcome, section=part.wire())


async def submit(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> Postmortem:
    """Ask for a post-mortem to be approved; from here on it is not edited.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT unless it is a draft; REFUSED_BY_POLICY while sections are unwritten.
    """
    work = await writing(session, runtime, caller, ident)
    row = await _in(session, work, PostmortemState.DRAFT)
    facts = await keeping.facts_of(session, runtime, work.row.id)
    await keeping.refresh(session, runtime, row, facts, work.now)
    parts = await keeping.parts_of(session, row)
    missing = [part.row.title for part in parts if part.unwritten]
    if missing:
        raise WatchfloorError(
            ErrorCode.REFUSED_BY_POLICY,
            f"Nobody has written: {', '.join(missing)}.",
            hint="No record knows these. Where there is nothing to say, say so.",
        )
    document = await keeping.document_of(session, runtime, row, facts)
    row.title, row.head = document.title, [list(field) for field in document.head]
    row.state = PostmortemState.REVIEW.value
    row.submitted_by, row.submitted_at, row.sent_back_why = caller.subject, work.now, None
    said = f"Version {row.version} of its post-mortem waits for somebody to approve it who has not written it."
    again = f"{row.version}:{work.now:%Y%m%dT%H%M%S.%f}"
    await telling.tell(work, IncidentTopic.REVIEW, "post-mortem for review", said, again=again)
    await _told(work, row, "submitted", "submit", {"sha256": sha256_of(markdown_of(document))})
    return await keeping.show(session, row)


async def send_back(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: SendBackRequest
) -> Postmortem:
    """Turn a submitted post-mortem down: it is a draft again.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT unless it is in review.
    """
    work = await writing(session, runtime, caller, ident)
    row = await _in(session, work, PostmortemState.REVIEW)
    row.state, row.sent_back_why = PostmortemState.DRAFT.value, request.why
    row.title = row.head = None
    await _told(work, row, "sent_back", "send back", {"why": request.why}, said=f"sent back: {request.why}")
    return await keeping.show(session, row)


async def approve(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: ApprovePostmortemRequest
) -> Postmortem:
    """Approve the text that was read: from here on it never changes.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT unless it is in review, and if the text is another one than was read;
            SECOND_PERSON_REQUIRED for whoever wrote any of it or submitted it.
    """
    work = await writing(session, runtime, caller, ident)
    row = await _in(session, work, PostmortemState.REVIEW)
    if caller.subject in {row.submitted_by, *await keeping.editors_of(session, row)}:
        raise _own_work(work, row)
    facts = await keeping.facts_of(session, runtime, work.row.id)
    markdown = markdown_of(await keeping.document_of(session, runtime, row, facts))
    if sha256_of(markdown) != request.sha256.lower():
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            "That is not the text that was submitted.",
            hint="Read it again, and approve what you have read.",
        )
    row.state, row.markdown, row.sha256 = PostmortemState.APPROVED.value, markdown, sha256_of(markdown)
    row.approved_by, row.approved_at = caller.subject, work.now
    await _told(work, row, "approved", "approve", {"sha256": row.sha256}, said=f"approved, SHA-256 {row.sha256}")
    return await keeping.show(session, row)


async def _in(session: AsyncSession, work: Writing, state: PostmortemState) -> PostmortemRow:
    """The newest version, which has to be in a state.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT.
    """
    row = await keeping.newest(session, work.row.id)
    if row is None:
        raise not_found("post-mortem", work.row.id)
    if row.state == state.value:
        return row
    hints = {
        PostmortemState.DRAFT: "Submit it first.",
        PostmortemState.REVIEW: "Have it sent back first.",
        PostmortemState.APPROVED: "Open it again: its next version can be edited.",
    }
    told = f"Version {row.version} of the post-mortem of {work.row.id} is {_STANDING[PostmortemState(row.state)]}."
    raise WatchfloorError(ErrorCode.CONFLICT, told, hint=hints[PostmortemState(row.state)])


_STANDING: Final = {
    PostmortemState.DRAFT: "a draft",
    PostmortemState.REVIEW: "in review",
    PostmortemState.APPROVED: "approved",
}


def _own_work(work: Writing, row: PostmortemRow) -> WatchfloorError:
    told = "A post-mortem is approved by somebody who has neither written nor submitted it."
    refused = AuditDraft(
        "incidents.postmortem.approved",
        "approve post-mortem of incident",
        resource_type=INCIDENT,
        resource_id=work.row.id,
        incident=work.row.id,
        result=AuditResult.DENIED,
        new_value={"postmortem_version": row.version},
        error_message=told,
    )
    return WatchfloorError(ErrorCode.SECOND_PERSON_REQUIRED, told, audit=refused)


async def _told(
    work: Writing, row: PostmortemRow, event: str, verb: str, told: dict[str, str], *, said: str | None = None
) -> None:
    """Have the record, its timeline and the ledger say how a version stands.

    The timeline of a closed incident gets no more lines, and its record goes on naming the version that was approved.
    """
    if work.row.status != IncidentStatus.CLOSED.value:
        work.row.postmortem = row.state
        text = f"post-mortem version {row.version} {said or event.replace('_', ' ')}"
        await work.entry("postmortem", text, link=Link(kind=_LINK, id=work.row.id, label=f"version {row.version}"))
        work.changed("postmortem")
    await work.session.flush()
    await work.finish(
        f"incidents.postmortem.{event}",
        f"{verb} post-mortem of incident",
        {"postmortem_version": row.version, **told},
    )
