"""Deploys: facts that a CI system posts, so that people see what changed before something went wrong.

Believes what it is told, and says by whom. Must never start, stop or judge a deploy.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.changes.tables import DeployRow
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.nearest import Span, nearest_rows
from backend.paging import count_capped, cut_page, newest_first
from backend.standins import replace_name
from contract.base import Page
from contract.changes import Deploy, DeployRequest
from contract.errors import ErrorCode
from contract.scope import Scope

__all__ = ["DeployFilter", "deploys", "deploys_around", "forget_person", "record"]

LONGEST: Final = timedelta(days=1)
"""Of one deploy; what takes longer is several, and a search by time need not look further back."""
_CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""How far the clock of a CI system may be ahead of ours."""
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Whoever names an earlier instant has mistyped it."""


@dataclass(frozen=True, slots=True)
class DeployFilter:
    """What a page of deploys is narrowed to; None leaves a field open."""

    service: str | None = None
    environment: str | None = None
    since: datetime | None = None
    """Started then or later."""
    until: datetime | None = None
    """Started before then."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL conditions."""
        found: list[ColumnElement[bool]] = []
        if self.service is not None:
            found.append(DeployRow.service == self.service)
        if self.environment is not None:
            found.append(DeployRow.environment == self.environment)
        if self.since is not None:
            found.append(DeployRow.started_at >= self.since)
        if self.until is not None:
            found.append(DeployRow.started_at < self.until)
        return found


async def record(session: AsyncSession, runtime: Runtime, caller: Caller, request: DeployRequest) -> Deploy:
    """Write a deploy down; the same key of the same caller answers with the deploy that it wrote first.

    Raises:
        WatchfloorError: INVALID_REQUEST for an instant that cannot be; CONFLICT if the key was of another deploy.
    """
    now = runtime.clock.now()
    finished = None if request.finished_at is None else _instant(request.finished_at, now)
    started = finished or now if request.started_at is None else _instant(request.started_at, now)
    if finished is not None and finished - started > LONGEST:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A deploy takes at most a day.", hint="Record its last part.")
    given = request.model_dump(include={"service", "version", "environment", "url", "scope"})
    made = (
        insert(DeployRow)
        .values(
            id=runtime.clock.new_id(), **given, started_at=started, finished_at=finished,
            recorded_by=caller.subject, recorded_at=now, idempotency_key=request.idempotency_key or None,
        )
        .on_conflict_do_nothing()
        .returning(DeployRow)
    )  # fmt: skip
    row = await session.scalar(made)
    if row is None:
        return await _known(session, caller, request)
    told = {**given, "started_at": started.isoformat(), "finished_at": finished and finished.isoformat()}
    draft = AuditDraft("changes.deploy.recorded", "record deploy", "deploy", str(row.id), new_value=told)
    await audit.record(session, runtime, caller, draft)
    return _wire(row)


async def _known(session: AsyncSession, caller: Caller, request: DeployRequest) -> Deploy:
    wanted = select(DeployRow).where(
        DeployRow.recorded_by == caller.subject, DeployRow.idempotency_key == request.idempotency_key
    )
    row = (await session.scalars(wanted)).one()
    if (row.service, row.version, row.environment) != (request.service, request.version, request.environment):
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"That key is of the deploy of {row.service} {row.version}.",
            hint="Use another key for each deploy.",
        )
    return _wire(row)


def _instant(at: datetime, now: datetime) -> datetime:
    try:
        named = at.astimezone(UTC)
    except OverflowError:  # the first and the last day that there are, in another zone
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "That instant is none that this can hold.") from None
    if not _EARLIEST <= named <= now + _CLOCKS_DIFFER:
        told = f"{named.isoformat()} has not come yet, or is before the year 2000."
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, told, hint="Say when it happened, with its zone.")
    return named


async def deploys(
    session: AsyncSession, wanted: DeployFilter, *, cursor: str | None, limit: int, as_of: datetime
) -> Page[Deploy]:
    """One page of deploys, the one that was started last first.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    query = newest_first(
        select(DeployRow).where(*wanted.conditions()), DeployRow.started_at, DeployRow.id, cursor, limit
    )
    page, more = cut_page((await session.scalars(query)).all(), limit, lambda row: (row.started_at, row.id))
    return Page(items=[_wire(row) for row in page], next_cursor=more, as_of=as_of)


async def deploys_around(session: AsyncSession, span: Span, limit: int) -> tuple[list[Deploy], int]:
    """Deploys that went on at some moment of a time, begun nearest to its instant first, and their number."""
    ended = func.coalesce(DeployRow.finished_at, DeployRow.started_at)
    wanted = [DeployRow.started_at.between(span.since - LONGEST, span.until), ended >= span.since]
    query = select(DeployRow).where(*wanted)
    rows = await nearest_rows(session, query, DeployRow.started_at, DeployRow.id, span.at, limit)
    return [_wire(row) for row in rows], await count_capped(session, DeployRow, wanted)


async def forget_person(session: AsyncSession, name: str, *, stand_in: str) -> None:
    """Have a stand-in where the name of an erased person stood."""
    await replace_name(session, (DeployRow.recorded_by,), name, stand_in)


def _wire(row: DeployRow) -> Deploy:
    return Deploy(
        id=str(row.id),
        service=row.service,
        version=row.version,
        environment=row.environment,
        url=row.url,
        scope=None if row.scope is None else Scope.parse(row.scope),
        started_at=row.started_at,
        finished_at=row.finished_at,
        recorded_by=row.recorded_by,
        recorded_at=row.recorded_at,
    )
