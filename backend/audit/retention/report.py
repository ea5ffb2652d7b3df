"""Says how the retention of the ledger stands. Reads only."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.imported_logs import stated_days
from backend.audit.pruning import pruned_edge
from backend.audit.retention import inventory
from backend.audit.retention.heldpeople import Patience
from backend.audit.retention.standing import Standing, about, due_at
from backend.audit.retention.survey import Partition, closed_on
from backend.audit.retention_tables import ArchiveCopy as CopyRow
from backend.context import Runtime
from backend.stores import open_stores
from contract.retention import ArchiveCopy, CopyState, LogRetention, PartitionRetention, RetentionReport

MAX_FAILING: Final = 100
"""Failing copies told of; a place that is away fails them all."""
LOOK_S: Final = 2.0
"""Spent on legal holds on people in all logs together: somebody waits for the report."""

_LOGS = text("""
SELECT head.log, head.size, (
    SELECT sequenced_at FROM audit_entries WHERE log = head.log ORDER BY seq LIMIT 1) AS oldest
FROM audit_heads AS head ORDER BY head.log
""")


async def report(session: AsyncSession, runtime: Runtime) -> RetentionReport:
    """Everything about every log and every copy.

    Raises:
        ConfigurationError: the setting of the places is wrong.
    """
    stores = open_stores(runtime.settings.archives)
    partitions = await closed_on(session)
    patience = Patience.of(LOOK_S)
    oldest = {one.log: one for one in reversed(partitions)}
    asked = {log: await about(session, runtime, stores, one, patience) for log, one in oldest.items()}
    known = await inventory.copies(session)
    failing = [copy for copy in known if copy.state != CopyState.SOUND]
    return RetentionReport(
        as_of=runtime.clock.now(),
        places=[store.place for store in stores],
        copies_needed=runtime.policy.ledger.archive_copies,
        logs=[
            await _log(session, runtime, row, [one for one in partitions if one.log == row.log], asked.get(row.log))
            for row in (await session.execute(_LOGS)).all()
        ],
        sound_copies=len(known) - len(failing),
        failing_copies=[_failing(copy) for copy in failing[:MAX_FAILING]],
    )


def _failing(copy: CopyRow) -> ArchiveCopy:
    return ArchiveCopy(
        log=copy.log,
        seq_from=copy.seq_from,
        place=copy.place,
        state=CopyState(copy.state),
        problem=copy.problem,
        last_checked=copy.last_checked,
    )


async def _log(
    session: AsyncSession, runtime: Runtime, row: Row[Any], partitions: Sequence[Partition], asked: Standing | None
) -> LogRetention:
    dropped = (await pruned_edge(session, row.log)).size
    days = (await stated_days(session, runtime)).get(row.log)
    dues = [due_at(days, one) for one in partitions]
    return LogRetention(
        log=row.log,
        keep_days=days,
        entries=row.size - dropped,
        dropped=dropped,
        oldest=row.oldest,
        full_partitions=len(partitions),
        due_partitions=sum(due is not None and due <= runtime.clock.now() for due in dues),
        next=None if asked is None else _next(asked),
    )


def _next(asked: Standing) -> PartitionRetention:
    return PartitionRetention(
        seq_from=asked.partition.seq_from,
        seq_until=asked.partition.seq_until,
        due_at=asked.due_at,
        held_back_by=list(asked.held_back_by),
    )
