"""Has a process go on as another one once its ledger was restored: what it promised before may be lost with the rest.

Must never believe a generation that no approved restore leads to: whoever can write to the database could otherwise
have a process forget what it has promised.
"""

from typing import Any, Final

import psycopg

from backend.audit.approval import approved
from backend.clock import Clock
from backend.context import Runtime
from backend.emitter import BOOT_BYTES, Stamp
from ledger import canon
from ledger.canon import CanonError
from ledger.restored import META_LOG, RESTORED

_RESTORES: Final = "SELECT canon FROM audit_entries WHERE log = %s AND event_type = %s"


def new_boot(clock: Clock) -> str:
    """A name for a process, as entries give it."""
    return clock.random_bytes(BOOT_BYTES).hex()


async def is_stale(
    connection: psycopg.AsyncConnection[Any], runtime: Runtime, stamp: Stamp, generation: int | None
) -> bool:
    """Whether an entry that was just filed must be taken back and stamped again: under another process's name.

    `generation` is the ledger's as the filing statement saw it: a restore waits for whoever has filed before.
    """
    emitter = runtime.emitter
    if generation is not None and (
        emitter.generation is None
        or (generation > emitter.generation and await _leads_to(connection, runtime, generation))
    ):
        emitter.notice(generation, new_boot(runtime.clock))
    return stamp.boot != emitter.boot


async def _leads_to(connection: psycopg.AsyncConnection[Any], runtime: Runtime, generation: int) -> bool:
    """Whether an approved restore leads to this generation."""
    rows = await (await connection.execute(_RESTORES, (META_LOG, RESTORED))).fetchall()
    for (raw,) in rows:
        try:
            told = approved(canon.decode(raw)["body"]["detail"]["new_value"], runtime.keyring.verification)
        except (CanonError, KeyError, TypeError):
            continue
        if told is not None and told.generation == generation:
            return True
    return False
