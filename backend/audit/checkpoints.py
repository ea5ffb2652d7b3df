"""Reading signed heads: which checkpoint covers an entry, who witnessed it, and the keys that verify it. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.head_origins import ORIGINS
from backend.audit.heads_tables import Cosignature, EpochKey, SignedHead
from ledger import note
from ledger.checkpoint import verify_chain
from ledger.note import NoteError, VerifierKey

_ORIGINS: Final = text(ORIGINS)
_LATEST: Final = text("""
SELECT newest.* FROM unnest(CAST(:origins AS text[])) AS wanted(origin) CROSS JOIN LATERAL (
    SELECT * FROM audit_checkpoints AS head WHERE head.origin = wanted.origin ORDER BY head.size DESC LIMIT 1) AS newest
""")
_HELD: Final = text("""
WITH RECURSIVE known AS (
    SELECT min(witness) AS witness FROM audit_cosignatures WHERE origin = :origin
    UNION ALL
    SELECT (SELECT min(witness) FROM audit_cosignatures WHERE origin = :origin AND witness > known.witness) FROM known
    WHERE known.witness IS NOT NULL)
SELECT known.witness, newest.size FROM known CROSS JOIN LATERAL (
    SELECT size FROM audit_cosignatures AS held WHERE held.origin = :origin AND held.witness = known.witness
    ORDER BY held.size DESC LIMIT 1) AS newest
WHERE known.witness IS NOT NULL
""")
"""One look into the index a witness, however many receipts it gave."""


@dataclass(frozen=True, slots=True)
class KeyChain:
    """The ledger's keys: the first one, which a person has to trust, and the certificates to every later one."""

    genesis: str
    certificates: tuple[bytes, ...]

    def keys(self) -> dict[int, VerifierKey]:
        """Follow the chain.

        Raises:
            NoteError: a certificate does not verify.
            CheckpointError: an epoch does not follow.
        """
        return verify_chain(self.genesis, self.certificates)


async def key_chain(session: AsyncSession) -> KeyChain | None:
    """The keys as the database knows them; None before the first head was signed."""
    rows = (await session.scalars(select(EpochKey).order_by(EpochKey.epoch))).all()
    if not rows:
        return None
    return KeyChain(rows[0].vkey, tuple(row.certificate for row in rows[1:] if row.certificate is not None))


async def latest_checkpoint(session: AsyncSession, origin: str) -> SignedHead | None:
    """The newest signed head of a log."""
    return await session.scalar(
        select(SignedHead).where(SignedHead.origin == origin).order_by(SignedHead.size.desc()).limit(1)
    )


async def checkpoint_covering(session: AsyncSession, origin: str, index: int) -> SignedHead | None:
    """The oldest signed head that entry `index` is under; None while it is not signed yet."""
    return await session.scalar(
        select(SignedHead)
        .where(SignedHead.origin == origin, SignedHead.size > index)
        .order_by(SignedHead.size)
        .limit(1)
    )


async def cosigned(session: AsyncSession, head: SignedHead) -> bytes:
    """A checkpoint's note with the cosignature lines that witnesses gave for it."""
    receipts = await session.scalars(
        select(Cosignature.receipt)
        .where(Cosignature.origin == head.origin, Cosignature.size == head.size)
        .order_by(Cosignature.witness)
    )
    return note.attach(head.note, [line for receipt in receipts for line in _lines(head.note, receipt)])


def _lines(signed: bytes, receipt: bytes) -> Sequence[note.Signature]:
    """Signature lines of a receipt; one that is no line adds nothing."""
    if not receipt:
        return ()
    body = note.split(signed)[0]
    try:
        return note.split(body.encode() + b"\n" + receipt)[1]
    except NoteError:
        return ()


async def origins_signed(session: AsyncSession) -> list[str]:
    """Every origin that a signed head is kept of."""
    return list(await session.scalars(_ORIGINS))


async def latest_heads(session: AsyncSession, origins: Sequence[str]) -> list[SignedHead]:
    """The newest signed head of each of some logs that have one."""
    wanted = select(SignedHead).from_statement(_LATEST.bindparams(origins=list(origins)))
    return list(await session.scalars(wanted))


async def held_sizes(session: AsyncSession, origin: str) -> dict[str, int]:
    """The size of the largest head of a log that each witness holds, also those no longer in use."""
    return {row.witness: row.size for row in await session.execute(_HELD, {"origin": origin})}


async def witnessed_size(session: AsyncSession, origin: str, needed: int) -> int:
    """Size of the largest head of a log that at least `needed` witnesses hold; 0 when there is none."""
    if needed <= 0:
        head = await latest_checkpoint(session, origin)
        return head.size if head else 0
    sizes = sorted((await held_sizes(session, origin)).values(), reverse=True)
    return sizes[needed - 1] if len(sizes) >= needed else 0
