"""How one server becomes primary, or hands over: waits with a limit for what has to be so. Decides nothing."""

import asyncio
from typing import Final

from watchfloor.pair.errors import PairError
from watchfloor.pair.node import Node
from watchfloor.pair.tools import lsn

PROMOTE_S: Final = 60.0
RECEIVE_S: Final = 60.0
WRITE_S: Final = 30.0
POLL_S: Final = 0.05
_PROMOTE: Final = "SELECT pg_promote(wait => true, wait_seconds => %s)"
_WRITE: Final = "SELECT pg_current_xact_id()"
"""Takes a number and commits it: a write that needs no table."""
_CLEAN_END: Final = "shut down"


async def promote(node: Node) -> None:
    """Have a standby become primary; nothing is done if it is.

    Raises:
        PairError: it did not in time.
    """
    if not node.runs:
        await node.start()
    deadline = asyncio.get_running_loop().time() + PROMOTE_S
    while True:  # a standby that has just been started takes connections once it is consistent
        try:
            if not (await node.one("SELECT pg_is_in_recovery()"))[0]:
                return
            if (await node.one(_PROMOTE, int(PROMOTE_S), seconds=PROMOTE_S))[0]:
                return
        except PairError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        if asyncio.get_running_loop().time() > deadline:
            raise PairError(f"{node.name} did not become primary within {PROMOTE_S:.0f} s: {node.trouble()}")
        await asyncio.sleep(POLL_S)


async def takes_writes(node: Node) -> None:
    """Wait until a server takes a write.

    Raises:
        PairError: it does not in time.
    """
    deadline = asyncio.get_running_loop().time() + WRITE_S
    while True:
        try:
            await node.one(_WRITE)
        except PairError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise PairError(f"{node.name} takes no writes after {WRITE_S:.0f} s: {error}") from error
            await asyncio.sleep(POLL_S)
        else:
            return


async def answers(node: Node) -> bool:
    """Say whether a server answers."""
    try:
        await node.one("SELECT 1")
    except PairError:
        return False
    return True


async def ended_at(node: Node) -> str:
    """Where the log of a server that was shut down in order ends.

    Raises:
        PairError: it was not.
    """
    said = await node.tools.control(node.cluster)
    if said.get("Database cluster state") != _CLEAN_END:
        raise PairError(f"{node.name} did not shut down in order")
    return said["Latest checkpoint location"]


async def has_received(node: Node, place: str) -> None:
    """Wait until a standby has the log beyond a place.

    Raises:
        PairError: it does not in time.
    """
    deadline = asyncio.get_running_loop().time() + RECEIVE_S
    while True:
        row = await node.one("SELECT coalesce(pg_last_wal_receive_lsn()::text, '0/0'), pg_last_wal_replay_lsn()::text")
        if max(lsn(row[0]), lsn(row[1])) > lsn(place):
            return
        if asyncio.get_running_loop().time() > deadline:
            raise PairError(f"{node.name} has the log up to {row[0]} and not up to {place}")
        await asyncio.sleep(POLL_S)
