"""Changes that leave a ledger consistent in itself: an old dump restored, logs written anew with everything that names
them, another generation. Only a real signer and witness beside the database, which hold later heads, can tell.

Each change is made to a copy of the database and committed, as a restore is.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from backend.audit.heads import rollback
from backend.audit.heads.configured import signer_of, witnesses_of
from backend.audit.heads.keeping import HeadKeeper
from backend.audit.identity import ledger_of
from backend.audit.sequencer import Sequencer
from backend.audit.service import AuditDraft, record
from backend.context import Runtime
from backend.runtime import build_runtime
from backend.settings import Settings
from tests.support import databases
from tests.support.app import SYSTEM, AloneLead
from tests.support.keeping import round_of
from tests.support.parties import signing
from tests.support.rewriting import make_fit
from tests.support.tampering import Connection, disarm

_EVENTS = ("freeze.hold.created", "alerts.alert.raised", "executors.process.moved")
_WITHIN = (
    "audit_periods", "audit_verifications", "audit_verification_state", "audit_checkpoints", "audit_cosignatures",
    "audit_sealed",
)  # fmt: skip
"""What in the database itself could tell."""
_FORGE = """
UPDATE audit_entries SET canon = convert_to(replace(convert_from(canon, 'UTF8'), '"outcome":"success"',
    '"outcome":"failure"'), 'UTF8') WHERE log = %s
