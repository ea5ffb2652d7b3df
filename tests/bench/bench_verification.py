"""Measures verification: entries read for the first time, read again from the first on, and the proof of one entry."""

import asyncio
import os
import resource
import tempfile
import time
from typing import Any, Final
from uuid import UUID

import psycopg
from sqlalchemy import select

from backend.audit.tables import LedgerEntry
from backend.audit.verification import proving
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.people import Keys
from backend.audit.verification.state import State
from tests.bench.filled import fill
from tests.bench.report import Row
from tests.support import databases
from tests.support.app import SYSTEM, App, started_app

ENTRIES: Final = int(os.environ.get("WATCHFLOOR_BENCH_ENTRIES", "1000000"))
AT_LEAST_PER_S: Final = 300_000
MEMORY_MB: Final = 200
PROOF_S: Final = 0.005
_PROOFS: Final = 200
_INDEXES: Final = "actor event resource request time words"
_KEYS: Final = Keys({}, b"\0" * 32)


def run() -> list[Row]:
    """Fill a ledger and verify it."""
    os.environ.setdefault("WATCHFLOOR_DATA_DIR", tempfile.mkdtemp(prefix="wf-bench-state-"))
    with databases.migrated_template() as template:
        name, url = databases.create_database(template)
        try:
            return _measured(url)
        finally:
            databases.drop_database(name)


def _measured(url: str) -> list[Row]:
    proof_s, path_bytes = asyncio.run(_with_app(url))
    before_mb = _memory_mb()
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC -c jit=off") as connection:
        first_s, first = _timed(connection, None, words=False)
        again_s, _ = _timed(connection, first.state, words=False)
        words_s, _ = _timed(connection, first.state, words=True)
    rates = {"read for the first time": first_s, "read again, full": again_s, "read again, full, with words": words_s}
    rows = [
        Row("verification", f"{what} / a core", first.entries / seconds[0], "entries/s", note=_note(seconds))
        for what, seconds in rates.items()
    ]
    limited = Row(**{**rows[1].__dict__, "limit": AT_LEAST_PER_S, "at_least": True})
    return [
        rows[0], limited, rows[2],
        Row("verification", "memory", _memory_mb(), "MB", limit=MEMORY_MB, note=f"{before_mb:.0f} MB before it began"),
        Row("proof", "median time", proof_s, "s", limit=PROOF_S, note=f"of an entry of {ENTRIES:,}"),
        Row("proof", "hashes", path_bytes, "bytes", limit=1_024),
    ]  # fmt: skip


def _note(seconds: tuple[float, float]) -> str:
    return f"{ENTRIES:,} entries; processor time of the verifier; {seconds[1]:.1f} s by the clock with the server's"


def _timed(
    connection: psycopg.Connection[Any], trusted: State | None, *, words: bool
) -> tuple[tuple[float, float], Result]:
    """Verify; gives processor seconds, seconds and the result, which must be good."""
    processor, began = time.process_time(), time.perf_counter()
    result = verify(connection, Plan(_KEYS, trusted=trusted, words=words))
    if result.verdicts.failed:
        raise RuntimeError(f"a ledger in order was not found so: {result.verdicts.to_tree()}")
    return (time.process_time() - processor, time.perf_counter() - began), result


async def _with_app(url: str) -> tuple[float, float]:
    async with started_app(url) as app:
        await asyncio.to_thread(_fill, url)
        return await _proofs(app)


def _fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        for name in _INDEXES.split():  # filling is not what is measured
            connection.execute(f"DROP INDEX IF EXISTS ix_audit_entries_{name}")
        fill(connection, "7y", ENTRIES)
        connection.execute("ANALYZE audit_entries")


async def _proofs(app: App) -> tuple[float, float]:
    """The median seconds a proof takes, and the bytes of the longest path."""
    seconds, longest = [], 0
    for number in range(_PROOFS):
        async with app.runtime.database.read() as session:
            seq = number * (ENTRIES // _PROOFS)
            wanted = select(LedgerEntry.id).where(LedgerEntry.log == "7y", LedgerEntry.seq == seq)
            ident: UUID = (await session.scalars(wanted)).one()
            began = time.perf_counter()
            proof = await proving.prove(session, app.runtime, SYSTEM, str(ident))
            seconds.append(time.perf_counter() - began)
            longest = max(longest, 32 * len(proof.path))
    return sorted(seconds)[len(seconds) // 2], longest


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
