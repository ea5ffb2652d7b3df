"""Incidents written out for keeping elsewhere. Each export is in the audit log with the hash of its bytes."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.db import let_go
from backend.documents.document import Document, markdown_of
from backend.documents.pressing import Presses
from backend.documents.text import moment
from backend.documents.webpage import html_of
from backend.errors import not_found
from backend.incidents.postmortem import keeping
from backend.incidents.postmortem.facts import Facts
from backend.incidents.postmortem.finding import finding_of
from backend.incidents.postmortem.prefill import head, prefilled
from backend.incidents.postmortem.tables import PostmortemRow
from backend.incidents.postmortem.templates import OWN
from backend.incidents.timeline import may_see_audit
from backend.incidents.writing import INCIDENT, row_of
from contract.postmortem import ExportFormat, PostmortemState

MEDIA_TYPES: Final = {
    ExportFormat.MARKDOWN: "text/markdown; charset=utf-8",
    ExportFormat.HTML: "text/html; charset=utf-8",
    ExportFormat.PDF: "application/pdf",
    ExportFormat.JSON: "application/json",
    ExportFormat.OCSF: "application/json",
}
_ENDINGS: Final = {
    ExportFormat.MARKDOWN: "md",
    ExportFormat.HTML: "html",
    ExportFormat.PDF: "pdf",
    ExportFormat.JSON: "json",
    ExportFormat.OCSF: "ocsf.json",
}


@dataclass(frozen=True, slots=True)
class Export:
    """A file for download."""

    name: str
    media_type: str
    content: bytes
    sha256: str


async def export(  # noqa: PLR0917  what a route has
    session: AsyncSession,
    runtime: Runtime,
    presses: Presses,
    caller: Caller,
    ident: str,
    form: ExportFormat,
    version: int | None,
) -> Export:
    """Write an incident out, with a version of its post-mortem: the newest unless one is named.

    Without a post-mortem it is what the record alone says, by the document's template. The session must have written
    nothing before: no connection is held while a page is made.

    Raises:
        WatchfloorError: NOT_FOUND; as `Presses.printed` for PDF.
    """
    incident = await row_of(session, ident)
    row = await keeping.version_of(session, incident.id, version)
    if row is None and version is not None:
        raise not_found("post-mortem", f"{incident.id} version {version}")
    facts = await keeping.facts_of(session, runtime, incident.id, audit=may_see_audit(caller))
    ident, number = incident.id, None if row is None else row.version
    content = await _written(session, runtime, presses, row, facts, form)
    suffix = f"-v{number}" if number is not None and number > 1 else ""
    name = f"{ident}{suffix}.{_ENDINGS[form]}"
    found = Export(name, MEDIA_TYPES[form], content, hashlib.sha256(content).hexdigest())
    draft = AuditDraft(
        "incidents.record.exported",
        "export incident",
        resource_type=INCIDENT,
        resource_id=ident,
        incident=ident,
        new_value={
            "format": form.value,
            "postmortem_version": number,
            "size_bytes": len(content),
            "sha256": found.sha256,
        },
    )
    await audit.record(session, runtime, caller, draft)
    return found


async def _written(  # noqa: PLR0917  what `export` has
    session: AsyncSession,
    runtime: Runtime,
    presses: Presses,
    row: PostmortemRow | None,
    facts: Facts,
    form: ExportFormat,
) -> bytes:
    match form:
        case ExportFormat.OCSF:
            return _encoded(finding_of(facts))
        case ExportFormat.JSON:
            return _encoded(await _whole(session, row, facts))
        case ExportFormat.MARKDOWN:
            return (await _markdown(session, runtime, row, facts)).encode()
    document, footer = await _document(session, runtime, row, facts), _standing(row)
    await let_go(session)
    if form is ExportFormat.HTML:
        return (await asyncio.to_thread(html_of, document, footer)).encode()
    return await presses.printed(document, footer)


async def _markdown(session: AsyncSession, runtime: Runtime, row: PostmortemRow | None, facts: Facts) -> str:
    """What was approved, to the byte; else the text as it stands."""
    if row is not None and row.state == PostmortemState.APPROVED.value:
        kept = await session.scalar(select(PostmortemRow.markdown).where(PostmortemRow.id == row.id))
        if kept is not None:
            return kept
    return markdown_of(await _document(session, runtime, row, facts))


async def _document(session: AsyncSession, runtime: Runtime, row: PostmortemRow | None, facts: Facts) -> Document:
    if row is not None:
        return await keeping.document_of(session, runtime, row, facts)
    template = keeping.templates(runtime)[OWN]
    made = prefilled(template, facts)
    sections = tuple((section.title, made[section.key]) for section in template.sections)
    return Document(keeping.title_of(facts), tuple(head(template, facts, ())), sections)


def _standing(row: PostmortemRow | None) -> list[str]:
    """Who stands behind the text, in words."""
    if row is None:
        return ["Made from the record alone: nobody has written a post-mortem."]
    if row.state != PostmortemState.APPROVED.value:
        said = "awaits its approval" if row.state == PostmortemState.REVIEW.value else "is a draft"
        return [f"Version {row.version} {said}: nobody has approved it."]
    submitted = f"submitted by {row.submitted_by} at {moment(row.submitted_at)}"
    approved = f"approved by {row.approved_by} at {moment(row.approved_at)}"
    return [f"Version {row.version}, {submitted}, {approved}.", f"SHA-256 of its Markdown: {row.sha256}"]


async def _whole(session: AsyncSession, row: PostmortemRow | None, facts: Facts) -> dict[str, Any]:
    shown = None if row is None else await keeping.show(session, row)
    return {
        "incident": facts.incident.model_dump(mode="json"),
        "timeline": [one.model_dump(mode="json") for one in facts.timeline],
        "timeline_entries": facts.entries,
        "evidence": [one.model_dump(mode="json") for one in facts.evidence],
        "follow_ups": [one.model_dump(mode="json") for one in facts.follow_ups],
        "postmortem": None if shown is None else shown.model_dump(mode="json"),
    }


def _encoded(told: dict[str, Any]) -> bytes:
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
