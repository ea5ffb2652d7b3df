"""Lets a ledger continue after a fault, in the open: under a new generation whose first entry says what was lost.

Must never run without two people, nor without a fault; it undoes nothing and hides nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import ledger_rows, meta, naming
from backend.audit.events import AuditEvent
from backend.audit.fitting import fitted
from backend.audit.heads.configured import signer_of, witnesses_of
from backend.audit.heads.parties import Party, PartyError
from backend.audit.heads.writing import driver_of
from backend.audit.heads_tables import LedgerFault, Restore
from backend.audit.identity import origin_of
from backend.audit.meta import META_LOG, Announcement
from backend.audit.subjects import surrogate_of
from backend.audit.tables import Ledger, LedgerHead
from backend.context import Runtime
from backend.db import after_commit, after_rollback
from backend.errors import WatchfloorError
from contract.errors import ErrorCode

MAX_REASON_CHARS: Final = 500
"""A paragraph: what happened and why it is right to go on."""
_MOST_GENERATIONS: Final = 1_000
"""More restores than a ledger ever sees; bounds the search for a free one."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What one log no longer holds of what was witnessed."""

    log: str
    origin: str
    kind: str
    witnessed_size: int
    present: int
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Restored:
    """The generation the ledger continues under."""

    generation: int
    lost: tuple[Lost, ...]


async def restore(
    session: AsyncSession, runtime: Runtime, *, reason: str, requested_by: str, approved_by: str
) -> Restored:
    """Resolve the open faults and begin a new generation, both names on record. The caller has proved who they are.

    Raises:
        WatchfloorError: SECOND_PERSON_REQUIRED for one person; INVALID_REQUEST for a reason that says nothing or too
            much; CONFLICT when no fault is open.
    """
    reason = reason.strip()
    if requested_by == approved_by:
        raise WatchfloorError(ErrorCode.SECOND_PERSON_REQUIRED, "A restore is approved by somebody else.")
    if not reason or len(reason) > MAX_REASON_CHARS or "\x00" in reason:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, f"A restore needs a reason of at most {MAX_REASON_CHARS} characters."
        )
    ledger = await session.scalar(select(Ledger).with_for_update())
    faults = (
        await session.scalars(
            select(LedgerFault).where(LedgerFault.resolved_at.is_(None)).order_by(LedgerFault.log).with_for_update()
        )
    ).all()
    if ledger is None or not faults:
        raise WatchfloorError(ErrorCode.CONFLICT, "No fault of the ledger is open: there is nothing to restore.")
    lost = tuple(_lost(fault) for fault in faults)
    ledger.generation = await _free_generation(session, runtime, ledger)
    await session.execute(
        update(LedgerFault).where(LedgerFault.resolved_at.is_(None)).values(resolved_at=runtime.clock.now())
    )
    people = [await surrogate_of(session, runtime, name) for name in (requested_by, approved_by)]
    reason = naming.line_without_names(reason, await naming.names_known(session, runtime))
    facts = {
        "generation": ledger.generation,
        "origin": origin_of(ledger, META_LOG),
        "reason": reason,
        "requested_by": people[0],
        "approved_by": people[1],
        "lost": [_as_facts(one) for one in lost],
    }
    ident = await _append(session, runtime, ledger, facts)
    session.add(
        Restore(
            generation=ledger.generation,
            reason=reason,
            requested_by=people[0],
            approved_by=people[1],
            restored_at=runtime.clock.now(),
            entry_id=ident,
        )
    )
    await session.flush()
    return Restored(ledger.generation, lost)


def _lost(fault: LedgerFault) -> Lost:
    note = bytes(fault.evidence).decode("utf-8", "replace")
    return Lost(fault.log, fault.origin, fault.kind, fault.witnessed_size, fault.own_size, note)


def _as_facts(one: Lost) -> dict[str, Any]:
    """`lost_from` and `lost_until` bound the sequence numbers that were witnessed and are gone."""
    return {
        "log": one.log,
        "kind": one.kind,
        "lost_from": min(one.present, one.witnessed_size),
        "lost_until": one.witnessed_size,
        "checkpoint": one.checkpoint,
    }


async def _free_generation(session: AsyncSession, runtime: Runtime, ledger: Ledger) -> int:
    """The next generation under which nobody holds a head: a database can be older than its last restore."""
    logs = {META_LOG, *runtime.policy.audit_logs, *(await session.scalars(select(LedgerHead.log)))}
    parties: Sequence[Party] = (signer_of(runtime.settings), *witnesses_of(runtime.settings))
    try:
        for generation in range(ledger.generation + 1, ledger.generation + _MOST_GENERATIONS):
            begun = Ledger(name=ledger.name, generation=generation)
            origins = [origin_of(begun, log) for log in sorted(logs)]
            if not any(await asyncio.gather(*(_holds_any(party, origins) for party in parties))):
                return generation
    finally:
        for party in parties:
            await party.close()
    raise WatchfloorError(ErrorCode.CONFLICT, "No generation of this ledger is free.")


async def _holds_any(party: Party, origins: Sequence[str]) -> bool:
    """A party that is away holds nothing: if it does after all, its heads are the next fault."""
    try:
        for origin in origins:
            if await party.latest(origin) is not None:
                return True
    except PartyError:
        return False
    return False


async def _append(session: AsyncSession, runtime: Runtime, ledger: Ledger, facts: dict[str, Any]) -> Any:
    """Put the first entry of the generation into `meta` itself: what waits in the outbox comes after it."""
    stamp, ident = runtime.emitter.take(), runtime.clock.new_id()
    after_commit(session, lambda: runtime.emitter.settle(stamp.n))
    after_rollback(session, lambda: runtime.emitter.withdraw(stamp.n))
    note = Announcement(AuditEvent.LEDGER_RESTORED, "continue a restored ledger", "ledger", ledger.name, facts)
    entry = meta.entry_of(runtime, note, stamp, ident, runtime.clock.now())
    canon = fitted(entry)
    await session.flush()
    first = ledger_rows.placed(ident, entry, canon)
    await ledger_rows.append(await driver_of(session), META_LOG, [first], runtime.clock.now())
    return ident
