"""Restores that nobody approved, and ledgers written anew: what an attacker with the whole database can do."""

from typing import Any

from sqlalchemy import select, text

from backend.audit import ledger_rows, meta
from backend.audit.approval import APPROVAL, approval
from backend.audit.events import AuditEvent
from backend.audit.fitting import fitted
from backend.audit.heads_tables import SignedHead
from backend.audit.meta import META_LOG, Announcement
from backend.audit.tables import Ledger, LedgerHead
from ledger.merkle import EMPTY_ROOT
from ledger.restored import Origin
from tests.support.app import App
from tests.support.grown import grow


async def bump(app: App, generation: int) -> None:
    """Say that the ledger is of another generation."""
    async with app.runtime.database.transaction() as session:
        await session.execute(text("UPDATE audit_ledger SET generation = :g"), {"g": generation})


async def write_anew(app: App, log: str, count: int) -> None:
    """Replace a whole log by another one."""
    async with app.runtime.database.transaction() as session:
        await session.execute(text("DELETE FROM audit_heads WHERE log = :log"), {"log": log})
        await session.execute(text("DELETE FROM audit_nodes WHERE log = :log"), {"log": log})
        await session.execute(text("DELETE FROM audit_spans WHERE log = :log"), {"log": log})
        await session.execute(text(f"DROP TABLE audit_entries_{log}"))
    await grow(app.runtime, log, count)


async def account_of(app: App, head: SignedHead) -> dict[str, Any]:
    """What a restore would say of a signed head that is lost."""
    async with app.runtime.database.read() as session:
        own = await session.get(LedgerHead, head.log)
    return {
        "log": head.log,
        "kind": "other",
        "lost_from": 0,
        "lost_until": head.size,
        "checkpoint": bytes(head.note).decode(),
        "present": {"size": own.size if own else 0, "root": (own.root if own else EMPTY_ROOT).hex()},
    }


async def signed_heads(app: App, origin: str) -> list[SignedHead]:
    """What the database knows of the signed heads of an origin, the oldest first."""
    async with app.runtime.database.read() as session:
        wanted = select(SignedHead).where(SignedHead.origin == origin).order_by(SignedHead.size)
        return list(await session.scalars(wanted))


async def put_restore(app: App, generation: int, lost: list[dict[str, Any]], *, key: bytes = b"no key") -> None:
    """Append an entry that says a restore was made, past everything that asks whether it was."""
    runtime = app.runtime
    async with runtime.database.read() as session:
        name = (await session.scalars(select(Ledger.name))).one()
    facts = {
        "generation": generation,
        "origin": str(Origin(name, META_LOG, generation)),
        "reason": "the disk was lost",
        "requested_by": "person:a",
        "approved_by": "person:b",
        "lost": lost,
    }
    facts[APPROVAL] = approval(key, facts)
    note = Announcement(AuditEvent.LEDGER_RESTORED, "continue a restored ledger", "ledger", name, facts)
    ident, now = runtime.clock.new_id(), runtime.clock.now()
    stamp = runtime.emitter.take()
    entry = meta.entry_of(runtime, note, stamp, ident, now)
    async with await runtime.database.dedicated("test") as connection, connection.transaction():
        placed = ledger_rows.placed(ident, entry, fitted(entry))
        await ledger_rows.append(connection, runtime.keyring.outbox, META_LOG, [placed], now)
    runtime.emitter.settle(stamp)
