"""Finds the server that takes writes, whichever of the database's hosts it is by now. Owns no connection it gives away.

Asks all hosts at once: one that hangs must not keep anybody from hearing that another has become the primary.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from backend.db import DEDICATED_PREFIX

CONNECT_LIMIT_S: Final = 2.0
"""A server of this network that has not let anybody in by then hangs."""
ASK_EVERY_S: Final = 0.1
"""How often the others are asked while one hangs."""
PROBE_LIMIT_S: Final = 5.0
"""A write of one row that takes longer was not taken."""
_DRIVER: Final = "postgresql+psycopg://"
_LIFE: Final = (
    "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint,"
    " (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"
)
"""Which history the server writes; it rises with every promotion. And when the server was started, in microseconds: one
that was killed and started again goes on with its history. Fails on a standby."""
_PROBE: Final = (
    "INSERT INTO recovery_markers (drill, seq, written_at)"
    " SELECT %(drill)s::text, least(min(seq), 0) - 1, %(at)s::timestamptz FROM recovery_markers WHERE drill = %(drill)s"
)
"""Probes count down from -1, markers up from 1: neither is taken for the other."""

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Writable:
    """A connection to a server that took writes when it was made."""

    connection: Connection
    host: str
    timeline: int
    started_us: int
    """When the server was started, by its own clock."""


def places_of(database_url: str) -> list[dict[str, Any]]:
    """The parameters of a connection to each single host that a database URL names.

    Raises:
        psycopg.ProgrammingError: it is no URL of a database.
    """
    whole = conninfo_to_dict(database_url.replace(_DRIVER, "postgresql://", 1))
    hosts, ports = _split(whole, "host"), _split(whole, "port")
    addresses = _split(whole, "hostaddr")
    if len(ports) == 1:
        ports *= max(len(hosts), len(addresses))
    found = []
    for at in range(max(len(hosts), len(addresses), 1)):
        own = {name: values[at] for name, values in (("host", hosts), ("hostaddr", addresses)) if at < len(values)}
        own |= {"port": ports[at]} if at < len(ports) else {}
        kept = {name: value for name, value in whole.items() if name not in {"host", "hostaddr", "port"}}
        found.append({**kept, **{name: value for name, value in own.items() if value}})
    return found


def _split(parameters: Mapping[str, Any], name: str) -> list[str]:
    text = str(parameters.get(name) or "")
    return text.split(",") if text else []


async def connect(database_url: str, purpose: str, *, newest: int = 0) -> Writable | None:
    """Connect to the first host that takes writes and does not write an older history than `newest`; None: none does.

    An older one is a primary that was replaced and does not know it yet: what it takes will be thrown away.
    """
    asking = {asyncio.create_task(_ask(place, purpose)): place for place in places_of(database_url)}
    chosen: Writable | None = None
    losers: list[Writable] = []
    try:
        while asking and chosen is None:
            done, pending = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            found = [one for one in (task.result() for task in done) if one is not None]
            chosen = max((one for one in found if one.timeline >= newest), key=lambda one: one.timeline, default=None)
            losers += [one for one in found if one is not chosen]
            if chosen is None and pending:  # a host hangs: another may be promoted while it does
                await asyncio.sleep(ASK_EVERY_S)
            again = [asking.pop(task) for task in done]
            if chosen is None and pending:
                asking |= {asyncio.create_task(_ask(place, purpose)): place for place in again}
    finally:
        await _let_go(set(asking), losers)
    return chosen


async def _let_go(asking: set[asyncio.Task[Writable | None]], losers: Sequence[Writable]) -> None:
    for task in asking:
        task.cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)
    for one in (*losers, *found):
        if isinstance(one, Writable):
            await drop(one.connection)


async def _ask(place: Mapping[str, Any], purpose: str) -> Writable | None:
    connection: Connection | None = None
    try:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            connection = await psycopg.AsyncConnection.connect(
                **{**place, "target_session_attrs": "read-write", "application_name": f"{DEDICATED_PREFIX}{purpose}"},
                autocommit=True,
            )
            row = await (await connection.execute(_LIFE)).fetchone()
    except (psycopg.Error, OSError, TimeoutError):
        if connection is not None:
            await drop(connection)
        return None
    except asyncio.CancelledError:
        if connection is not None:
            await drop(connection)
        raise
    timeline, started_us = (int(row[0]), int(row[1])) if row is not None else (0, 0)
    return Writable(connection, str(place.get("host") or place.get("hostaddr") or ""), timeline, started_us)


def hang_up(connection: Connection) -> None:
    """Have whatever waits on a connection fail at once. Cancelling would ask the server first, which may hang."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=_duplicate(connection)) as own:
        own.shutdown(socket.SHUT_RDWR)


def _duplicate(connection: Connection) -> int:
    return socket.dup(connection.fileno())


async def drop(connection: Connection) -> None:
    """Close a connection whose server may not answer any more."""
    hang_up(connection)
    await connection.close()


async def execute(
    connection: Connection, statement: str, values: Sequence[Any] | Mapping[str, Any], limit_s: float
) -> bool:
    """Whether a statement was acknowledged in time. If not, nothing more can be done on the connection."""
    doing = asyncio.ensure_future(connection.execute(statement, values))
    try:
        done, _ = await asyncio.wait({doing}, timeout=limit_s)
    finally:
        if not doing.done():
            hang_up(connection)
            await asyncio.wait({doing})
        failed = doing.exception()
    return bool(done) and failed is None


async def took_write(database_url: str, drill: str, at: datetime) -> Writable | None:
    """Write one row over a connection of its own; where it was taken, or None. The connection is closed by then."""
    found = await connect(database_url, "write probe")
    if found is None:
        return None
    try:
        took = await execute(found.connection, _PROBE, {"drill": drill, "at": at}, PROBE_LIMIT_S)
    finally:
        await drop(found.connection)
    return found if took else None
