"""What is kept with an incident: files, and what Watchfloor answered to a question. Hashed, never changed.

The bytes are whatever somebody attached: they are only ever given back for download, never shown as a page.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from backend import answering
from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, known_ident, not_found
from backend.incidents import checking
from backend.incidents.tables import IncidentEvidence
from backend.incidents.writing import INCIDENT, row_of, writing
from contract.base import Page
from contract.errors import ErrorCode
from contract.incidents import MAX_EVIDENCE_BYTES, Evidence, EvidenceQueryRequest
from contract.permissions import Permission

MAX_PIECES: Final = 200
"""Pieces of evidence of one incident: two gigabytes of files are another kind of archive."""
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,49}/[a-z0-9][a-z0-9!#$&^_.+-]{0,48}")
_MAX_NAME_CHARS: Final = 200
_MAX_DESCRIPTION_CHARS: Final = 2_000
_JSON: Final = "application/json"
_NEEDS: Final = {
    "alert": Permission.VIEW_ALERTS,
    "freeze": Permission.VIEW_FREEZES,
    "executors": Permission.VIEW_EXECUTORS,
    "risk": Permission.VIEW_RISK,
    "audit": Permission.VIEW_AUDIT_LOGS,
}
"""What may be attached only by whoever may see it, and taken out again only by such."""


@dataclass(frozen=True, slots=True)
class Named:
    """What somebody says of a file."""

    name: str
    media_type: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Something that is to be kept."""

    name: str
    media_type: str
    description: str
    kind: str
    content: bytes
    query: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """Something that was kept, for download."""

    name: str
    content: bytes
    sha256: str


async def attach(  # noqa: PLR0917  what a route has
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, content: bytes, named: Named
) -> Evidence:
    """Keep a file as it is.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT once it is closed; INVALID_REQUEST; TOO_LARGE.
    """
    if not content:
        raise checking.refused("The file is empty.")
    if not _MEDIA_TYPE.fullmatch(named.media_type.lower()):
        raise checking.refused(f"{named.media_type[:100]!r} is no media type.", hint="Such as text/plain, image/png.")
    if len(named.description) > _MAX_DESCRIPTION_CHARS:
        raise checking.refused(f"A description has at most {_MAX_DESCRIPTION_CHARS:,} characters.")
    name = checking.name("name of the file", named.name)[:_MAX_NAME_CHARS]
    piece = _Piece(name, named.media_type.lower(), named.description, "file", content)
    return await _keep(session, runtime, caller, ident, piece)


async def attach_answer(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: EvidenceQueryRequest
) -> Evidence:
    """Keep what Watchfloor answers to a question now.

    Raises:
        WatchfloorError: NOT_FOUND; NOT_ALLOWED to whoever may not ask; CONFLICT once it is closed; TOO_LARGE.
    """
    _require(caller, request.kind)
    content = await answering.answer(session, runtime, caller, kind=request.kind, about=request.query)
    asked = f"{request.kind} {request.query}".strip()
    piece = _Piece(f"{request.kind}.json", _JSON, request.description, "query", content, asked)
    return await _keep(session, runtime, caller, ident, piece)


def _require(caller: Caller, kind: str) -> None:
    needed = _NEEDS[kind]
    if needed not in caller.permissions:
        raise WatchfloorError(ErrorCode.NOT_ALLOWED, f"Your role may not see that: it lacks {needed.value}.")


async def _keep(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, piece: _Piece) -> Evidence:
    if len(piece.content) > MAX_EVIDENCE_BYTES:
        raise WatchfloorError(ErrorCode.TOO_LARGE, f"Evidence has at most {MAX_EVIDENCE_BYTES:,} bytes.")
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    if len(await _rows(session, work.row.id)) >= MAX_PIECES:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{work.row.id} has {MAX_PIECES} pieces of evidence already.")
    row = IncidentEvidence(
        id=runtime.clock.new_id(),
        incident=work.row.id,
        name=piece.name,
        media_type=piece.media_type,
        size_bytes=len(piece.content),
        sha256=hashlib.sha256(piece.content).hexdigest(),
        description=piece.description,
        kind=piece.kind,
        query=piece.query,
        added_by=caller.subject,
        added_at=work.now,
        content=piece.content,
    )
    session.add(row)
    await session.flush()
    said = f": {piece.description}" if piece.description else ""
    await work.entry("evidence", f"{piece.name} ({row.size_bytes:,} bytes, SHA-256 {row.sha256}) was kept{said}")
    told = {"name": row.name, "size_bytes": row.size_bytes, "sha256": row.sha256, "kind": row.kind, "query": row.query}
    await work.finish("incidents.evidence.added", "keep evidence of incident", told)
    return _wire(row)


def _wire(row: IncidentEvidence) -> Evidence:
    return Evidence(
        id=str(row.id),
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        description=row.description,
        kind=row.kind,
        query=row.query,
        added_by=row.added_by,
        added_at=row.added_at,
    )


async def _rows(session: AsyncSession, incident: str) -> list[IncidentEvidence]:
    query = select(IncidentEvidence).where(IncidentEvidence.incident == incident)
    ordered = query.order_by(IncidentEvidence.added_at, IncidentEvidence.id).limit(MAX_PIECES)
    return list((await session.scalars(ordered)).all())


async def pieces(session: AsyncSession, ident: str) -> Page[Evidence]:
    """Everything that is kept with an incident, oldest first: at most 200 pieces.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await row_of(session, ident)
    return Page(items=[_wire(one) for one in await _rows(session, row.id)])


async def content_of(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, piece: str) -> Content:
    """Something that is kept, as it was; recorded.

    Raises:
        WatchfloorError: NOT_FOUND; NOT_ALLOWED for an answer to a question that the caller may not ask; INTERNAL if
            the bytes are not those whose hash was kept.
    """
    incident = await row_of(session, ident)
    query = select(IncidentEvidence).where(
        IncidentEvidence.incident == incident.id, IncidentEvidence.id == known_ident("piece of evidence", piece)
    )
    row = await session.scalar(query.options(undefer(IncidentEvidence.content)))
    if row is None:
        raise not_found("piece of evidence", piece)
    if row.query is not None:
        _require(caller, row.query.partition(" ")[0])
    if hashlib.sha256(row.content).hexdigest() != row.sha256:
        raise WatchfloorError(ErrorCode.INTERNAL, f"{row.name} is not what was kept: its SHA-256 differs.")
    draft = audit.AuditDraft(
        "incidents.evidence.read",
        "read evidence of incident",
        resource_type=INCIDENT,
        resource_id=incident.id,
        incident=incident.id,
        new_value={"name": row.name, "sha256": row.sha256},
    )
    await audit.record(session, runtime, caller, draft)
    return Content(row.name, row.content, row.sha256)
