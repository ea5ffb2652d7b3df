"""Measures verification: entries read for the first time, read again from the first on, and the proof of one entry.

"A core" is a processor second of the process that verifies. The server's process for it works at the same time, on
another core where there is one; rows "with the server's" count both, where the server runs on this machine.
"""

import asyncio
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from sqlalchemy import select

from backend.audit import nodes
from backend.audit.tables import LedgerEntry
from backend.audit.verification import proving
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.keys import Keys, nothing_opens
from backend.audit.verification.state import State
from tests.bench.filled import fill
from tests.bench.report import Row
from tests.support import databases
from tests.support.app import SYSTEM, App, started_app
from tests.support.masterkey import keyring

ENTRIES: Final = int(os.environ.get("WATCHFLOOR_BENCH_ENTRIES", "1000000"))
AT_LEAST_PER_S: Final = 300_000
MEMORY_MB: Final = 200
PROOF_S: Final = 0.005
_PROOFS: Final = 200
_INDEXES: Final = "actor event resource request time words"


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
    proof = asyncio.run(_with_app(url))
    before_mb = _memory_mb()
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC -c jit=off") as connection:
        first_s, first = _timed(connection, None, words=False)
        again_s, _ = _timed(connection, first.state, words=False)
        words_s, _ = _timed(connection, first.state, words=True)
    rates = {"read for the first time": first_s, "read again, full": again_s, "read again, full, with words": words_s}
    rows = [
        Row("verification", f"{what} / a core", first.entries / spent.verifier_s, "entries/s", note=spent.note)
        for what, spent in rates.items()
    ]
    both = [
        Row("verification", f"{what} / a core, with the server's", first.entries / spent.both_s, "entries/s")
        for what, spent in rates.items() if spent.server_s
    ]  # fmt: skip
    limited = Row(**{**rows[1].__dict__, "limit": AT_LEAST_PER_S, "at_least": True})
    return [
        rows[0], limited, rows[2], *both,
        Row("verification", "memory", _memory_mb(), "MB", limit=MEMORY_MB, note=f"{before_mb:.0f} MB before it began"),
        Row("proof", "median time", proof.alone_s, "s", limit=PROOF_S, note=f"the path of an entry of {ENTRIES:,}"),
        Row("proof", "median time, as `audit prove`", proof.median_s, "s", note="with its head and its audit entry"),
        Row("proof", "99 of 100 within", proof.slow_s, "s"),
        Row("proof", "median processor time of the backend", proof.processor_s, "s"),
        Row("proof", "hashes", proof.path_bytes, "bytes", limit=1_024),
    ]  # fmt: skip


@dataclass(frozen=True)
class _Spent:
    """What one verification took."""

    verifier_s: float
    """Processor seconds of this process."""
    server_s: float
    """Processor seconds of the server's process for it; 0 when it is not on this machine."""
    clock_s: float

    @property
    def both_s(self) -> float:
        return self.verifier_s + self.server_s

    @property
    def note(self) -> str:
        return (
            f"{ENTRIES:,} entries; {self.clock_s:.1f} s by the clock, {self.server_s:.1f} s of the server's processor"
        )


@dataclass(frozen=True)
class _Proved:
    """What proofs of single entries took, without HTTP."""

    alone_s: float
    median_s: float
    slow_s: float
    processor_s: float
    path_bytes: int


def _timed(connection: psycopg.Connection[Any], trusted: State | None, *, words: bool) -> tuple[_Spent, Result]:
    """Verify; gives what it took and the result, which must be good."""
    pid = connection.info.backend_pid
    server, processor, began = _processor_s(pid), time.process_time(), time.perf_counter()
    result = verify(connection, Plan(_keys(), trusted=trusted, words=words))
    if result.verdicts.failed:
        raise RuntimeError(f"a ledger in order was not found so: {result.verdicts.to_tree()}")
    spent = time.process_time() - processor, _processor_s(pid) - server, time.perf_counter() - began
    return _Spent(*spent), result


def _keys() -> Keys:
    ring = keyring()
    return Keys(nothing_opens, ring.blinding, ring.outbox, ring.verification)


def _processor_s(pid: int) -> float:
    """Processor seconds of a server process on this machine; 0 when there is none of that number, or it is not one."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return 0.0
    fields = rest.split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if "postgres" in name else 0.0


async def _with_app(url: str) -> _Proved:
    async with started_app(url) as app:
        await asyncio.to_thread(_fill, url)
        return await _proofs(app)


def _fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        for name in _INDEXES.split():  # filling is not what is measured
            connection.execute(f"DROP INDEX IF EXISTS ix_audit_entries_{name}")
        fill(connection, "7y", ENTRIES)
        connection.execute("ANALYZE audit_entries")


async def _proofs(app: App) -> _Proved:
    alone, seconds, processor, longest = [], [], [], 0
    for number in range(_PROOFS):
        async with app.runtime.database.read() as session:
            seq = number * (ENTRIES // _PROOFS)
            wanted = select(LedgerEntry.id).where(LedgerEntry.log == "7y", LedgerEntry.seq == seq)
            ident: UUID = (await session.scalars(wanted)).one()
            began, worked = time.perf_counter(), time.process_time()
            proof = await proving.prove(session, app.runtime, SYSTEM, str(ident))
            seconds.append(time.perf_counter() - began)
            processor.append(time.process_time() - worked)
            longest = max(longest, 32 * len(proof.path))
            began = time.perf_counter()
            await nodes.inclusion_proof(session, "7y", seq, proof.size)
            alone.append(time.perf_counter() - began)
    middle, ordered = _PROOFS // 2, sorted(seconds)
    slow = ordered[_PROOFS * 99 // 100]
    return _Proved(sorted(alone)[middle], ordered[middle], slow, sorted(processor)[middle], longest)


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
