"""Rows of post-mortems: found, shown, begun, and given new texts. Decides nothing about who may do so."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.documents.document import Document
from backend.documents.text import literal
from backend.errors import WatchfloorError
from backend.incidents.postmortem.facts import Facts
from backend.incidents.postmortem.prefill import NEEDS_WORDS, head, prefilled
from backend.incidents.postmortem.tables import PostmortemEdit, PostmortemPart, PostmortemRow
from backend.incidents.postmortem.templates import OWN, Template, templates_of
from backend.incidents.record import record_of
from backend.incidents.writing import row_of
from contract.errors import ErrorCode
from contract.postmortem import (
    MAX_SECTION_CHARS,
    Postmortem,
    PostmortemSection,
    PostmortemState,
    PostmortemTemplate,
    PostmortemTemplates,
)

_MOST_VERSIONS: Final = 1_000
"""Of a post-mortem that are listed; nobody amends so often."""


@dataclass(slots=True)
class Part:
    """A section with its newest text."""

    row: PostmortemPart
    edit: PostmortemEdit

    @property
    def unwritten(self) -> bool:
        """Whether somebody has to write it before it can be submitted."""
        return not self.edit.text.strip() or (self.row.key in NEEDS_WORDS and self.edit.edited_by is None)

    def wire(self) -> PostmortemSection:
        """As it travels."""
        return PostmortemSection(
            key=self.row.key,
            title=self.row.title,
            text=self.edit.text,
            version=self.row.version,
            edited_by=self.edit.edited_by,
            edited_at=None if self.edit.edited_by is None else self.edit.edited_at,
            unwritten=self.unwritten,
        )


def templates(runtime: Runtime) -> dict[str, Template]:
    """Every template by its name."""
    policy = runtime.policy
    return templates_of(policy.incidents.post_mortem, policy.incident_rules.templates)


def offered(runtime: Runtime) -> PostmortemTemplates:
    """Every template as it travels, the compliance document's own first."""
    known = templates(runtime)
    names = sorted(known, key=lambda name: (name != OWN, name))
    return PostmortemTemplates(
        items=[PostmortemTemplate(name=name, sections=[one.title for one in known[name].sections]) for name in names]
    )


def template_of(runtime: Runtime, name: str) -> Template:
    """The template that somebody named.

    Raises:
        WatchfloorError: INVALID_REQUEST, naming those there are.
    """
    known = templates(runtime)
    if name not in known:
        hint = f"One of: {', '.join(sorted(known))}."
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"There is no template {name!r}.", hint=hint)
    return known[name]


async def facts_of(session: AsyncSession, runtime: Runtime, incident: str, *, audit: bool = False) -> Facts:
    """What the record says; without what lines from the audit log say unless asked to: a report has many readers.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    record = await record_of(session, runtime, incident, audit=audit)
    entries = (await row_of(session, incident)).last_entry
    return Facts(record.incident, tuple(record.timeline), entries, tuple(record.evidence), tuple(record.follow_ups))


async def newest(session: AsyncSession, incident: str) -> PostmortemRow | None:
    """The newest version of an incident's post-mortem."""
    query = select(PostmortemRow).where(PostmortemRow.incident == incident).order_by(PostmortemRow.version.desc())
    return await session.scalar(query.limit(1))


async def version_of(session: AsyncSession, incident: str, version: int | None) -> PostmortemRow | None:
    """The version that somebody asked for; the newest unless they named one."""
    if version is None:
        return await newest(session, incident)
    wanted = and_(PostmortemRow.incident == incident, PostmortemRow.version == version)
    return await session.scalar(select(PostmortemRow).where(wanted))


async def parts_of(session: AsyncSession, row: PostmortemRow) -> list[Part]:
    """The sections of a version, in order."""
    query = (
        select(PostmortemPart, PostmortemEdit)
        .join(
            PostmortemEdit,
            and_(
                PostmortemEdit.postmortem == PostmortemPart.postmortem,
                PostmortemEdit.key == PostmortemPart.key,
                PostmortemEdit.version == PostmortemPart.version,
            ),
        )
        .where(PostmortemPart.postmortem == row.id)
        .order_by(PostmortemPart.number)
    )
    return [Part(*found) for found in await session.execute(query)]


async def text_at(session: AsyncSession, row: PostmortemRow, key: str, version: int) -> str | None:
    """The text that a section had at a version, in this version of the post-mortem or in one that it amends.

    Versions of sections go on from one to the next, so that what was begun before an approval can be carried over.
    """
    query = (
        select(PostmortemEdit.text)
        .join(PostmortemRow, PostmortemRow.id == PostmortemEdit.postmortem)
        .where(PostmortemRow.incident == row.incident, PostmortemRow.version <= row.version)
        .where(PostmortemEdit.key == key, PostmortemEdit.version == version)
        .order_by(PostmortemRow.version.desc())
        .limit(1)
    )
    return await session.scalar(query)


