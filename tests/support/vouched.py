"""Heads of a ledger signed and held by a witness, with a key of the test's own and no process beside it."""

from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from backend.audit.heads_tables import Cosignature, EpochKey, SignedHead
from backend.audit.identity import ledger_of, origin_of
from backend.audit.tables import LedgerHead
from ledger import checkpoint, note
from ledger.note import SignerKey
from tests.support.app import App

WITNESS = "dir:elsewhere"


async def sign_heads(app: App, *, witnessed: bool = True) -> dict[str, int]:
    """Sign the head of every log as it is now; gives their sizes."""
    now = app.runtime.clock.now()
    async with app.runtime.database.transaction() as session:
        ledger = await ledger_of(session, app.runtime)
        key = SignerKey(checkpoint.epoch_key_name(ledger.name, 0), sha256(ledger.name.encode()).digest())
        vkey = key.verifier.encode()
        await session.execute(
            insert(EpochKey).values(epoch=0, vkey=vkey, certificate=None, learned_at=now).on_conflict_do_nothing()
        )
        heads = (await session.scalars(select(LedgerHead).where(LedgerHead.size > 0))).all()
        for head in heads:
            origin = origin_of(ledger, head.log)
            signed = note.sign(checkpoint.head(origin, head.size, head.root, 0).format(), [key])
            values = {"origin": origin, "size": head.size, "log": head.log, "root": head.root, "epoch": 0}
            await session.execute(
                insert(SignedHead).values(**values, note=signed, signed_at=now).on_conflict_do_nothing()
            )
            if witnessed:
                held = {"origin": origin, "size": head.size, "witness": WITNESS, "receipt": b"", "witnessed_at": now}
                await session.execute(insert(Cosignature).values(**held).on_conflict_do_nothing())
    return {head.log: head.size for head in heads}
