"""Reports and registrations of many executors at once: one statement each, whatever their number."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contract.gate import RenewRequest


@dataclass(frozen=True, slots=True)
class Report:
    """One executor's report as it is to be stored."""

    request: RenewRequest
    changed: bool
    permit_until: datetime | None
    """Until when a permit given on the strength of this write can be alive; None gives none."""


@dataclass(frozen=True, slots=True)
class Odd:
    """Why a request does not simply continue what is registered under its executor's name."""

    boot_id: str | None
    """The process that holds the name; None if nobody ever had it."""
    chain: str | None
    strategy: str | None
    wallet: str | None
    has_run: bool
    """Whether the asking process is or was registered."""
    public_key: str | None
    """What the asking process was registered with."""
    bounded: bool | None = None
    in_drills: bool | None = None


ODD_SQL = """
(SELECT jsonb_agg(jsonb_build_array(asks.place, own.boot_id, own.chain, own.strategy, own.wallet,
                                    boot.boot_id IS NOT NULL, boot.public_key, own.bounded, own.in_drills))
 FROM unnest(%(names)s::text[], %(boots)s::text[], %(chains)s::text[], %(strategies)s::text[], %(wallets)s::text[],
             %(keys)s::text[], %(bounded)s::bool[], %(in_drills)s::bool[]) WITH ORDINALITY
      AS asks(name, boot_id, chain, strategy, wallet, public_key, bounded, in_drills, place)
 LEFT JOIN executors AS own ON own.name = asks.name
 LEFT JOIN executor_boots AS boot ON boot.executor = asks.name AND boot.boot_id = asks.boot_id
 WHERE own.name IS NULL OR own.boot_id <> asks.boot_id OR boot.public_key IS DISTINCT FROM asks.public_key
    OR (own.chain, own.strategy, own.wallet, own.bounded, own.in_drills)
       IS DISTINCT FROM (asks.chain, asks.strategy, asks.wallet, asks.bounded, asks.in_drills))
"""
"""Those of the asking processes that need a closer look, for a statement that asks more; NULL as a rule."""


def asking(requests: Sequence[RenewRequest]) -> dict[str, list[Any]]:
    """The parameters of `ODD_SQL`."""
    return {
        "names": [request.executor for request in requests],
        "boots": [request.boot_id for request in requests],
        "chains": [request.chain for request in requests],
        "strategies": [request.strategy for request in requests],
        "wallets": [request.wallet for request in requests],
        "keys": [request.public_key for request in requests],
        "bounded": [request.bounded for request in requests],
        "in_drills": [request.in_drills for request in requests],
    }


def read_odd(rows: list[list[Any]] | None) -> dict[int, Odd]:
    """What `ODD_SQL` says, by the place of the request in the list that was asked about."""
    return {int(place) - 1: Odd(*rest) for place, *rest in rows or ()}


_REPORT = """
WITH said AS (
    SELECT * FROM unnest(%(names)s::text[], %(boots)s::text[], %(positions)s::numeric[], %(open)s::int[],
        %(flying)s::int[], %(orders)s::bigint[], %(halted)s::bigint[], %(seen)s::bigint[], %(idle)s::int[],
        %(until)s::timestamptz[], %(changed)s::bool[])
    AS said(name, boot_id, position_eth, open_orders, in_flight, last_order_seq, halted_epoch, seen_epoch, idle_ms,
            permit_until, changed)),
free AS (SELECT name FROM executors WHERE name = ANY(%(names)s::text[]) FOR NO KEY UPDATE SKIP LOCKED)
UPDATE executors AS own SET
    position_eth = said.position_eth, open_orders = said.open_orders, in_flight = said.in_flight,
    last_order_seq = said.last_order_seq, halted_epoch = said.halted_epoch, seen_epoch = said.seen_epoch,
    idle_ms = said.idle_ms, permit_until = greatest(own.permit_until, said.permit_until),
    last_seen_at = clock_timestamp(),
    changed_at = CASE WHEN said.changed THEN clock_timestamp() ELSE own.changed_at END
FROM said JOIN free USING (name) WHERE own.name = said.name AND own.boot_id = said.boot_id RETURNING own.name
"""


async def write_reports(connection: psycopg.AsyncConnection[Any], reports: Sequence[Report]) -> set[str]:
    """Overwrite the reports of executors that hold their names; returns whose were written.

    Never waits for a lock: a row that another process is just taking over is left out.
    """
    requests = [report.request for report in reports]
    cursor = await connection.execute(
        _REPORT,
        {
            "names": [request.executor for request in requests],
            "boots": [request.boot_id for request in requests],
            "positions": [request.position_eth for request in requests],
            "open": [request.open_orders for request in requests],
            "flying": [request.in_flight for request in requests],
            "orders": [request.last_order_seq for request in requests],
            "halted": [request.halted_epoch for request in requests],
            "seen": [request.seen_epoch for request in requests],
            "idle": [request.idle_ms for request in requests],
            "until": [report.permit_until for report in reports],
            "changed": [report.changed for report in reports],
        },
        prepare=True,
    )
    return {name for (name,) in await cursor.fetchall()}


_SAID = """
unnest(CAST(:names AS text[]), CAST(:boots AS text[]), CAST(:chains AS text[]), CAST(:strategies AS text[]),
       CAST(:wallets AS text[]), CAST(:keys AS text[]), CAST(:bounded AS bool[]), CAST(:in_drills AS bool[]))
  AS said(name, boot_id, chain, strategy, wallet, public_key, bounded, in_drills)
"""
_LOCK_NAMES = text(
    """
INSERT INTO executors (name, chain, strategy, wallet, boot_id, last_order_seq, halted_epoch, registered_at,
                       last_seen_at, changed_at)
SELECT name, chain, strategy, wallet, boot_id, 0, 0, clock_timestamp(), clock_timestamp(), clock_timestamp()
FROM SAID ORDER BY name ON CONFLICT (name) DO UPDATE SET changed_at = clock_timestamp()
""".replace("SAID", _SAID)
)
_ADD_PROCESSES = text(
    """
INSERT INTO executor_boots (executor, boot_id, public_key, first_seen_at)
SELECT name, boot_id, public_key, clock_timestamp() FROM SAID ON CONFLICT DO NOTHING RETURNING executor
""".replace("SAID", _SAID)
)
_GIVE_NAMES = text(
    """
UPDATE executors AS own SET
    chain = said.chain, strategy = said.strategy, wallet = said.wallet, boot_id = said.boot_id,
    bounded = said.bounded, in_drills = said.in_drills,
    last_order_seq = 0, halted_epoch = 0, seen_epoch = 0, idle_ms = NULL, last_seen_at = clock_timestamp()
FROM SAID WHERE own.name = said.name AND said.name = ANY(CAST(:new AS text[]))
""".replace("SAID", _SAID)
)


async def register(session: AsyncSession, requests: Collection[RenewRequest]) -> set[str]:
    """Give processes the names they ask for, one process a name; returns whose process had never run before.

    The names are locked first, in order: of processes that ask at the same time on several backends the last one
    holds the name, and one that has held it before never takes it back.
    """
    said = asking(list(requests))
    await session.execute(_LOCK_NAMES, said)
    new = {name for (name,) in await session.execute(_ADD_PROCESSES, said)}
    await session.execute(_GIVE_NAMES, said | {"new": list(new)})
    return new
