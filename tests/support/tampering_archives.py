"""Changes to what is left of dropped entries: their copies outside the database, and what the database keeps of it."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import psycopg

from backend.audit.retention import archives
from backend.audit.retention.archives import DamagedCopyError
from backend.audit.verification.check import Plan, verify
from backend.stores import NotStoredError, Store, StoreError
from tests.support.aged import Aged
from tests.support.tampering import Change, Connection, disarm, of_kind
from tests.support.tampering_tables import table_changes
from tests.support.verifying import keys_of

BYTES_EACH: Final = 120
"""Bytes of each file that are changed, spread evenly; files that are shorter are changed at every byte."""


@dataclass(frozen=True)
class FileChange:
    """What somebody does to a place of copies."""

    name: str
    kind: str
    apply: Callable[[], object]


def _over(path: Path, raw: bytes) -> Callable[[], object]:
    return partial(path.write_bytes, raw)


@dataclass
class Kept:
    """What came of it, by kind."""

    made: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)


def file_changes(place: Path) -> Iterator[FileChange]:
    """Every change to the files of one place."""
    files = sorted(path for path in place.rglob("*") if path.is_file())
    for path in files:
        kind = path.name.partition("-")[0].partition(".")[0]
        yield from _of_file(path, f"archives: {kind}")
        alike = [one for one in files if one.name.partition("-")[0] == path.name.partition("-")[0]]
        others = [one for one in alike if one.read_bytes() != path.read_bytes()]
        for other in others:
            yield FileChange(f"{path} replaced by {other}", "archives: swapped", _over(path, other.read_bytes()))
    for folder in sorted({path.parent for path in files}):
        yield FileChange(f"{folder} removed", "archives: removed", partial(shutil.rmtree, folder))


def _of_file(path: Path, kind: str) -> Iterator[FileChange]:
    raw = path.read_bytes()
    step = max(1, len(raw) // BYTES_EACH)
    for at in range(0, len(raw), step):
        changed = raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :]
        yield FileChange(f"byte {at} of {path}", kind, _over(path, changed))
    for what, new in (
        ("one byte shorter", raw[:-1]), ("half", raw[: len(raw) // 2]), ("emptied", b""), ("longer", raw + b"\n"),
        ("twice", raw + raw),
    ):  # fmt: skip
        yield FileChange(f"{path} {what}", f"{kind}, cut or longer", _over(path, new))
    yield FileChange(f"{path} removed", "archives: removed", path.unlink)


async def tamper_with_copies(ledger: Aged, spare: Path, *, share: int = 1) -> Kept:
    """Change one place's copies, each change taken back before the next."""
    kept, place, store = Kept(), ledger.places[0], ledger.stores[0]
    shutil.copytree(place, spare)
    known = await _known(ledger, store)
    if not await _sound(store, known):
        kept.false_alarms.append("untouched copies")
    for number, change in enumerate(list(file_changes(place))):
        if number % share:
            continue
        change.apply()
        kept.made[change.kind] += 1
        if await _sound(store, known):
            kept.missed.append(change.name)
        shutil.rmtree(place)
        shutil.copytree(spare, place)
    if not await _sound(store, known):
        kept.false_alarms.append("copies put back")
    return kept


async def _known(ledger: Aged, store: Store) -> list[tuple[str, bytes]]:
    """Manifest and its hash of every copy in a place, as the ledger keeps them."""
    async with await ledger.app.runtime.database.dedicated("test") as connection:
        rows = await connection.execute("SELECT manifest, sha256 FROM audit_archives WHERE place = %s", (store.place,))
        return [(str(manifest), bytes(sha256)) for manifest, sha256 in await rows.fetchall()]


async def _sound(store: Store, known: Sequence[tuple[str, bytes]]) -> bool:
    try:
        for manifest, sha256 in known:
            await archives.read_back(store, manifest, sha256)
    except (NotStoredError, DamagedCopyError, StoreError):
        return False
    return True


def purge_changes(connection: Connection) -> Iterator[Change]:
    """What the database keeps of dropped partitions, column by column, byte by byte, and dropped announcements."""
    yield from (one for one in table_changes(connection, 50) if one.kind.endswith(" purges"))
    shifted = "UPDATE audit_purges SET edge = (SELECT frontier FROM audit_heads WHERE log = audit_purges.log)"
    root = ", root = (SELECT root FROM audit_heads WHERE log = audit_purges.log)"
    later = Change("the cut said to be at the end", lambda c: c.execute(shifted + root), frozenset())
    more = "DELETE FROM audit_entries WHERE log = '3y' AND seq = (SELECT min(seq) FROM audit_entries WHERE log = '3y')"
    beyond = Change("one entry more dropped than announced", lambda c: c.execute(more), frozenset())
    yield from of_kind("rows of purges", iter((later, beyond)))


def tamper_with_purges(ledger: Aged, url: str) -> Kept:
    """Change what is kept of dropped entries, each in a transaction that is rolled back."""
    kept, plan = Kept(), Plan(keys_of(ledger.app.runtime), patience_s=0.0)
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        disarm(connection)
        untouched = verify(connection, plan).verdicts
        kept.false_alarms += [str(untouched[one].first) for one in untouched.failed]
        for change in purge_changes(connection):
            try:
                with connection.transaction(force_rollback=True):
                    change.apply(connection)
                    failed = verify(connection, plan).verdicts.failed
            except (psycopg.DataError, psycopg.IntegrityError):
                continue
            kept.made[change.kind] += 1
            if not failed:
                kept.missed.append(change.name)
    return kept
