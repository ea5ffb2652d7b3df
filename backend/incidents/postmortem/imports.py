"""Reports that were written elsewhere: taken in as they are, found again by their words."""

import asyncio
import hashlib
import re
from typing import Final

from sqlalchemy import cast, func, select
from sqlalchemy.dialects.postgresql import REGCONFIG, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.errors import not_found
from backend.incidents import cursors
from backend.incidents.postmortem.report import read_report
from backend.incidents.postmortem.tables import ImportedReportRow
from contract.base import Page
from contract.postmortem import ImportedReport, ReportImportRequest, ReportText

_LANGUAGE: Final = cast("english", REGCONFIG)
"""Whose endings the search looks past; words of other languages are found as they are written."""
_MAX_SEARCHED_CHARS: Final = 150_000
"""PostgreSQL refuses to index the words of a text much longer than this; no report we have seen has a fifth of it."""
_IDENT: Final = re.compile(r"^(?:IMP-)?0*(\d{1,12})$", re.IGNORECASE)


def report_id(number: int) -> str:
    """IMP-0001."""
    return f"IMP-{number:04d}"


async def import_report(
    session: AsyncSession, runtime: Runtime, caller: Caller, request: ReportImportRequest
) -> ImportedReport:
    """Take a report in; the same name and text in the same collection again changes nothing."""
    sha256 = hashlib.sha256(request.text.encode()).hexdigest()
    known = await _known(session, request, sha256)
    if known is not None:
        return _wire(known, unchanged=True)
    found = await asyncio.to_thread(read_report, request.name, request.text)
    words = f"{found.title}\n{request.name}\n{request.text[:_MAX_SEARCHED_CHARS]}"
    stored = await session.scalar(
        insert(ImportedReportRow)
        .values(
            name=request.name,
            collection=request.collection,
            title=found.title,
            dated=found.date,
            sections=[section.title for section in found.sections if section.title],
            sha256=sha256,
            chars=len(request.text),
            text=request.text,
            search=func.to_tsvector(_LANGUAGE, words),
            imported_by=caller.subject,
            imported_at=runtime.clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(ImportedReportRow)
    )
    if stored is None:  # somebody else took it in at the same time
        known = await _known(session, request, sha256)
        if known is None:
            raise not_found("report", request.name)
        return _wire(known, unchanged=True)
    await audit.record(session, runtime, caller, _told(stored))
    return _wire(stored)


def _told(row: ImportedReportRow) -> AuditDraft:
    return AuditDraft(
        "incidents.import.done",
        "import report of incident",
        resource_type="report",
        resource_id=report_id(row.number),
        new_value={
            "name": row.name,
            "collection": row.collection,
            "title": row.title,
            "sections": len(row.sections),
            "chars": row.chars,
            "sha256": row.sha256,
        },
    )


async def _known(session: AsyncSession, request: ReportImportRequest, sha256: str) -> ImportedReportRow | None:
    return await session.scalar(
        select(ImportedReportRow).where(
            ImportedReportRow.collection == request.collection,
            ImportedReportRow.name == request.name,
            ImportedReportRow.sha256 == sha256,
        )
    )


async def reports(
    session: AsyncSession, *, q: str | None, collection: str | None, cursor: str | None, limit: int
) -> Page[ImportedReport]:
    """Reports whose name, title or text has the words of `q`, newest import first.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    query = select(ImportedReportRow)
    if q:
        query = query.where(ImportedReportRow.search.op("@@")(func.websearch_to_tsquery(_LANGUAGE, q)))
    if collection:
        query = query.where(ImportedReportRow.collection == collection)
    after = None if cursor is None else cursors.decode(cursor, int)
    paged = cursors.page_of(
        query, ImportedReportRow.imported_at, ImportedReportRow.number, after=after, limit=limit, newest=True
    )
    found = (await session.scalars(paged)).all()
    rows, more = cursors.cut(found, limit, lambda row: (row.imported_at, row.number))
    return Page(items=[_wire(row) for row in rows], next_cursor=more)


async def report(session: AsyncSession, ident: str) -> ReportText:
    """One report with its text, as it was given.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    matched = _IDENT.match(ident.strip())
    query = select(ImportedReportRow).options(undefer(ImportedReportRow.text))
    row = await session.scalar(query.where(ImportedReportRow.number == int(matched[1]))) if matched else None
    if row is None:
        raise not_found("report", ident)
    return ReportText(report=_wire(row), text=row.text)


def _wire(row: ImportedReportRow, *, unchanged: bool = False) -> ImportedReport:
    return ImportedReport(
        id=report_id(row.number),
        name=row.name,
        collection=row.collection,
        title=row.title,
        date=None if row.dated is None else row.dated.isoformat(),
        sections=row.sections,
        sha256=row.sha256,
        chars=row.chars,
        unchanged=unchanged,
    )
