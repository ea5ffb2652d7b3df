"""Lists what is in the archive, page by page. Reads only, and only what was noted when copies were looked at."""

import base64
import binascii

import orjson
from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.retention_tables import ArchiveCopy as CopyRow
from backend.audit.retention_tables import Purge
from backend.errors import WatchfloorError
from contract.base import Page
from contract.errors import ErrorCode
from contract.retention import ArchivedPartition, CopyState, KeptCopy


async def archived(
    session: AsyncSession, *, log: str | None, cursor: str | None, limit: int
) -> Page[ArchivedPartition]:
    """Partitions with copies, by log and number.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    key = (CopyRow.log, CopyRow.seq_from)
    wanted = select(*key).distinct().order_by(*key).limit(limit + 1)
    if log is not None:
        wanted = wanted.where(CopyRow.log == log)
    if cursor is not None:
        wanted = wanted.where(tuple_(*key) > tuple_(*map(literal, _after(cursor))))
    found = [(one.log, one.seq_from) for one in await session.execute(wanted)]
    page = found[:limit]
    dropped = await _dropped(session)
    rows = (await session.scalars(select(CopyRow).where(tuple_(*key).in_(page)).order_by(CopyRow.place))).all()
    items = [_wire([row for row in rows if (row.log, row.seq_from) == one], dropped.get(one[0], 0)) for one in page]
    more = base64.urlsafe_b64encode(orjson.dumps(page[-1])).decode() if len(found) > limit else None
    return Page(items=items, next_cursor=more)


async def _dropped(session: AsyncSession) -> dict[str, int]:
    rows = await session.execute(select(Purge.log, func.max(Purge.first_kept_seq)).group_by(Purge.log))
    return {row[0]: row[1] for row in rows}


def _after(cursor: str) -> tuple[str, int]:
    try:
        log, seq_from = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        if isinstance(log, str) and type(seq_from) is int and "\0" not in log:
            return log, seq_from
    except (ValueError, TypeError, binascii.Error):
        pass
    raise WatchfloorError(
        ErrorCode.INVALID_REQUEST, "The cursor is not one this server gave out.", hint="Start from the first page."
    )


def _wire(rows: list[CopyRow], kept_from: int) -> ArchivedPartition:
    first = rows[0]
    return ArchivedPartition(
        log=first.log,
        seq_from=first.seq_from,
        seq_until=first.seq_until,
        is_dropped=first.seq_until <= kept_from,
        copies=[
            KeptCopy(
                place=row.place,
                manifest=row.manifest,
                sha256=row.sha256.hex() if row.sha256 is not None else None,
                size_bytes=row.size_bytes,
                state=CopyState(row.state),
                problem=row.problem,
                written_at=row.written_at,
                checked_sound=row.checked_sound,
                last_checked=row.last_checked,
            )
            for row in rows
        ],
    )
