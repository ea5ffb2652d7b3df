"""Has silences made here stand in Alertmanagers too: created there, found again after a crash, and ended with ours.

What should be there is compared with what is, each time anew: a crash between asking and writing down leaves nothing
behind, because a copy names in its comment whose it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.alertmanager.line import Line, SourceError
from backend.alerts.alertmanager.polling import Watched
from backend.alerts.tables import OWN_SOURCE, SilenceRow
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from contract.alert_work import Matcher, MatchOp
from contract.alertmanager import ForeignSilence

MAX_COPIES: Final = 500
"""Silences made here that are looked at in one go, the newest."""
_REGEXES: Final = frozenset({MatchOp.MATCHES, MatchOp.MATCHES_NOT})
_EQUAL: Final = frozenset({MatchOp.IS, MatchOp.MATCHES})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A silence made here, as it is to stand in one Alertmanager."""

    id: str
    copy_id: str | None
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str

    @property
    def mark(self) -> str:
        """What the copy's comment ends with."""
        return f"(Watchfloor {self.id})"

    def body(self) -> dict[str, Any]:
        """What creates the copy."""
        return {
            "matchers": [
                {
                    "name": one.name,
                    "value": one.value,
                    "isRegex": one.op in _REGEXES,
                    "isEqual": one.op in _EQUAL,
                }
                for one in self.matchers
            ],
            "startsAt": self.starts_at.isoformat(),
            "endsAt": self.ends_at.isoformat(),
            "createdBy": self.created_by,
            "comment": f"{self.comment} {self.mark}",
        }


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a copy."""

    act: str = ""
    """created, found or ended; empty for a failure."""
    id: str | None = None
    error: str | None = None


async def reconcile(runtime: Runtime, caller: Caller, source: Watched, there: Sequence[ForeignSilence]) -> int:
    """Create and end copies in one Alertmanager until it has what it should; how many were changed."""
    async with runtime.database.read() as session:
        wanted = await _wanted(session, source.name)
    changed = 0
    known = {silence.id: silence for silence in there}
    for one in wanted:
        try:
            done = await _brought_in_line(runtime, source.line, one, known)
        except SourceError as error:
            await _write_down(runtime, caller, source, one, Told(error=str(error)))
            continue
        if done is not None:
            await _write_down(runtime, caller, source, one, done)
            changed += 1
    return changed


async def _wanted(session: AsyncSession, name: str) -> list[Wanted]:
    rows = await session.scalars(
        select(SilenceRow)
        .where(SilenceRow.source == OWN_SOURCE, SilenceRow.copies.contains([{"source": name}]))
        .order_by(SilenceRow.created_at.desc(), SilenceRow.id)
        .limit(MAX_COPIES)
    )
    return [
        Wanted(
            id=str(row.id),
            copy_id=next(copy["id"] for copy in row.copies if copy["source"] == name),
            matchers=tuple(Matcher.model_validate(one) for one in row.matchers),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            comment=row.comment,
            created_by=row.created_by,
        )
        for row in rows
    ]


async def _brought_in_line(
    runtime: Runtime, line: Line, wanted: Wanted, known: Mapping[str, ForeignSilence]
) -> Told | None:
    """Do what is to be done about one copy; None: nothing was.

    A copy that somebody ended there stays ended: they are at the Alertmanager and mean it.
    """
    copy = known.get(wanted.copy_id or "") or _marked(wanted, known)
    if wanted.ends_at <= runtime.clock.now():
        if copy is None or copy.state == "expired":
            return None
        await line.end_silence(copy.id)
        return Told("ended", copy.id)
    if copy is None:
        return Told("created", await line.create_silence(wanted.body()))
    return None if copy.id == wanted.copy_id else Told("found", copy.id)


def _marked(wanted: Wanted, known: Mapping[str, ForeignSilence]) -> ForeignSilence | None:
    """A copy that was created without its id being written down."""
    return next((one for one in known.values() if one.comment.endswith(wanted.mark)), None)


async def _write_down(runtime: Runtime, caller: Caller, source: Watched, wanted: Wanted, told: Told) -> None:
    async with runtime.database.transaction() as session:
        await source.fence(session)
        row = await session.get_one(SilenceRow, UUID(wanted.id), with_for_update=True)
        copy = {"source": source.name, "id": told.id or wanted.copy_id, "error": told.error}
        if copy not in row.copies:
            row.copies = [copy if one["source"] == source.name else one for one in row.copies]
        if told.act:
            draft = AuditDraft(
                event_type="alerts.silence.copied",
                action=f"silence {told.act} in an Alertmanager",
                resource_type="silence",
                resource_id=wanted.id,
                new_value={"source": source.name, "id": told.id},
            )
            await audit.record(session, runtime, caller, draft)
