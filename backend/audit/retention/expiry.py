"""Deletes personal values on their date, also while the entries they belong to stay. Touches no entry.

A value's date is the day of its entry and the retention of its log, or what the policy says of personal data in logs if
that is shorter. Counted in whole days (UTC), so that there is one announcement a day and not one a minute.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import quarantined
from backend.audit import service as audit
from backend.audit.events import AuditEvent
from backend.audit.heads.writing import fenced
from backend.audit.imported_logs import stated_days
from backend.audit.introducing import NAME
from backend.audit.meta import META_LOG
from backend.audit.retention import holds
from backend.audit.retention.inventory import CALLER
from backend.audit.service import AuditDraft
from backend.context import Runtime
from backend.monitors import Lead
from ledger.canon import format_instant

BATCH_VALUES: Final = 5_000
"""Deleted in one transaction: a fraction of a second, in which an erasure of the same values waits."""

_LOGS = text("""
SELECT log FROM audit_heads UNION SELECT log FROM audit_quarantine WHERE sealed IS NOT NULL ORDER BY log
""")
# what binds a name to its surrogate stays as long as the name is known: an erasure ends both
_EXPIRE = text(f"""
WITH old AS (
    SELECT entry_id, field FROM audit_sealed
    WHERE log = :log AND occurred_at < :before AND NOT (log = '{META_LOG}' AND field = '{NAME}')
        AND {holds.FREE_OF_HOLDS}
    LIMIT :limit FOR UPDATE SKIP LOCKED),
gone AS (
    DELETE FROM audit_sealed AS sealed USING old
    WHERE sealed.entry_id = old.entry_id AND sealed.field = old.field RETURNING 1)
SELECT count(*) FROM gone
""")  # noqa: S608  constants of this code


@dataclass(frozen=True, slots=True)
class Term:
    """How long the personal values of a log stay, and what says so."""

    log: str
    days: int
    stated_by: str

    @classmethod
    def of(cls, runtime: Runtime, log: str, kept_days: int | None) -> "Term | None":
        """The shorter of what is stated of the log and of personal data; None when neither is."""
        days = runtime.policy.personal_days(kept_days)
        if days is None:
            return None
        return cls(
            log,
            days,
            "the retention of the log" if days == kept_days else "the policy's privacy.retention_days.log_data",
        )

    def before(self, now: datetime) -> datetime:
        """Entries from before this instant have lost their personal values: it is the start of a day."""
        return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=self.days)


async def expire(runtime: Runtime, lead: Lead) -> int:
    """Delete every personal value past its date; gives how many.

    Raises:
        LeadershipLostError: another backend sees to retention.
    """
    async with runtime.database.read() as session:
        kept = await stated_days(session, runtime)
        logs = list(await session.scalars(_LOGS))
    total = 0
    for name in logs:
        term = Term.of(runtime, name, kept.get(name))
        while term is not None:
            count, is_last = await _batch(runtime, term, lead)
            total += count
            if is_last:
                break
    return total


async def _batch(runtime: Runtime, term: Term, lead: Lead) -> tuple[int, bool]:
    """Delete some values; gives how many, and whether these were all."""
    async with fenced(runtime, lead) as session:
        await holds.forbid_new_ones(session)
        before = term.before(runtime.clock.now())
        values = {"log": term.log, "before": before, "limit": BATCH_VALUES}
        count = int((await session.execute(_EXPIRE, values)).scalar_one())
        rows, aside = await quarantined.expire(session, runtime, term.log, before)
        if count or aside:
            await _announce(session, runtime, term, before, {"values": count, "quarantined_values": aside})
        return count + aside, count < BATCH_VALUES and rows < quarantined.BATCH_ROWS


async def _announce(
    session: AsyncSession, runtime: Runtime, term: Term, before: datetime, counts: dict[str, int]
) -> None:
    """By `before` a verification knows which values are gone rightly."""
    told = {"log": term.log, "before": format_instant(before), "days": term.days, "stated_by": term.stated_by}
    draft = AuditDraft(
        event_type=AuditEvent.SEALED_EXPIRED,
        action="personal values past their retention deleted",
        resource_type="log",
        resource_id=term.log,
        new_value=told | counts,
        log=META_LOG,
    )
    await audit.record(session, runtime, CALLER, draft)
