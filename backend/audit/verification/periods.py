"""Seals the past periods of every log, empty ones too: how many entries, and the tree's root after them.

Must never seal a period that can still grow: sealing holds the log's head and moves its time to the period's end, and
the sequencer never places an entry before that time.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.events import AuditEvent
from backend.audit.meta import META_LOG
from backend.audit.service import AuditDraft, record
from backend.audit.tables import Ledger, LedgerHead
from backend.audit.verification.records import period_hash, period_record
from backend.audit.verification.trees import edge_at
from backend.audit.verification_tables import PeriodRecord, SealedPeriod
from backend.context import Runtime, system_caller
from backend.monitors import Monitor
from contract.verification import LedgerPeriod
from ledger.merkle import EMPTY_ROOT, CompactRange

INTERVAL_S: Final = 60.0
"""Nobody waits for a seal; an hourly period is sealed in its first minute."""
GRACE: Final = timedelta(seconds=5)
"""Lets what was committed in the last moment of a period reach the ledger in it."""
MAX_AT_ONCE: Final = 20
"""Periods of one log sealed in one transaction: after a long rest the others follow in the next ticks."""

_FIRST_HEAD: Final = text("""
INSERT INTO audit_heads (log, size, frontier, root, sequenced_at) VALUES (:log, 0, :frontier, :root, :at)
ON CONFLICT DO NOTHING
""")
_PLACED_AT: Final = text("SELECT sequenced_at FROM audit_entries WHERE log = :log AND seq = :seq")


async def seal_due(session: AsyncSession, runtime: Runtime) -> None:
    """Seal every period that is over."""
    ledger = await session.scalar(select(Ledger))
    if ledger is None:
        return
    logs = {*runtime.policy.audit_logs, META_LOG, *await session.scalars(select(LedgerHead.log))}
    for log in sorted(logs):  # the order in which the sequencer takes the heads
        for _ in range(MAX_AT_ONCE):
            if not await _seal_next(session, runtime, log, ledger.created_at):
                break


async def _seal_next(session: AsyncSession, runtime: Runtime, log: str, begun: datetime) -> bool:
    """Seal the first period of a log that is not, if it is over."""
    length = timedelta(hours=runtime.policy.watchfloor.ledger.period_hours)
    before = await session.scalar(
        select(SealedPeriod).where(SealedPeriod.log == log).order_by(SealedPeriod.n.desc()).limit(1)
    )
    start = before.period_end if before else floor_to(begun, length)
    end, now = start + length, runtime.clock.now()
    if end + GRACE > now:
        return False
    head = await _held_head(session, log, start)
    seq_start = before.seq_end if before else 0
    seq_end = await placed_before(session, log, end, seq_start, head.size)
    period = SealedPeriod(
        log=log,
        n=before.n + 1 if before else 0,
        period_start=start,
        period_end=end,
        seq_start=seq_start,
        seq_end=seq_end,
        record_count=seq_end - seq_start,
        hash_chain=(await edge_at(session, log, seq_end)).root(),
        prev_period_hash=period_hash(period_record(columns_of(before))) if before else None,
        sealed_at=now,
    )
    session.add(period)
    head.sequenced_at = max(head.sequenced_at, end)
    await session.flush()
    draft = AuditDraft(
        AuditEvent.PERIOD_SEALED, "seal a period", "audit_period", f"{log}/{period.n}",
        new_value=period_record(columns_of(period)), log=META_LOG,
    )  # fmt: skip
    await record(session, runtime, system_caller("ledger"), draft)
    return True


def floor_to(instant: datetime, length: timedelta) -> datetime:
    """The last multiple of a length since 1970, so that days begin at midnight UTC."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (instant - epoch) // length * length


async def _held_head(session: AsyncSession, log: str, at: datetime) -> LedgerHead:
    """The head of a log, held against the sequencer; made for a log that nothing was written to yet."""
    empty = {"log": log, "frontier": CompactRange().to_bytes(), "root": EMPTY_ROOT, "at": at}
    await session.execute(_FIRST_HEAD, empty)
    held = select(LedgerHead).where(LedgerHead.log == log).with_for_update().execution_options(populate_existing=True)
    return (await session.scalars(held)).one()


async def placed_before(session: AsyncSession, log: str, instant: datetime, low: int, high: int) -> int:
    """The first number that was placed at or after an instant: times never fall, so halving finds it."""
    while low < high:
        middle = (low + high) // 2
        placed = await session.scalar(_PLACED_AT, {"log": log, "seq": middle})
        if placed is None or placed < instant:
            low = middle + 1
        else:
            high = middle
    return low


def columns_of(period: SealedPeriod) -> Mapping[str, Any]:
    """A period as `records` takes it."""
    return {column.name: getattr(period, column.name) for column in SealedPeriod.__table__.columns}


async def latest(session: AsyncSession, log: str | None, limit: int) -> list[LedgerPeriod]:
    """The newest sealed periods, with who verified each last."""
    wanted = select(PeriodRecord).order_by(PeriodRecord.period_end.desc(), PeriodRecord.log).limit(limit)
    rows = await session.scalars(wanted if log is None else wanted.where(PeriodRecord.log == log))
    return [_shown(row) for row in rows]


def _shown(row: PeriodRecord) -> LedgerPeriod:
    return LedgerPeriod(
        log=row.log,
        n=row.n,
        period_start=row.period_start,
        period_end=row.period_end,
        seq_start=row.seq_start,
        seq_end=row.seq_end,
        record_count=row.record_count,
        hash_chain=row.hash_chain.hex(),
        prev_period_hash=row.prev_period_hash.hex() if row.prev_period_hash else None,
        sealed_at=row.sealed_at,
        verified_at=row.verified_at,
        verified_by=row.verified_by,
    )


PERIODS = Monitor("ledger periods", INTERVAL_S, seal_due)
