"""Silences: seeing what one would mute, making one, ending one early, and finding silences.

A silence mutes what its matchers match from its beginning to its end; alerts raised in between are muted as they come.
Copies of it in Alertmanagers are made and ended by `backend.alerts.alertmanager`, which reads what stands here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.alerts.matched import matching, usable
from backend.alerts.muting_core import state_of
from backend.alerts.rows import LIVE, wire
from backend.alerts.setting_aside import note
from backend.alerts.silencing import beginning, carry_out, ending
from backend.alerts.tables import OWN_SOURCE, AlertmanagerSource, AlertRow, SilenceRow
from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.lookup import row_named
from backend.paging import COUNT_CAP, cut_page, newest_first
from contract.alert_work import (
    MAX_SILENCE_MINUTES,
    Matcher,
    Silence,
    SilenceCopy,
    SilencePreview,
    SilenceRequest,
    SilenceState,
)
from contract.base import Page
from contract.errors import ErrorCode

MAX_SHOWN: Final = 50
"""Alerts that a preview lists: what somebody reads before pressing Enter."""
_LONGEST: Final = timedelta(minutes=MAX_SILENCE_MINUTES)


async def preview(session: AsyncSession, matchers: Sequence[Matcher]) -> SilencePreview:
    """What a silence would mute now.

    Raises:
        WatchfloorError: INVALID_REQUEST for matchers that a silence cannot have.
    """
    with usable(matchers):
        found = await matching(session, matchers, COUNT_CAP)
    shown = found[:MAX_SHOWN]
    rows = {row.id: row for row in await session.scalars(select(AlertRow).where(AlertRow.id.in_(shown)))}
    alerts = [wire(rows[ident]) for ident in shown]
    return SilencePreview(total=len(found), alerts=alerts, sources=await _elsewhere(session))


async def _elsewhere(session: AsyncSession) -> list[str]:
    """The Alertmanagers that a silence is created in too: those with an address."""
    names = select(AlertmanagerSource.name).where(AlertmanagerSource.url.is_not(None)).order_by(AlertmanagerSource.name)
    return list(await session.scalars(names))


async def create(session: AsyncSession, runtime: Runtime, caller: Caller, request: SilenceRequest) -> Silence:
    """Make a silence; one that begins now mutes before it is answered. The same key again answers the same silence.

    Raises:
        WatchfloorError: INVALID_REQUEST: matchers that a silence cannot have, or a time that is over or too long.
    """
    with usable(request.matchers):
        return await _created(session, runtime, caller, request)


async def _created(session: AsyncSession, runtime: Runtime, caller: Caller, request: SilenceRequest) -> Silence:
    now = runtime.clock.now()
    starts_at, ends_at = _times(request, now)
    copies = [SilenceCopy(source=name).model_dump(mode="json") for name in await _elsewhere(session)]
    values = {
        "id": runtime.clock.new_id(),
        "source": OWN_SOURCE,
        "matchers": [matcher.model_dump(mode="json") for matcher in request.matchers],
        "starts_at": starts_at,
        "ends_at": ends_at,
        "comment": request.comment,
        "created_by": caller.subject,
        "created_at": now,
        "idempotency_key": request.idempotency_key or None,
        "copies": copies,
    }
    added = await session.execute(
        insert(SilenceRow)
        .values(**values)
        .on_conflict_do_nothing(
            index_elements=["created_by", "idempotency_key"], index_where=SilenceRow.idempotency_key.is_not(None)
        )
        .returning(SilenceRow)
    )
    row = added.scalar_one_or_none()
    if row is None:
        row = await _made_before(session, caller, request)
    else:
        await audit.record(session, runtime, caller, note(row, "created"))
        if starts_at <= now:
            await carry_out(session, runtime, caller, [await beginning(session, row)])
    return (await _shown(session, [row], now))[0]


async def _made_before(session: AsyncSession, caller: Caller, request: SilenceRequest) -> SilenceRow:
    row = await session.scalar(
        select(SilenceRow).where(
            SilenceRow.created_by == caller.subject, SilenceRow.idempotency_key == request.idempotency_key
        )
    )
    if row is None or [Matcher.model_validate(one) for one in row.matchers] != list(request.matchers):
        raise WatchfloorError(ErrorCode.CONFLICT, "The idempotency key belongs to another silence.")
    return row


def _times(request: SilenceRequest, now: datetime) -> tuple[datetime, datetime]:
    starts_at = max(request.starts_at or now, now)
    if starts_at - now > _LONGEST:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A silence begins within 31 days.")
    ends_at = request.ends_at or starts_at + timedelta(minutes=request.minutes or 0)
    if ends_at <= starts_at:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A silence ends after it begins, and after now.")
    if ends_at - starts_at > _LONGEST:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, "A silence lasts at most 31 days.", hint="For longer, change the rule."
        )
    return starts_at, ends_at


async def end(session: AsyncSession, runtime: Runtime, caller: Caller, silence_id: str) -> Silence:
    """End a silence early: what it muted and goes on is raised again at once. Ending it twice changes nothing.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT for one that was made in an Alertmanager.
    """
    row = await row_named(session, SilenceRow, "silence", silence_id, lock=True)
    now = runtime.clock.now()
    if row.source != OWN_SOURCE:
        raise WatchfloorError(ErrorCode.CONFLICT, f"This silence was made in {row.source}: end it there.")
    if row.ends_at > now:
        row.ends_at, row.starts_at = now, min(row.starts_at, now)
        row.ended_by = caller.subject
    if row.lifted_at is None:
        await carry_out(session, runtime, caller, [await ending(session, row)])
    return (await _shown(session, [row], now))[0]


async def get(session: AsyncSession, runtime: Runtime, silence_id: str) -> Silence:
    """One silence.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await row_named(session, SilenceRow, "silence", silence_id)
    return (await _shown(session, [row], runtime.clock.now()))[0]


