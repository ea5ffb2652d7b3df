"""Which numbers of which process a ledger no longer has when it goes on after a restore: said once, with the restore.

Must never call a number lost that no entry calls settled: it was in flight, and nobody was told that it was written.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.authentic import is_authentic
from backend.audit.tables import AuditOutbox, Ledger, LedgerHead
from backend.audit.verification.frame import tree_of
from backend.audit.verification.numbers import Numbers
from backend.audit.verification.purged import cuts_of
from backend.audit.verification.state import State
from backend.audit.verification.worker import TRUSTED, trusted_as
from backend.audit.verification_tables import VerificationState
from backend.context import Runtime

_READ_ENTRIES: Final = 10_000
"""Entries of one statement."""
_MOST: Final = 1_000_000
"""Numbers of one process that are looked at: more were never given between a dump and its restore."""
_READ: Final = text("SELECT canon FROM audit_entries WHERE log = :log AND seq >= :first AND seq < :stop")
_PURGES: Final = text("SELECT log, edge, numbers, last_sequenced FROM audit_purges ORDER BY log, first_kept_seq")
_KEPT: Final = text("SELECT canon, mac, sealed FROM audit_quarantine")


async def numbered(session: AsyncSession, runtime: Runtime, ledger: Ledger) -> Numbers:
    """The numbers of every entry of the ledger; reads what the last good verification has not read."""
    state = await _trusted(session, runtime, ledger)
    numbers = state.numbers
    cuts = cuts_of([dict(row) for row in (await session.execute(_PURGES)).mappings()])
    for head in await session.scalars(select(LedgerHead).order_by(LedgerHead.log)):
        begun = state.size(head.log)
        if (cut := cuts.get(head.log)) is not None:
            for end, those in cut.numbers:
                if end > begun:
                    numbers.join(those)
            begun = max(begun, cut.edge.size)
        for first in range(begun, head.size, _READ_ENTRIES):
            wanted = {"log": head.log, "first": first, "stop": min(first + _READ_ENTRIES, head.size)}
            for canon in await session.scalars(_READ, wanted):
                _note(numbers, tree_of(canon))
    return numbers


async def missing(session: AsyncSession, runtime: Runtime, numbers: Numbers) -> list[dict[str, Any]]:
    """What is missing now, with what waits to enter the ledger; nobody may file an entry meanwhile."""
    waiting = select(AuditOutbox.canon, AuditOutbox.mac, AuditOutbox.sealed)
    rows = [*await session.execute(waiting), *await session.execute(_KEPT)]
    for canon, mac, sealed in rows:
        if is_authentic(runtime.keyring.outbox, canon, mac, sealed):
            _note(numbers, tree_of(canon))
    return [{"boot": boot, "first": first, "last": last} for boot, first, last in numbers.ranges_missing(_MOST)]


async def _trusted(session: AsyncSession, runtime: Runtime, ledger: Ledger) -> State:
    packed = await session.scalar(select(VerificationState.packed).where(VerificationState.name == TRUSTED))
    key = runtime.keyring.verification
    return (State.unpack(packed, key, trusted_as(ledger.name)) if packed else None) or State()


def _note(numbers: Numbers, tree: Mapping[str, Any]) -> None:
    try:
        emitter = tree["body"]["emitter"]
        numbers.see(emitter["boot"], emitter["n"], emitter["settled"], emitter["void"])
    except (KeyError, TypeError, AttributeError):
        return  # no entry: a verification says so
