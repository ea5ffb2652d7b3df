"""Entries whose COMMIT got no answer: asks the database, once it is back, whether they exist.

Must never guess: a number called void although its entry exists would excuse a later loss of it.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.emitter import Doubt
from ledger.canon import CanonError
from ledger.entry import parse

_STILL_RUNNING: Final = text(
    "SELECT pid FROM pg_stat_activity WHERE pid = ANY(:pids) AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
)
_EXISTING: Final = text(
    "SELECT id, canon FROM audit_outbox WHERE id = ANY(:ids)"
    " UNION ALL SELECT id, canon FROM audit_entries WHERE id = ANY(:ids)"
    " UNION ALL SELECT id, canon FROM audit_quarantine WHERE id = ANY(:ids)"
)


async def resolve(session: AsyncSession, runtime: Runtime) -> None:
    """Settle or withdraw what was left in doubt; what the server has not ended yet waits for the next call.

    Called within a transaction that is about to write entries: it is as good a moment as any to know more.
    """
    asked = runtime.emitter.take_doubts()
    if not asked:
        return
    try:
        running, existing = await _look(session, asked)
    except BaseException:
        for doubt in asked:
            runtime.emitter.doubt(doubt)
        raise
    for doubt in asked:
        if doubt.server_pid in running:
            runtime.emitter.doubt(doubt)
        elif existing.get(doubt.entry) == doubt.stamp.n:
            runtime.emitter.settle(doubt.stamp)
        else:
            runtime.emitter.withdraw(doubt.stamp)


async def _look(session: AsyncSession, asked: Sequence[Doubt]) -> tuple[set[int], dict[UUID, int | None]]:
    """Which transactions have not ended, then which entries exist: in this order, and each with a view of its own."""
    pids: dict[str, Any] = {"pids": sorted({doubt.server_pid for doubt in asked})}
    running = set((await session.scalars(_STILL_RUNNING, pids)).all())
    return running, await numbers(session, [doubt.entry for doubt in asked])


async def numbers(session: AsyncSession, idents: Sequence[UUID]) -> dict[UUID, int | None]:
    """Which of these entries exist, wherever they are, and under which number of their process."""
    found = await session.execute(_EXISTING, {"ids": list(idents)})
    return {ident: _number(canon) for ident, canon in found}


def _number(canon: bytes) -> int | None:
    try:
        number: int = parse(canon)["body"]["emitter"]["n"]
    except CanonError:
        return None
    return number
