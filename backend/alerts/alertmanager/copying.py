"""Has silences made here stand in Alertmanagers too: created there, found again after a crash, and ended with ours.

What should be there is compared with what is, each time anew: a crash between asking and writing down leaves nothing
behind, because a copy names in its comment whose it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import or_, select

from backend.alerts.alertmanager.line import Line, SilentSourceError, SourceError
from backend.alerts.alertmanager.polling import Watched
from backend.alerts.tables import OWN_SOURCE, SilenceRow
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from contract.alert_work import CopyState, Matcher, MatchOp, SilenceCopy
from contract.alertmanager import ForeignSilence

MAX_COPIES: Final = 500
"""Silences made here that are looked at in one go, the newest."""
_REGEXES: Final = frozenset({MatchOp.MATCHES, MatchOp.MATCHES_NOT})
_EQUAL: Final = frozenset({MatchOp.IS, MatchOp.MATCHES})
_EXPIRED: Final = "expired"
_FINAL: Final = (CopyState.ENDED_THERE, CopyState.ENDED)
_SAME_TIME: Final = timedelta(seconds=1)
"""A copy that ends so little before ours has run out by its own clock: nobody ended it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A silence made here, as it is to stand in one Alertmanager."""

    id: str
    copy: SilenceCopy
    """What is known of it there."""
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str

    @property
    def mark(self) -> str:
        """What the copy's comment ends with."""
        return f"(Watchfloor {self.id})"

    def is_behind(self, now: datetime) -> bool:
        """Whether something is to be done there, by what is known here."""
        return self.copy.state is (CopyState.STANDING if self.ends_at <= now else CopyState.PENDING)

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

    state: CopyState
    id: str | None
    act: str = ""
    """What the audit log says was done; empty: nothing was."""
    error: str | None = None


async def reconcile(runtime: Runtime, caller: Caller, source: Watched, there: Sequence[ForeignSilence]) -> int:
    """Create and end copies in one Alertmanager until it has what it should; how many were changed."""
    wanted = await _wanted(runtime, source.name)
    changed = 0
    for place, one in enumerate(wanted):
        try:
            done = await _brought_in_line(runtime, source.line, one, there)
        except SilentSourceError as error:  # the others would each wait as long
            await _note_errors(runtime, caller, source, [one, *_behind(runtime, wanted[place + 1 :])], error)
            break
        except SourceError as error:
            await _note_errors(runtime, caller, source, [one], error)
            continue
        if done is not None:
            await _write_down(runtime, caller, source, one, done)
            changed += 1
    return changed


async def note_unreached(runtime: Runtime, caller: Caller, source: Watched, error: SourceError) -> None:
    """Have the silences show why they are not made, or not ended, in an Alertmanager that does not say what it has."""
    await _note_errors(runtime, caller, source, _behind(runtime, await _wanted(runtime, source.name)), error)


def _behind(runtime: Runtime, wanted: Sequence[Wanted]) -> list[Wanted]:
    now = runtime.clock.now()
    return [one for one in wanted if one.is_behind(now)]


async def _note_errors(
    runtime: Runtime, caller: Caller, source: Watched, wanted: Sequence[Wanted], error: SourceError
) -> None:
    for one in wanted:
        if one.copy.error != str(error):
            await _write_down(runtime, caller, source, one, Told(one.copy.state, one.copy.id, error=str(error)))


async def _wanted(runtime: Runtime, name: str) -> list[Wanted]:
    """Silences made here with a copy there that has not ended."""
    over = [SilenceRow.copies.contains([{"source": name, "state": state.value}]) for state in _FINAL]
    async with runtime.database.read() as session:
        rows = await session.scalars(
            select(SilenceRow)
            .where(SilenceRow.source == OWN_SOURCE, SilenceRow.copies.contains([{"source": name}]), ~or_(*over))
            .order_by(SilenceRow.created_at.desc(), SilenceRow.id)
            .limit(MAX_COPIES)
        )
        return [
            Wanted(
                id=str(row.id),
                copy=next(SilenceCopy.model_validate(copy) for copy in row.copies if copy["source"] == name),
                matchers=tuple(Matcher.model_validate(one) for one in row.matchers),
                starts_at=row.starts_at,
                ends_at=row.ends_at,
                comment=row.comment,
                created_by=row.created_by,
            )
            for row in rows
        ]


async def _brought_in_line(
    runtime: Runtime, line: Line, wanted: Wanted, there: Sequence[ForeignSilence]
) -> Told | None:
    """Do what is to be done about one copy; None: nothing was, and nothing new is known.

    A copy that somebody ended there stays ended, also once its Alertmanager has forgotten it: they are there and mean
    it.
    """
    copy = _found(wanted, there)
    if wanted.ends_at <= runtime.clock.now():
        if copy is None or copy.state == _EXPIRED:
            return Told(CopyState.ENDED, wanted.copy.id)
        await line.end_silence(copy.id)
        return Told(CopyState.ENDED, copy.id, "ended")
    if copy is None:
        return Told(CopyState.STANDING, await line.create_silence(wanted.body()), "created")
    if copy.state == _EXPIRED:
        early = copy.ends_at < wanted.ends_at - _SAME_TIME
        return Told(CopyState.ENDED_THERE, copy.id, "found ended") if early else Told(CopyState.ENDED, copy.id)
    if copy.id == wanted.copy.id and wanted.copy.error is None:
        return None
    return Told(CopyState.STANDING, copy.id, "" if copy.id == wanted.copy.id else "found")


def _found(wanted: Wanted, there: Sequence[ForeignSilence]) -> ForeignSilence | None:
    """The copy by its id or its mark: it may have been created without its id being written down.

    One that somebody changed there has expired, and another with the same mark stands in its place.
    """
    ours = [one for one in there if one.id == wanted.copy.id or one.comment.endswith(wanted.mark)]
    return min(ours, key=lambda one: (one.state == _EXPIRED, one.id != wanted.copy.id), default=None)


async def _write_down(runtime: Runtime, caller: Caller, source: Watched, wanted: Wanted, told: Told) -> None:
    async with runtime.database.transaction() as session:
        await source.fence(session)
        row = await session.get_one(SilenceRow, UUID(wanted.id), with_for_update=True)
        copy = SilenceCopy(source=source.name, id=told.id, error=told.error, state=told.state).model_dump(mode="json")
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
