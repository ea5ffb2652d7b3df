"""Takes personal values out of quarantine when their person is erased or their time is over. The bytes stay.

A row that a process of ours has written is authenticated anew over what is left of it, so that a verification goes on
knowing whose it is. Must never touch the bytes of an entry.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import LargeBinary, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.authentic import is_authentic, mac_of
from backend.audit.sealing import unpack, without_subjects
from backend.audit.tables import QuarantinedEntry
from backend.context import Runtime

BATCH_ROWS: Final = 500
"""Rewritten in one transaction; who forges rows of the outbox can make many."""

_OF_PERSON = text("""
SELECT number FROM audit_quarantine
WHERE sealed IS NOT NULL AND (position(:pid IN sealed) > 0 OR position(:pid IN canon) > 0) ORDER BY number
""").bindparams(bindparam("pid", type_=LargeBinary()))
_PAST = text("""
SELECT number FROM audit_quarantine AS aside
WHERE log = :log AND sealed IS NOT NULL AND emitted_at < :before AND NOT EXISTS (
    SELECT FROM legal_holds AS hold WHERE hold.lifted_at IS NULL AND (hold.log IS NULL OR hold.log = aside.log)
        AND (hold.subject IS NULL OR position(convert_to(hold.subject, 'UTF8') IN aside.sealed) > 0)
        AND (hold.since IS NULL OR aside.emitted_at >= hold.since)
        AND (hold.until IS NULL OR aside.emitted_at < hold.until))
ORDER BY number LIMIT :limit
""")


async def forget(session: AsyncSession, runtime: Runtime, subject: str) -> int:
    """Take a person's values out of every row; gives how many. Bytes nobody can read go with a row that names them."""
    gone = 0
    numbers = (await session.scalars(_OF_PERSON, {"pid": subject.encode()})).all()
    for row in await _locked(session, numbers):
        assert row.sealed is not None  # noqa: S101  asked for above
        sealed, count = without_subjects(row.sealed, {subject})
        gone += count
        _keep(runtime, row, sealed)
    await session.flush()
    return gone


async def count_of(session: AsyncSession, subject: str) -> int:
    """How many values of a person lie in quarantine."""
    wanted = await session.scalars(_OF_PERSON, {"pid": subject.encode()})
    rows = [await session.get_one(QuarantinedEntry, number) for number in wanted.all()]
    return sum(without_subjects(row.sealed, {subject})[1] for row in rows if row.sealed is not None)


async def expire(session: AsyncSession, runtime: Runtime, log: str, before: datetime) -> tuple[int, int]:
    """Take the values out of a log's rows from before an instant; gives how many rows and values. Holds keep theirs."""
    numbers = (await session.scalars(_PAST, {"log": log, "before": before, "limit": BATCH_ROWS})).all()
    gone = 0
    for row in await _locked(session, numbers):
        assert row.sealed is not None  # noqa: S101  asked for above
        gone += _count(row.sealed)
        _keep(runtime, row, None)
    await session.flush()
    return len(numbers), gone


def remade(key: bytes, canon: bytes, mac: bytes, sealed: bytes | None, left: bytes | None) -> bytes:
    """The hash of a row of which personal values were taken out; of a row that nobody of ours wrote it stays wrong."""
    return mac_of(key, canon, left) if is_authentic(key, canon, mac, sealed) else mac


async def _locked(session: AsyncSession, numbers: Sequence[int]) -> list[QuarantinedEntry]:
    found = [
        await session.get_one(QuarantinedEntry, number, with_for_update=True, populate_existing=True)
        for number in numbers
    ]
    return [row for row in found if row.sealed is not None]  # an erasure was faster


def _count(sealed: bytes) -> int:
    try:
        return len(unpack(sealed))
    except ValueError:
        return 1


def _keep(runtime: Runtime, row: QuarantinedEntry, sealed: bytes | None) -> None:
    row.mac = remade(runtime.keyring.outbox, row.canon, row.mac, row.sealed, sealed)
    row.sealed = sealed
