"""Writes what is learned about heads: checkpoints, receipts, keys, how a party does. Every write is the leader's."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from sqlalchemy import case, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service
from backend.audit.events import AuditEvent
from backend.audit.heads.parties import Offer
from backend.audit.heads_tables import Cosignature, EpochKey, Keeper, SignedHead
from backend.audit.meta import META_LOG
from backend.audit.service import AuditDraft
from backend.context import Runtime, system_caller
from backend.monitors import Lead
from ledger.note import VerifierKey

LEDGER_CALLER = system_caller("ledger")


@asynccontextmanager
async def fenced(runtime: Runtime, lead: Lead) -> AsyncIterator[AsyncSession]:
    """A transaction that commits only while this process leads.

    Raises:
        LeadershipLostError: another one does.
    """
    async with runtime.database.transaction() as session:
        await lead.require(await driver_of(session))
        yield session


async def driver_of(session: AsyncSession) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    """The driver's connection of a session, inside the session's transaction."""
    raw = await (await session.connection()).get_raw_connection()
    return cast("psycopg.AsyncConnection[tuple[Any, ...]]", raw.driver_connection)


@dataclass(frozen=True, slots=True)
class NewKey:
    """The key of an epoch, with what certifies it."""

    epoch: int
    key: VerifierKey
    certificate: bytes | None


async def store_keys(session: AsyncSession, runtime: Runtime, keys: Sequence[NewKey]) -> None:
    """Keep new epoch keys and announce each in the `meta` log."""
    now = runtime.clock.now()
    for one in keys:
        vkey = one.key.encode()
        added = await session.execute(
            insert(EpochKey)
            .values(epoch=one.epoch, vkey=vkey, certificate=one.certificate, learned_at=now)
            .on_conflict_do_nothing()
            .returning(EpochKey.epoch)
        )
        if added.scalar_one_or_none() is None:
            continue
        certificate = one.certificate.decode() if one.certificate else None
        draft = AuditDraft(
            event_type=AuditEvent.KEY_ROTATED,
            action="begin a key epoch",
            resource_type="epoch_key",
            resource_id=one.key.name,
            new_value={"epoch": one.epoch, "vkey": vkey, "certificate": certificate},
            log=META_LOG,
        )
        await service.record(session, runtime, LEDGER_CALLER, draft)


async def store_head(session: AsyncSession, head: SignedHead) -> None:
    """Keep a signed head; the same one again changes nothing."""
    values = {column.key: getattr(head, column.key) for column in SignedHead.__table__.columns}
    await session.execute(insert(SignedHead).values(values).on_conflict_do_nothing())


async def store_receipt(session: AsyncSession, runtime: Runtime, witness: str, offer: Offer, receipt: bytes) -> None:
    """Note that a witness holds a head."""
    values = {"origin": offer.origin, "size": offer.size, "witness": witness, "receipt": receipt}
    await session.execute(
        insert(Cosignature).values(**values, witnessed_at=runtime.clock.now()).on_conflict_do_nothing()
    )


async def note_keeper(session: AsyncSession, runtime: Runtime, name: str, kind: str, problem: str | None) -> None:
    """Note how a party does; `since` moves only when it begins or ceases to fail."""
    now = runtime.clock.now()
    new = insert(Keeper).values(name=name, kind=kind, problem=problem, since=now, seen_at=now)
    turned = Keeper.problem.is_(None) != new.excluded.problem.is_(None)
    await session.execute(
        new.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "problem": new.excluded.problem,
                "seen_at": func.greatest(Keeper.seen_at, new.excluded.seen_at),
                "since": case((turned, new.excluded.since), else_=Keeper.since),
            },
        )
    )
