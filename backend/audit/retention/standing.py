"""Says of each full partition when it is due to be dropped and what speaks against it. Decides nothing else.

The same questions are asked for the report and, under locks, in the transaction that drops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.imported_logs import stated_days
from backend.audit.pruning import pruned_edge
from backend.audit.retention import heldpeople, holds, inventory
from backend.audit.retention.heldpeople import UNKNOWN, Patience, Reading
from backend.audit.retention.survey import Partition
from backend.audit.retention.vouching import voucher_for
from backend.audit.verification_tables import SealedPeriod, VerificationJob
from backend.context import Runtime
from backend.stores import Store

_OLDEST = text("SELECT min(seq_from) FROM audit_spans WHERE log = :log")


@dataclass(frozen=True, slots=True)
class Standing:
    """One partition."""

    partition: Partition
    due_at: datetime | None
    """None: its log is kept for ever."""
    held_back_by: tuple[str, ...]
    was_read_in_vain: bool = False
    """Its bytes were read and a legal hold keeps what stands in them."""

    def may_be_dropped(self, now: datetime) -> bool:
        """Whether it is due and nothing speaks against it."""
        return self.is_due(now) and not self.held_back_by

    def may_be_read(self, now: datetime) -> bool:
        """Whether it is due and nothing is known that speaks against it: its bytes say the rest."""
        return self.is_due(now) and all(reason.startswith(UNKNOWN) for reason in self.held_back_by)

    def is_due(self, now: datetime) -> bool:
        """Whether its date has come."""
        return self.due_at is not None and self.due_at <= now


def due_at(days: int | None, partition: Partition) -> datetime | None:
    """When the retention of a partition's newest entry ends, by its own time or by when it was placed: the later."""
    times = [one for one in (partition.newest, partition.last_sequenced) if one is not None]
    return max(times) + timedelta(days=days) if days is not None and times else None


async def standing(session: AsyncSession, runtime: Runtime, stores: Sequence[Store], partition: Partition) -> Standing:
    """Ask everything about one partition but what only its bytes can tell."""
    return await about(session, runtime, stores, partition, Patience.of(heldpeople.LOOK_S))


async def about(
    session: AsyncSession, runtime: Runtime, stores: Sequence[Store], partition: Partition, people: Patience | Reading
) -> Standing:
    """Ask everything, the dearest question last: holds on people, by index for so long or by the bytes just read."""
    reasons = [
        await _earlier(session, partition),
        await _unsealed(session, partition),
        await _unvouched(session, runtime, partition),
        inventory.too_few(
            runtime,
            stores,
            await inventory.copies(session, partition.log, partition.seq_from),
            runtime.clock.now(),
        ),
        await _being_verified(session),
        *await holds.on_entries(session, partition),
    ]
    if isinstance(people, Reading):
        kept = people.judge(await heldpeople.in_force(session, partition.log))
    else:
        kept = await heldpeople.found_by_index(session, partition, people)
    told = tuple(reason for reason in [*reasons, *kept] if reason is not None)
    due = due_at((await stated_days(session, runtime)).get(partition.log), partition)
    return Standing(partition, due, told, isinstance(people, Reading) and bool(kept))


async def _earlier(session: AsyncSession, partition: Partition) -> str | None:
    oldest = await session.scalar(_OLDEST, {"log": partition.log})
    kept_from = (await pruned_edge(session, partition.log)).size
    if oldest is not None and oldest < partition.seq_from:
        return "earlier entries are still here: only the oldest are ever dropped"
    return (
        None
        if kept_from == partition.seq_from
        else f"the entries before it do not end where the purge before did: {kept_from:,}"
    )


async def _being_verified(session: AsyncSession) -> str | None:
    """A verification that has begun expects the entries that were there then; one that died is taken up again."""
    running = select(VerificationJob.id).where(VerificationJob.state == "running")
    return "a verification is reading the ledger" if await session.scalar(running.limit(1)) is not None else None


async def forbid_verifications(session: AsyncSession) -> None:
    """Let no verification begin until the session's transaction ends: the next one finds what is left."""
    await session.execute(text("LOCK TABLE audit_verification_jobs IN SHARE MODE"))


async def _unsealed(session: AsyncSession, partition: Partition) -> str | None:
    covering = select(SealedPeriod.n).where(
        SealedPeriod.log == partition.log, SealedPeriod.seq_end >= partition.seq_until
    )
    return None if await session.scalar(covering.limit(1)) is not None else "no sealed period covers it"


async def _unvouched(session: AsyncSession, runtime: Runtime, partition: Partition) -> str | None:
    found = await voucher_for(session, runtime, partition.log, partition.seq_until)
    return found if isinstance(found, str) else None
