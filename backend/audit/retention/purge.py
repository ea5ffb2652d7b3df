"""Drops the oldest partition of a log, in one transaction with the entry that says so. The only code that does.

Everything is asked again inside that transaction, under locks: a hold placed meanwhile is respected.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.events import AuditEvent
from backend.audit.heads.writing import fenced
from backend.audit.meta import META_LOG
from backend.audit.retention import heldpeople, holds, inventory
from backend.audit.retention.heldpeople import Reading
from backend.audit.retention.inventory import CALLER
from backend.audit.retention.standing import Standing, about, forbid_verifications
from backend.audit.retention.survey import Partition, Survey, survey
from backend.audit.retention.vouching import Voucher, voucher_for
from backend.audit.retention_tables import Purge
from backend.audit.service import AuditDraft
from backend.audit.verification.purged import pack_numbers
from backend.context import Runtime
from backend.errors import LedgerFaultError
from backend.monitors import Lead
from backend.stores import Store
from contract.retention import CopyState
from ledger.merkle import CompactRange

log = structlog.get_logger(__name__)

LOCK_LIMIT_MS: Final = 1_000
"""Dropping waits for who reads the log and makes everybody else wait: not longer than this, then it is tried later."""
STATEMENT_LIMIT_MS: Final = 60_000
"""A partition has a quarter of a million entries, whose personal values are looked for one by one."""

_LIMITS = text("""
SELECT set_config('lock_timeout', :lock_ms, true), set_config('statement_timeout', :statement_ms, true),
    set_config('idle_in_transaction_session_timeout', :statement_ms, true)
""")
_SPAN = text("SELECT 1 FROM audit_spans WHERE log = :log AND seq_from = :seq_from FOR UPDATE")
_TABLE = text("""
SELECT DISTINCT quote_ident(part.relname) AS name, pg_get_expr(part.relpartbound, part.oid) AS bound
FROM audit_entries AS entry JOIN pg_class AS part ON part.oid = entry.tableoid
WHERE entry.log = :log AND entry.seq IN (:seq_from, :seq_last)
""")
_DROP_SPAN = text("DELETE FROM audit_spans WHERE log = :log AND seq_from = :seq_from")
_DROP_NODES = text("DELETE FROM audit_nodes WHERE log = :log AND (position + 1) << level <= :cut")


async def purge(runtime: Runtime, lead: Lead, stores: Sequence[Store], partition: Partition) -> Standing | None:
    """Drop a partition if nothing speaks against it; gives what does, or None when the partition is gone.

    Raises:
        LedgerFaultError: the entries are not those that were signed.
        ProofError: the tree cannot be worked out.
        LeadershipLostError: another backend sees to retention.
    """
    async with runtime.database.read() as session:
        reading = Reading(await heldpeople.in_force(session, partition.log))
    found = await survey(runtime, partition, reading.feed)
    try:
        async with fenced(runtime, lead) as session:
            await session.execute(_LIMITS, {"lock_ms": str(LOCK_LIMIT_MS), "statement_ms": str(STATEMENT_LIMIT_MS)})
            return await _purge(session, runtime, stores, found, reading)
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        told = "somebody reads the log without a pause; it is tried again"
        return Standing(partition, runtime.clock.now(), (told,))


async def _purge(
    session: AsyncSession, runtime: Runtime, stores: Sequence[Store], found: Survey, reading: Reading
) -> Standing | None:
    partition = found.of
    key = {"log": partition.log, "seq_from": partition.seq_from}
    if await session.scalar(_SPAN, key) is None:
        return None  # another backend was faster
    await forbid_verifications(session)
    await holds.forbid_new_ones(session)
    asked = await about(session, runtime, stores, partition, reading)
    if not asked.may_be_dropped(runtime.clock.now()):
        return asked
    voucher = await voucher_for(session, runtime, partition.log, partition.seq_until)
    if isinstance(voucher, str):
        return Standing(partition, asked.due_at, (voucher,))
    voucher.check(found.edge)
    table = await _table(session, partition)
    kept = Purge(
        log=partition.log,
        first_kept_seq=partition.seq_until,
        seq_from=partition.seq_from,
        edge=found.edge.to_bytes(),
        root=found.edge.root(),
        numbers=pack_numbers(found.numbers),
        last_sequenced=partition.last_sequenced,
        purged_at=runtime.clock.now(),
    )
    kept.entry_id = await _announce(session, runtime, kept, voucher)
    session.add(kept)
    await session.flush()
    await session.execute(
        # the name is one of the database's own, quoted by it
        text(f"DELETE FROM audit_sealed USING {table} AS entry WHERE entry_id = entry.id AND audit_sealed.log = :log"),  # noqa: S608  see above
        {"log": partition.log},
    )
    await session.execute(_DROP_NODES, {"log": partition.log, "cut": partition.seq_until})
    await session.execute(_DROP_SPAN, key)
    await session.execute(text(f"DROP TABLE {table}"))  # last: from here on everybody who reads the log waits
    log.info("partition_purged", of=partition.log, seq_from=partition.seq_from, first_kept=partition.seq_until)
    return None


async def _table(session: AsyncSession, partition: Partition) -> str:
    """The table that holds exactly these entries, as the database's catalogue has it: no column of ours is believed."""
    values = {"log": partition.log, "seq_from": partition.seq_from, "seq_last": partition.seq_until - 1}
    rows = (await session.execute(_TABLE, values)).all()
    bound = f"FOR VALUES FROM ('{partition.seq_from}') TO ('{partition.seq_until}')"
    if [row.bound for row in rows] != [bound]:
        raise LedgerFaultError(partition.log, f"no table holds exactly the entries of {partition}")
    return str(rows[0].name)


async def _announce(session: AsyncSession, runtime: Runtime, kept: Purge, voucher: Voucher) -> UUID:
    copies = await inventory.copies(session, kept.log, kept.seq_from)
    facts: dict[str, Any] = {
        "log": kept.log,
        "seq_from": kept.seq_from,
        "first_kept_seq": kept.first_kept_seq,
        "entries": kept.first_kept_seq - kept.seq_from,
        "edge": [one.hex() for one in CompactRange.from_bytes(kept.edge).hashes],
        "root": kept.root.hex(),
        "numbers_sha256": hashlib.sha256(kept.numbers).hexdigest(),
        "checkpoint": {"origin": voucher.origin, "size": voucher.size, "root": voucher.root.hex()},
        "copies": [
            {"place": copy.place, "manifest": copy.manifest, "sha256": copy.sha256.hex()}
            for copy in copies
            if copy.state == CopyState.SOUND and copy.sha256 is not None
        ],
    }
    draft = AuditDraft(
        event_type=AuditEvent.PARTITION_PURGED,
        action="entries past their retention dropped",
        resource_type="partition",
        resource_id=f"{kept.log}/{kept.seq_from}",
        new_value=facts,
        log=META_LOG,
    )
    return await audit.record(session, runtime, CALLER, draft)
