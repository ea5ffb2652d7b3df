"""Lets a ledger continue after a fault, in the open: under a new generation whose first entry says what was lost.

Must never run without two people, nor without a fault; it undoes nothing and hides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import ledger_rows, meta, naming
from backend.audit.approval import APPROVAL, approval
from backend.audit.authentic import head_mac
from backend.audit.canonical import clean_values
from backend.audit.events import AuditEvent
from backend.audit.fitting import fitted
from backend.audit.heads import generations, rollback
from backend.audit.heads.configured import signer_of, witnesses_of
from backend.audit.heads.holding import gather, known_of
from backend.audit.heads.writing import driver_of
from backend.audit.heads_tables import LedgerFault, Restore
from backend.audit.identity import origin_of
from backend.audit.introducing import surrogate_of
from backend.audit.meta import META_LOG, Announcement
from backend.audit.renewal import new_boot
from backend.audit.tables import Ledger, LedgerHead
from backend.audit.verification import lost_numbers
from backend.context import Runtime
from backend.db import after_commit, after_rollback
from backend.errors import WatchfloorError
from contract.errors import ErrorCode
from ledger import note
from ledger.checkpoint import epoch_of
from ledger.restored import EMPTY, FIRST_GENERATION, Size

MAX_REASON_CHARS: Final = 500
"""A paragraph: what happened and why it is right to go on."""
_LOSSES_TOGETHER: Final = 20
"""Lost heads that one entry accounts for: half of what it has room for."""
_MISSING_TOGETHER: Final = 100
"""Ranges of numbers that one entry calls lost."""
_NOBODY_FILES: Final = text("LOCK TABLE audit_outbox IN SHARE ROW EXCLUSIVE MODE")
"""Who filed before is waited for; who files afterwards sees the new generation, and numbers his entries anew."""
_LOSSES: Final = (rollback.SMALLER, rollback.OTHER)
"""Kinds of fault by which a signed head is no longer continued."""


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
    latest = await _look_again(session, runtime, ledger) if ledger is not None else FIRST_GENERATION
    faults = (
        await session.scalars(
            select(LedgerFault).where(LedgerFault.resolved_at.is_(None)).order_by(LedgerFault.origin).with_for_update()
        )
    ).all()
    if ledger is None or not faults:
        raise WatchfloorError(ErrorCode.CONFLICT, "No fault of the ledger is open: there is nothing to restore.")
    lost = tuple([_lost(fault) for fault in faults if fault.kind in _LOSSES and fault.evidence])
    numbers = await lost_numbers.numbered(session, runtime, ledger)  # while a fault is open the ledger does not grow
    await session.execute(_NOBODY_FILES)
    missing = await lost_numbers.missing(session, runtime, numbers)
    ledger.generation = latest + 1
    runtime.emitter.notice(ledger.generation, new_boot(runtime.clock))
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
    }
    await _vouch_for_heads(session, runtime.keyring.outbox)
    accounts = await _accounts(session, lost, missing)
    idents = [await _append(session, runtime, ledger, {**facts, **one}) for one in accounts]
    session.add(
        Restore(
            generation=ledger.generation,
            reason=reason,
            requested_by=people[0],
            approved_by=people[1],
            restored_at=runtime.clock.now(),
            entry_id=idents[0],
        )
    )
    await session.flush()
    return Restored(ledger.generation, lost)


async def _vouch_for_heads(session: AsyncSession, key: bytes) -> None:
    """Two people have approved that the ledger goes on from where it stands, whoever has put it there."""
    for head in await session.scalars(select(LedgerHead)):
        head.mac = head_mac(key, head.log, head.size, head.root) if head.size else None
    await session.flush()


async def _accounts(session: AsyncSession, lost: Sequence[Lost], missing: Sequence[Any]) -> list[dict[str, Any]]:
    """What was lost, in as many entries as it takes: heads, with what is left of their logs, and numbers."""
    heads = {head.log: (head.size, head.root) for head in await session.scalars(select(LedgerHead))}
    told = [_as_facts(one, heads.get(one.log, EMPTY)) for one in lost]
    together = zip_longest(_parts(told, _LOSSES_TOGETHER), _parts(missing, _MISSING_TOGETHER), fillvalue=())
    return [{"lost": list(heads_lost), "missing": list(numbers_lost)} for heads_lost, numbers_lost in together]


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[at : at + size] for at in range(0, max(1, len(items)), size)]


async def _look_again(session: AsyncSession, runtime: Runtime, ledger: Ledger) -> int:
    """Ask everybody once more, so that the largest heads are accounted for; gives the newest generation known.

    A party that is away holds nothing: if it does after all, its heads are the next fault.
    """
    known = await known_of(session, runtime)
    if known is None:
        return ledger.generation
    signer, witnesses = signer_of(runtime.settings), witnesses_of(runtime.settings)
    try:
        held = await gather(known, signer, witnesses)
    finally:
        for party in (signer, *witnesses):
            await party.close()
    await rollback.write_down(session, runtime, ledger, held)
    told = [one for _, _, one in await generations.told(session, runtime.keyring.verification)]
    return max(ledger.generation, generations.generation_of(told), *(one.generation for one in held.origins))


def _lost(fault: LedgerFault) -> Lost:
    text, signatures = note.split(bytes(fault.evidence))
    own = [one for one in signatures if epoch_of(one.name)]  # a witness's lines would only make the entry longer
    signed = "\n".join([text, "".join(one.line() for one in own)])
    return Lost(fault.log, fault.origin, fault.kind, fault.witnessed_size, fault.own_size, signed)


def _as_facts(one: Lost, present: Size) -> dict[str, Any]:
    """`lost_from` and `lost_until` bound the sequence numbers that were witnessed and are gone."""
    size, root = present
    return {
        "log": one.log,
        "kind": one.kind,
        "lost_from": min(one.present, one.witnessed_size),
        "lost_until": one.witnessed_size,
        "checkpoint": one.checkpoint,
        "present": {"size": size, "root": root.hex()},
    }


async def _append(session: AsyncSession, runtime: Runtime, ledger: Ledger, facts: dict[str, Any]) -> Any:
    """Put the first entry of the generation into `meta` itself: what waits in the outbox comes after it."""
    stamp, ident = runtime.emitter.take(), runtime.clock.new_id()
    after_commit(session, lambda: runtime.emitter.settle(stamp))
    after_rollback(session, lambda: runtime.emitter.withdraw(stamp))
    cleaned = clean_values(facts)
    signed = {**cleaned, APPROVAL: approval(runtime.keyring.verification, cleaned)}
    told = Announcement(AuditEvent.LEDGER_RESTORED, "continue a restored ledger", "ledger", ledger.name, signed)
    entry = meta.entry_of(runtime, told, stamp, ident, runtime.clock.now())
    canon = fitted(entry)
    await session.flush()
    first = ledger_rows.placed(ident, entry, canon)
    await ledger_rows.append(await driver_of(session), runtime.keyring.outbox, META_LOG, [first], runtime.clock.now())
    return ident
