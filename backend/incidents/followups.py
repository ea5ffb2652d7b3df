"""What is to be done after incidents so that they do not happen again: with owner, due date and age."""

from datetime import UTC, date, datetime
from typing import Final, Literal

from sqlalchemy import ColumnElement, DateTime, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from backend.incidents import checking, cursors
from backend.incidents.numbering import follow_up_id
from backend.incidents.tables import IncidentFollowUp
from backend.incidents.writing import Writing, writing
from contract.base import Page
from contract.errors import ErrorCode
from contract.incidents import FollowUp, FollowUpChange, FollowUpRequest

MAX_FOLLOW_UPS: Final = 500
"""Of one incident; whoever has more has not decided what matters."""
_NEVER: Final = date(9999, 12, 31)
"""What has no due date comes after all that has one."""
_DUE: Final = cast(func.coalesce(IncidentFollowUp.due_on, _NEVER), DateTime(timezone=True))
_PLACE: Final = IncidentFollowUp.incident + "/" + func.to_char(IncidentFollowUp.number, "FM000000")
Which = Literal["open", "done", "all"]


def show(row: IncidentFollowUp, now: datetime) -> FollowUp:
    """One as it travels; its age and whether it is overdue are as of now, by UTC dates."""
    today = now.astimezone(UTC).date()
    until = (row.done_at or now).astimezone(UTC).date()
    return FollowUp(
        id=follow_up_id(row.incident, row.number),
        incident=row.incident,
        number=row.number,
        text=row.text,
        owner=row.owner,
        due_on=row.due_on,
        created_by=row.created_by,
        created_at=row.created_at,
        done_at=row.done_at,
        done_by=row.done_by,
        note=row.note,
        age_days=(until - row.created_at.astimezone(UTC).date()).days,
        overdue=row.done_at is None and row.due_on is not None and row.due_on < today,
        version=row.version,
    )


async def add(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: FollowUpRequest
) -> FollowUp:
    """Write down something to be done; also after the incident is closed: that is when most of it is found.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT past the most there may be.
    """
    work = await writing(session, runtime, caller, ident)
    if work.row.last_follow_up >= MAX_FOLLOW_UPS:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{work.row.id} has {MAX_FOLLOW_UPS} follow-up actions already.")
    work.row.last_follow_up += 1
    row = IncidentFollowUp(
        incident=work.row.id,
        number=work.row.last_follow_up,
        text=checking.name("text", request.text),
        owner=None if request.owner is None else checking.name("owner", request.owner),
        due_on=request.due_on,
        created_by=caller.subject,
        created_at=work.now,
        note="",
        version=1,
    )
    session.add(row)
    await work.entry("follow_up", f"To be done ({row.number}): {row.text}{_owned(row)}")
    told = {"number": row.number, "text": row.text, "owner": row.owner, "due_on": _date(row.due_on)}
    await work.finish("incidents.follow_up.added", "add follow-up action", told)
    return show(row, work.now)


async def one(session: AsyncSession, runtime: Runtime, incident: str, number: int) -> FollowUp:
    """One by its number.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await session.get(IncidentFollowUp, (incident, number))
    if row is None:
        raise not_found("follow-up action", follow_up_id(incident, number))
    return show(row, runtime.clock.now())


def _owned(row: IncidentFollowUp) -> str:
    owner = f", {row.owner}" if row.owner else ""
    return f"{owner}, by {row.due_on}" if row.due_on else owner


def _date(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


async def change(  # noqa: PLR0917  what a route has
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, number: int, request: FollowUpChange
) -> FollowUp:
    """Change something to be done, or say that it is; what is not given stays.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if somebody else has changed it since the version that was seen.
    """
    work = await writing(session, runtime, caller, ident)
    row = await session.get(IncidentFollowUp, (work.row.id, number), populate_existing=True)
    if row is None:
        raise not_found("follow-up action", follow_up_id(work.row.id, number))
    told = _apply(work, row, request)
    if not told:
        return show(row, work.now)
    if request.version is not None and request.version != row.version:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"Somebody else has changed {follow_up_id(work.row.id, number)} meanwhile.",
            hint="Look at what it says now, and change it again if it is still wrong.",
        )
    row.version += 1
    done = "" if "done" not in told else " is done" if told["done"] else " is not done after all"
    said = f": {row.note}" if "note" in told and row.note else ""
    await work.entry("follow_up", f"Action {row.number} ({row.text}){done or ' was changed'}{_owned(row)}{said}")
    await work.finish("incidents.follow_up.changed", "change follow-up action", {"number": row.number, **told})
    return show(row, work.now)


def _apply(work: Writing, row: IncidentFollowUp, request: FollowUpChange) -> dict[str, object]:
    told: dict[str, object] = {}
    given = request.model_dump(exclude={"done", "version"}, exclude_unset=True)
    for fact, value in given.items():
        if value is None and fact not in {"owner", "due_on"}:
            continue  # without a text there is nothing to do
        wanted = checking.name(fact, value) if fact in {"text", "owner"} and value is not None else value
        if getattr(row, fact) != wanted:
            setattr(row, fact, wanted)
            told[fact] = None if wanted is None else str(wanted)
    if request.done is not None and request.done != (row.done_at is not None):
        row.done_at = work.now if request.done else None
        row.done_by = work.caller.subject if request.done else None
        told["done"] = request.done
    return told


def _state(which: Which) -> list[ColumnElement[bool]]:
    match which:
        case "open":
            return [IncidentFollowUp.done_at.is_(None)]
        case "done":
            return [IncidentFollowUp.done_at.is_not(None)]
        case "all":
            return []


async def page(
    session: AsyncSession, runtime: Runtime, *, which: Which, owner: str | None, incident: str | None,
    cursor: str | None, limit: int,
) -> Page[FollowUp]:  # fmt: skip
    """One page, the longest overdue first, those without a due date last.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    now = runtime.clock.now()
    conditions = _state(which)
    if owner is not None:
        conditions.append(func.lower(IncidentFollowUp.owner) == owner.strip().lower())
    if incident is not None:
        conditions.append(IncidentFollowUp.incident == incident)
    after = None if cursor is None else cursors.decode(cursor, str)
    query = cursors.page_of(
        select(IncidentFollowUp).where(*conditions), _DUE, _PLACE, after=after, limit=limit, newest=False
    )
    rows, more = cursors.cut((await session.scalars(query)).all(), limit, _position)
    return Page(items=[show(row, now) for row in rows], next_cursor=more, as_of=now)


def _position(row: IncidentFollowUp) -> tuple[datetime, str]:
    due = row.due_on or _NEVER
    return datetime(due.year, due.month, due.day, tzinfo=UTC), f"{row.incident}/{row.number:06d}"


async def counts(session: AsyncSession, runtime: Runtime) -> tuple[int, int]:
    """How many are not done, and how many of these are overdue."""
    today = runtime.clock.now().astimezone(UTC).date()
    overdue = func.count().filter(IncidentFollowUp.due_on < today)
    query = select(func.count(), overdue).where(IncidentFollowUp.done_at.is_(None))
    waiting, late = (await session.execute(query)).one()
    return waiting, late


async def of_incident(session: AsyncSession, runtime: Runtime, incident: str) -> list[FollowUp]:
    """Everything that is to be done, or was, after one incident."""
    query = select(IncidentFollowUp).where(IncidentFollowUp.incident == incident).order_by(IncidentFollowUp.number)
    now = runtime.clock.now()
    return [show(row, now) for row in await session.scalars(query.limit(MAX_FOLLOW_UPS))]