async def editors_of(session: AsyncSession, row: PostmortemRow) -> list[str]:
    """Everybody who has written any of a version's texts or of those that it took over, by name."""
    taken_over = select(PostmortemRow.id).where(
        PostmortemRow.incident == row.incident, PostmortemRow.version <= row.version
    )
    query = select(PostmortemEdit.edited_by).where(
        PostmortemEdit.postmortem.in_(taken_over), PostmortemEdit.edited_by.is_not(None)
    )
    return sorted({name for name in await session.scalars(query.distinct()) if name})


async def show(session: AsyncSession, row: PostmortemRow) -> Postmortem:
    """A version as it travels."""
    versions = select(PostmortemRow.version).where(PostmortemRow.incident == row.incident)
    ordered = versions.order_by(PostmortemRow.version.desc()).limit(_MOST_VERSIONS)
    return Postmortem(
        incident=row.incident,
        version=row.version,
        template=row.template,
        state=PostmortemState(row.state),
        sections=[part.wire() for part in await parts_of(session, row)],
        created_by=row.created_by,
        created_at=row.created_at,
        submitted_by=row.submitted_by,
        submitted_at=row.submitted_at,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
        sent_back_why=row.sent_back_why,
        sha256=row.sha256,
        versions=sorted(await session.scalars(ordered)),
    )


async def begin(session: AsyncSession, row: PostmortemRow, template: Template, facts: Facts) -> None:
    """Give a first version its sections, as the record alone writes them."""
    made = prefilled(template, facts)
    for number, section in enumerate(template.sections, 1):
        part = PostmortemPart(postmortem=row.id, key=section.key, number=number, title=section.title, version=1)
        await _add(session, part, made[section.key], None, row.created_at)


async def amend(session: AsyncSession, row: PostmortemRow, approved: PostmortemRow) -> None:
    """Give a further version the texts of the approved one, with the name of whoever wrote each last.

    Versions of sections go on: what somebody began before the approval is merged with the approved text, never taken
    for an edit of it.
    """
    for old in await parts_of(session, approved):
        part = PostmortemPart(
            postmortem=row.id,
            key=old.row.key,
            number=old.row.number,
            title=old.row.title,
            version=old.row.version + 1,
        )
        await _add(session, part, old.edit.text, old.edit.edited_by, old.edit.edited_at)


async def _add(
    session: AsyncSession, part: PostmortemPart, text: str, edited_by: str | None, edited_at: datetime
) -> None:
    session.add(part)
    await session.flush()
    await _write(session, part, text, edited_by, edited_at)


async def put(session: AsyncSession, part: Part, text: str, edited_by: str | None, at: datetime) -> Part:
    """Give a section its next text."""
    part.row.version += 1
    edit = await _write(session, part.row, text, edited_by, at)
    return Part(part.row, edit)


async def _write(
    session: AsyncSession, part: PostmortemPart, text: str, edited_by: str | None, at: datetime
) -> PostmortemEdit:
    edit = PostmortemEdit(
        postmortem=part.postmortem,
        key=part.key,
        version=part.version,
        text=text[:MAX_SECTION_CHARS],
        edited_by=edited_by,
        edited_at=at,
    )
    session.add(edit)
    await session.flush()
    return edit


async def refresh(session: AsyncSession, runtime: Runtime, row: PostmortemRow, facts: Facts, at: datetime) -> None:
    """Bring the sections that nobody has edited up to date with the record; one whose template is gone stays."""
    template = templates(runtime).get(row.template)
    made = {} if template is None else prefilled(template, facts)
    for part in await parts_of(session, row):
        text = made.get(part.row.key, part.edit.text)[:MAX_SECTION_CHARS]
        if part.edit.edited_by is None and text != part.edit.text:
            await put(session, part, text, None, at)


async def document_of(session: AsyncSession, runtime: Runtime, row: PostmortemRow, facts: Facts) -> Document:
    """A version as it is written out; title and head of a submitted one are those it was submitted with."""
    sections = tuple((part.row.title, part.edit.text) for part in await parts_of(session, row))
    if row.title is not None and row.head is not None:
        return Document(row.title, tuple((name, value) for name, value in row.head), sections)
    template = templates(runtime).get(row.template) or templates(runtime)[OWN]
    return Document(title_of(facts), tuple(head(template, facts, tuple(await editors_of(session, row)))), sections)


def title_of(facts: Facts) -> str:
    """The title at the head of a post-mortem."""
    return f"{facts.incident.id}: {literal(facts.incident.title)}"