"""
_REHASH = "UPDATE audit_entries SET leaf = sha256('\\x00'::bytea || canon), words = audit_words(canon) WHERE log = %s"
_ACTS_BEFORE, _ACTS_AFTER = 12, 9


@dataclass(frozen=True)
class Restore:
    """One such change: to which copy, and what is done to it."""

    name: str
    base: str
    """`old` or `new`."""
    apply: Callable[[Connection], object]
    regrown: int = 0
    """Acts recorded on it afterwards, so that the database is larger than what is held again."""


@dataclass
class Seen:
    """What came of it."""

    made: int = 0
    missed: list[str] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)


def restores(logs: dict[str, int]) -> Iterator[Restore]:
    """Every such change, in the generation that the ledger has and in later ones."""
    for generation in (1, 2, 3):
        tail = f", generation {generation}"
        yield Restore(f"an old dump{tail}", "old", _in_generation(generation))
        yield Restore(f"an old dump without its records{tail}", "old", _in_generation(generation, _without_records))
        yield Restore(f"an old dump that has grown again{tail}", "old", _in_generation(generation), regrown=30)
        yield Restore(f"all logs written anew{tail}", "new", _in_generation(generation, *map(_anew, logs)))
        yield Restore(f"everything gone{tail}", "new", _in_generation(generation, *(_cut(log, 0) for log in logs)))
        for log, size in logs.items():
            yield Restore(f"{log} written anew{tail}", "new", _in_generation(generation, _anew(log)))
            for left in sorted({0, 1, size // 2, size - 1} - {size}):
                yield Restore(f"{log} cut to {left}{tail}", "new", _in_generation(generation, _cut(log, left)))
    yield Restore("the faults called resolved", "old", _resolved)


def _in_generation(generation: int, *acts: Callable[[Connection], object]) -> Callable[[Connection], object]:
    def apply(connection: Connection) -> None:
        for act in acts:
            act(connection)
        if acts:
            _without_records(connection)
        connection.execute("UPDATE audit_ledger SET generation = %s", (generation,))

    return apply


def _without_records(connection: Connection) -> None:
    for table in _WITHIN:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608  constants


def _cut(log: str, left: int) -> Callable[[Connection], object]:
    def apply(connection: Connection) -> None:
        connection.execute("DELETE FROM audit_entries WHERE log = %s AND seq >= %s", (log, left))
        make_fit(connection, log, left)

    return apply


def _anew(log: str) -> Callable[[Connection], object]:
    def apply(connection: Connection) -> None:
        connection.execute(_FORGE, (log,))
        connection.execute(_REHASH, (log,))
        (size,) = connection.execute("SELECT size FROM audit_heads WHERE log = %s", (log,)).fetchone() or (0,)
        make_fit(connection, log, size)

    return apply


def _resolved(connection: Connection) -> None:
    connection.execute("UPDATE audit_faults SET resolved_at = now()")


@dataclass
class Outside:
    """A signer, a witness and two copies of a database: one of before they held the last heads."""

    directory: Path
    old: str
    new: str
    logs: dict[str, int]

    async def judge(self, change: Restore | None) -> bool:
        """Make a copy, change it, and ask whether those outside see it."""
        name, url = databases.create_database(self.old if change and change.base == "old" else self.new)
        try:
            if change is not None:
                with psycopg.connect(url) as connection:
                    disarm(connection)
                    change.apply(connection)
            runtime = _runtime(url, self.directory)
            try:
                if change is not None and change.regrown:
                    await _act(runtime, change.regrown)
                found = await _compared(runtime)
            finally:
                await runtime.database.close()
        finally:
            databases.drop_database(name)
        return found

    async def run(self, share: int = 1) -> Seen:
        """Make the changes, one in `share`."""
        seen = Seen()
        for change in list(restores(self.logs))[::share]:
            seen.made += 1
            if not await self.judge(change):
                seen.missed.append(change.name)
        if await self.judge(None):
            seen.false_alarms.append("an untouched copy")
        return seen


def _runtime(url: str, directory: Path) -> Runtime:
    return build_runtime(
        Settings(
            database_url=url,
            data_dir=directory,
            signer_socket=directory / "signer" / "signer.sock",
            witnesses=f"dir:{directory / 'shelf'}",
            pool_size=2,
        )
    )


async def _compared(runtime: Runtime) -> bool:
    signer, witnesses = signer_of(runtime.settings), witnesses_of(runtime.settings)
    try:
        found = await rollback.check(runtime, signer, witnesses)
    finally:
        for party in (signer, *witnesses):
            await party.close()
    return bool(found.contradictions or found.problems)


async def _act(runtime: Runtime, acts: int) -> None:
    """Record, and take everything into the ledger whatever anybody outside says."""
    async with runtime.database.transaction() as session:
        await ledger_of(session, runtime)
    for number in range(acts):
        async with runtime.database.transaction() as session:
            await record(session, runtime, SYSTEM, AuditDraft(_EVENTS[number % 3], f"act {number}"))
    async with await runtime.database.dedicated("sequencer") as connection:
        while await Sequencer(runtime, AloneLead()).step(connection):
            pass


async def _held(url: str, directory: Path, acts: int) -> None:
    """Act, and have signer and witness hold what came of it."""
    runtime = _runtime(url, directory)
    keeper = HeadKeeper(runtime, AloneLead())
    try:
        await _act(runtime, acts)
        await round_of(keeper)
        await _act(runtime, 0)  # announcements of keys
        await round_of(keeper)
    finally:
        for party in (keeper._signer, *keeper._witnesses):
            await party.close()
        await runtime.database.close()


@contextmanager
def outside(template: str, directory: Path) -> Iterator[Outside]:
    """Make a ledger whose later heads are held outside, and copies of before and after."""
    made: list[str] = []
    (directory / "shelf").mkdir(parents=True)
    with signing(directory / "signer"):
        try:
            for base in (template, None):
                name, url = databases.create_database(base or made[-1])
                made.append(name)
                asyncio.run(_held(url, directory, _ACTS_AFTER if len(made) > 1 else _ACTS_BEFORE))
            with psycopg.connect(url) as connection:
                rows = connection.execute("SELECT log, size FROM audit_heads WHERE size > 0 ORDER BY log").fetchall()
            yield Outside(directory, made[0], made[1], {str(log): int(size) for log, size in rows})
        finally:
            for name in made:
                with suppress(psycopg.Error):
                    databases.drop_database(name)