async def list_silences(
    session: AsyncSession, runtime: Runtime, states: Sequence[SilenceState], *, cursor: str | None, limit: int
) -> Page[Silence]:
    """One page of silences, the newest first.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    now = runtime.clock.now()
    query = select(SilenceRow)
    if states:
        query = query.where(_state_at(now).in_([state.value for state in states]))
    query = newest_first(query, SilenceRow.created_at, SilenceRow.id, cursor, limit)
    rows = (await session.scalars(query)).all()
    page, more = cut_page(rows, limit, lambda row: (row.created_at, row.id))
    return Page(items=await _shown(session, page, now), next_cursor=more, as_of=now)


def _state_at(now: datetime) -> ColumnElement[str]:
    return case(
        (SilenceRow.ends_at <= now, SilenceState.ENDED.value),
        (SilenceRow.starts_at > now, SilenceState.PENDING.value),
        (SilenceRow.set_aside_at.is_not(None), SilenceState.SET_ASIDE.value),
        else_=SilenceState.ACTIVE.value,
    )


async def _shown(session: AsyncSession, rows: Sequence[SilenceRow], now: datetime) -> list[Silence]:
    await session.flush()
    muted = await _muted_now(session, [str(row.id) for row in rows] + [row.source_id for row in rows if row.source_id])
    return [_wire(row, now, muted) for row in rows]


async def _muted_now(session: AsyncSession, idents: Sequence[str]) -> dict[str, int]:
    mute = func.jsonb_array_elements(AlertRow.muted_by).table_valued("value").alias("mute")
    ident = mute.c.value.op("->>")("id")
    counted = await session.execute(
        select(ident, func.count()).select_from(AlertRow).join(mute, ident.in_(idents)).where(LIVE).group_by(ident)
    )
    return {row[0]: row[1] for row in counted}


def _wire(row: SilenceRow, now: datetime, muted: dict[str, int]) -> Silence:
    return Silence(
        id=str(row.id),
        matchers=[Matcher.model_validate(one) for one in row.matchers],
        state=state_of(row.starts_at, row.ends_at, now, set_aside=row.set_aside_at is not None),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        comment=row.comment,
        created_by=row.created_by,
        created_at=row.created_at,
        ended_by=row.ended_by,
        source=row.source,
        copies=[SilenceCopy.model_validate(one) for one in row.copies],
        muted_now=muted.get(str(row.id), 0) + muted.get(row.source_id or "", 0),
    )
