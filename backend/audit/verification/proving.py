"""Makes what shows others that an entry is in the ledger: the entry's bytes, the way to the root, the signed head."""

from base64 import b64encode
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import nodes
from backend.audit.events import AuditEvent
from backend.audit.heads_tables import Cosignature, EpochKey, SignedHead
from backend.audit.identity import ledger_of, origin_of
from backend.audit.pruning import edge_of, newest_edge
from backend.audit.service import AuditDraft, record
from backend.audit.tables import LedgerEntry, LedgerHead
from backend.context import Caller, Runtime
from backend.errors import known_ident, not_found
from contract.verification import EntryProof
from ledger import note
from ledger.tlogproof import TlogProof
from ledger.verify_bundle import PROOF_FORMAT


@dataclass(frozen=True, slots=True)
class ShownHead:
    """The head that evidence leads to: the newest signed one that covers it, else where the log stands now."""

    origin: str
    size: int
    root: bytes
    note: bytes | None


async def head_over(session: AsyncSession, runtime: Runtime, log: str, size: int) -> ShownHead:
    """The head to prove at least `size` entries of a log by: one that a witness cosigned rather than a newer one."""
    origin = origin_of(await ledger_of(session, runtime), log)
    cosigned = select(func.max(Cosignature.size)).where(
        Cosignature.origin == origin, Cosignature.size >= size, func.length(Cosignature.receipt) > 0
    )
    covering = select(SignedHead).where(SignedHead.origin == origin, SignedHead.size >= size)
    newest = covering.with_only_columns(func.max(SignedHead.size)).scalar_subquery()
    held = func.coalesce(cosigned.scalar_subquery(), newest)
    signed = await session.scalar(covering.where(SignedHead.size == held))
    if signed is not None:
        return ShownHead(origin, signed.size, signed.root, await _with_witnesses(session, signed))
    head = (await session.scalars(select(LedgerHead).where(LedgerHead.log == log))).one()
    return ShownHead(origin, head.size, head.root, None)


async def _with_witnesses(session: AsyncSession, signed: SignedHead) -> bytes:
    """A signed head with the lines of the witnesses that cosigned it."""
    receipts = await session.scalars(
        select(Cosignature.receipt)
        .where(Cosignature.origin == signed.origin, Cosignature.size == signed.size)
        .order_by(Cosignature.witness)
    )
    text = note.split(signed.note)[0].encode()
    lines = [line for receipt in receipts if receipt for line in note.split(text + b"\n" + receipt)[1]]
    return note.attach(signed.note, lines)


async def signing_keys(session: AsyncSession) -> list[str]:
    """The chain of signing keys: the first key, then the certificate of each next one."""
    rows = await session.execute(select(EpochKey.vkey, EpochKey.certificate).order_by(EpochKey.epoch))
    return [vkey if certificate is None else certificate.decode() for vkey, certificate in rows]


async def prove(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> EntryProof:
    """Everything that shows, without us, that an entry is in the ledger; that it was taken is recorded.

    Raises:
        WatchfloorError: NOT_FOUND: no such entry is in the ledger.
        ProofError: a hash it needs is gone.
    """
    entry_id = known_ident("audit entry", ident)
    edge = newest_edge(LedgerEntry.log).scalar_subquery().label("edge")
    columns = LedgerEntry.log, LedgerEntry.seq, LedgerEntry.canon, edge
    row = (await session.execute(select(*columns).where(LedgerEntry.id == entry_id).limit(1))).one_or_none()
    if row is None:
        raise not_found("audit entry", ident)
    head = await head_over(session, runtime, row.log, row.seq + 1)
    path = await nodes.inclusion_proof(session, row.log, row.seq, head.size, edge_of(row.edge))
    text = TlogProof(row.seq, tuple(path), head.note).format().decode() if head.note is not None else None
    draft = AuditDraft(AuditEvent.ENTRY_PROVED, "take the proof of an entry", "audit", str(entry_id))
    await record(session, runtime, caller, draft)
    return EntryProof(
        format=PROOF_FORMAT,
        origin=head.origin,
        log=row.log,
        seq=row.seq,
        size=head.size,
        root=head.root.hex(),
        entry=b64encode(row.canon).decode(),
        path=[b64encode(one).decode() for one in path],
        checkpoint=head.note.decode() if head.note is not None else None,
        tlog_proof=text,
        keys=await signing_keys(session) if head.note is not None else [],
    )
