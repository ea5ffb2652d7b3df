"""Holds, acknowledgements and fates for many executors at once: the SQL of the permit desk. Decides nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.freeze import core
from contract.freeze import FreezeMode
from contract.gate import RenewRequest
from contract.scope import Scope, ScopeKind

EXECUTORS_PER_ENTRY = 100
"""Of one audit entry: half of the room it has."""
FATES_KEPT_DAYS = 1
"""Whatever was in flight when an executor halted has long ended then; keeps the search for its hold short."""

EPOCH_SQL = "(SELECT coalesce(max(epoch), 0) FROM freeze_state)"
HOLDS_SQL = """
(SELECT jsonb_agg(jsonb_build_array(id, number, epoch, scope_kind, scope_name, mode, held_since, thaw_released,
                                    drill_id IS NOT NULL) ORDER BY epoch)::text
 FROM freezes WHERE status <> 'thawed')
"""
"""Every hold in force as one text, for a statement that asks more; NULL without any. Never limited: a hold left out
would let somebody trade."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One executor's answer to one hold."""

    hold: core.Hold
    request: RenewRequest
    last_order_seq: int
    in_flight: int | None
    open_orders: int | None = None
    nonces: Mapping[str, int] = field(default_factory=dict)
    in_flight_ids: Sequence[str] = ()
    paused: Mapping[str, int] = field(default_factory=dict)
    """Contracts it has read back as paused, and at which block."""
    statement: str | None = None
    """What the executor signed; None for one that signs nothing."""


def read_holds(text_of_holds: str | None) -> tuple[core.Hold, ...]:
    """What `HOLDS_SQL` says."""
    return tuple(
        core.Hold(
            id=UUID(ident),
            number=number,
            epoch=epoch,
            scope=Scope(kind=ScopeKind(kind), name=name),
            mode=FreezeMode(mode),
            created_at=datetime.fromisoformat(created_at),
            released=frozenset(released or ()),
            drill=drill,
        )
        for ident, number, epoch, kind, name, mode, created_at, released, drill in orjson.loads(text_of_holds or "[]")
    )


_STORE = text("""
INSERT INTO halt_acks (freeze_id, executor, acked_at, last_order_seq, in_flight, open_orders, nonces, in_flight_ids,
                       paused, statement)
SELECT freeze_id, executor, clock_timestamp(), last_order_seq, in_flight, open_orders, nonces::jsonb,
       in_flight_ids::jsonb, paused::jsonb, statement
FROM unnest(CAST(:freezes AS uuid[]), CAST(:executors AS text[]), CAST(:orders AS bigint[]), CAST(:flying AS int[]),
            CAST(:open AS int[]), CAST(:nonces AS text[]), CAST(:ids AS text[]), CAST(:paused AS text[]),
            CAST(:statements AS text[]))
     AS said(freeze_id, executor, last_order_seq, in_flight, open_orders, nonces, in_flight_ids, paused, statement)
ORDER BY freeze_id, executor
ON CONFLICT (freeze_id, executor) DO UPDATE SET
    acked_at = excluded.acked_at, last_order_seq = excluded.last_order_seq, in_flight = excluded.in_flight,
    open_orders = excluded.open_orders, nonces = excluded.nonces, in_flight_ids = excluded.in_flight_ids,
    paused = excluded.paused, statement = excluded.statement
WHERE halt_acks.statement IS NULL AND excluded.statement IS NOT NULL
RETURNING freeze_id, executor, acked_at
""")
"""The first answer counts; only one that is signed takes the place of one that is not."""


async def store_acknowledgements(
    session: AsyncSession, runtime: Runtime, caller: Caller, said: Sequence[Acknowledgement]
) -> None:
    """Store answers to holds with one statement; those that are news are audited, up to a hundred in an entry.

    Consoles hear of it from the monitor, which gathers the answers of many executors into few events.
    """
    rows = await session.execute(
        _STORE,
        {
            "freezes": [one.hold.id for one in said],
            "executors": [one.request.executor for one in said],
            "orders": [one.last_order_seq for one in said],
            "flying": [one.in_flight for one in said],
            "open": [one.open_orders for one in said],
            "nonces": [_json(dict(one.nonces)) for one in said],
            "ids": [_json(list(one.in_flight_ids)) for one in said],
            "paused": [_json(dict(one.paused)) for one in said],
            "statements": [one.statement for one in said],
        },
    )
    acked_at = {(freeze_id, executor): at for freeze_id, executor, at in rows}
    news: dict[core.Hold, list[dict[str, Any]]] = defaultdict(list)
    for one in said:
        at = acked_at.get((one.hold.id, one.request.executor))
        if at is not None:
            news[one.hold].append(_told(one, at))
    for hold, told in news.items():
        for start in range(0, len(told), EXECUTORS_PER_ENTRY):
            await _record(session, runtime, caller, hold, told[start : start + EXECUTORS_PER_ENTRY])


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _told(one: Acknowledgement, at: datetime) -> dict[str, Any]:
    return {
        "executor": one.request.executor,
        "halted_after_seconds": str(core.seconds_between(one.hold.created_at, at)),
        "last_order_seq": one.last_order_seq,
        "in_flight": one.in_flight,
        "signed": one.statement is not None,
    }


async def _record(
    session: AsyncSession, runtime: Runtime, caller: Caller, hold: core.Hold, told: list[dict[str, Any]]
) -> None:
    await audit.record(
        session,
        runtime,
        caller,
        audit.AuditDraft(
            event_type="freeze.halt.acknowledged",
            action="acknowledge halt",
            resource_type="freeze",
            resource_id=hold.ref,
            new_value={"executors": told},
        ),
    )


_FATES = """
INSERT INTO halt_fates (freeze_id, executor, in_flight_id, fate, source, told_at)
SELECT ack.freeze_id, ack.executor, said.ident, said.fate, 'executor', clock_timestamp()
FROM unnest(%(executors)s::text[], %(idents)s::text[], %(fates)s::text[]) AS said(executor, ident, fate)
JOIN halt_acks AS ack ON ack.executor = said.executor AND ack.in_flight_ids ? said.ident
WHERE ack.in_flight_ids <> '[]' AND ack.acked_at > clock_timestamp() - make_interval(days => %(days)s)
ORDER BY ack.freeze_id, ack.executor, said.ident
ON CONFLICT DO NOTHING
"""


async def store_fates(connection: psycopg.AsyncConnection[Any], requests: Sequence[RenewRequest]) -> None:
    """Store how what was in flight at a halt has ended; fates of anything else concern no halt and are not kept."""
    told = [(request.executor, one.id, one.fate.value) for request in requests for one in request.fates]
    executors, idents, fates = (list(column) for column in zip(*told, strict=True))
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit TO on")  # it is not told again once it is taken
        await connection.execute(
            _FATES, {"executors": executors, "idents": idents, "fates": fates, "days": FATES_KEPT_DAYS}
        )
