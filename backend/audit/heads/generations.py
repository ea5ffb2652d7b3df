"""The restores that the `meta` log tells of: which count, and whether they lead to the ledger's generation. Reads only.

A restore counts when its entry is under the log's head and carries the approval that `restore` gave it, under a key
that the database does not hold: whoever can write to the database can write such an entry, but not approve it.
"""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from backend.audit import nodes
from backend.audit.approval import approved
from backend.audit.meta import META_LOG
from backend.audit.tables import LedgerEntry
from ledger import canon
from ledger.canon import CanonError
from ledger.merkle import ProofError, leaf_hash, verify_inclusion
from ledger.restored import FIRST_GENERATION, RESTORED, ProvedEntry, Restoration, RestorationError, Size


def generation_of(restorations: Iterable[Restoration]) -> int:
    """The generation that approved restores lead to."""
    return max((one.generation for one in restorations), default=FIRST_GENERATION)


async def told(session: AsyncSession, key: bytes) -> list[tuple[int, bytes, Restoration]]:
    """The approved restores in the database, by their number in `meta`; the caller has them proved."""
    wanted = (
        select(LedgerEntry)
        .where(LedgerEntry.log == META_LOG, LedgerEntry.event_type == RESTORED)
        .order_by(LedgerEntry.seq)
        .options(undefer(LedgerEntry.canon))
    )
    found = []
    for row in await session.scalars(wanted):
        raw = bytes(row.canon)
        try:
            Restoration.parse(raw)
            facts = canon.decode(raw)["body"]["detail"]["new_value"]
        except (RestorationError, CanonError):
            continue
        one = approved(facts, key)
        if one is not None:
            found.append((row.seq, raw, one))
    return found


async def counted(session: AsyncSession, key: bytes, meta: Size) -> list[Restoration]:
    """The approved restores that are under the head of `meta` as the database has it now."""
    size, root = meta
    found = []
    for seq, raw, one in await told(session, key):
        try:
            path = tuple(await nodes.inclusion_proof(session, META_LOG, seq, size))
            verify_inclusion(leaf_hash(raw), seq, size, path, root)
        except ProofError:
            continue
        found.append(one)
    return found


async def proved(session: AsyncSession, key: bytes, size: int) -> list[ProvedEntry]:
    """The approved restores with the proofs that they are under the head of `meta` of `size` entries.

    Raises:
        ProofError: a hash that a proof needs is gone.
    """
    return [
        ProvedEntry(seq, tuple(await nodes.inclusion_proof(session, META_LOG, seq, size)), raw)
        for seq, raw, _ in await told(session, key)
        if seq < size
    ]
