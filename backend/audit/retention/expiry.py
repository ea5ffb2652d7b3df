"""Deletes personal values on their date, also while the entries they belong to stay. Touches no entry.

A value's date is the day of its entry and the retention of its log. Counted in whole days (UTC), so that there is one
announcement a day and not one a minute.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.events import AuditEvent
from backend.audit.heads.writing import fenced
from backend.audit.meta import META_LOG
from backend.audit.retention import holds
from backend.audit.retention.inventory import CALLER
from backend.audit.retention.standing import keep_days
from backend.audit.service import AuditDraft
from backend.context import Runtime
from backend.monitors import Lead
from ledger.canon import format_instant

BATCH_VALUES: Final = 5_000
"""Deleted in one transaction: a fraction of a second, in which an erasure of the same values waits."""

_LOGS = text("SELECT log FROM audit_heads ORDER BY log")
_EXPIRE = text(f"""
WITH old AS (
    SELECT entry_id, field FROM audit_sealed
    WHERE log = :log AND occurred_at < :before AND {holds.FREE_OF_HOLDS}
    LIMIT :limit FOR UPDATE SKIP LOCKED),
gone AS (
    DELETE FROM audit_sealed AS sealed USING old
    WHERE sealed.entry_id = old.entry_id AND sealed.field = old.field RETURNING 1)
SELECT count(*) FROM gone
""")  # noqa: S608  constants of this code


def expired_before(now: datetime, days: int) -> datetime:
    """Entries from before this instant have lost their personal values: it is the start of a day."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)


async def expire(runtime: Runtime, lead: Lead) -> int:
    """Delete every personal value past its date; gives how many.

    Raises:
        LeadershipLostError: another backend sees to retention.
    """
    async with runtime.database.read() as session:
        logs = list(await session.scalars(_LOGS))
    total = 0
    for name in logs:
        days = keep_days(runtime, name)
        while days is not None:
            count = await _batch(runtime, name, expired_before(runtime.clock.now(), days), lead)
            total += count
            if count < BATCH_VALUES:
                break
    return total


async def _batch(runtime: Runtime, name: str, before: datetime, lead: Lead) -> int:
    async with fenced(runtime, lead) as session:
        await holds.forbid_new_ones(session)
        values = {"log": name, "before": before, "limit": BATCH_VALUES}
        count = int((await session.execute(_EXPIRE, values)).scalar_one())
        if count:
            await _announce(session, runtime, name, before, count)
        return count


async def _announce(session: AsyncSession, runtime: Runtime, name: str, before: datetime, count: int) -> None:
    draft = AuditDraft(
        event_type=AuditEvent.SEALED_EXPIRED,
        action="personal values past their retention deleted",
        resource_type="log",
        resource_id=name,
        new_value={"log": name, "before": format_instant(before), "values": count},
        log=META_LOG,
    )
    await audit.record(session, runtime, CALLER, draft)
