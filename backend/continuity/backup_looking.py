"""Looks where the backups of a row are: whether there is one, how old the newest is, whether it is whole as far as a
look can tell. Blocking; only reads. Must never call something good that it has not seen: a restore says more.
"""

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from backend.continuity import backup_manifest, backup_reading
from backend.continuity.backup_manifest import BackupManifest, ManifestError
from backend.continuity.backup_reading import (
    HEADER_BYTES,
    MAX_LIST_BYTES,
    MAX_MANIFEST_BYTES,
    BackupError,
    Listed,
    plain,
)
from backend.policy.recovery import BackupSource
from contract.recovery import BackupState

MAX_ENTRIES: Final = 10_000
"""Backups in one directory: daily ones of a quarter of a century."""
MAX_FILES: Final = 1_000_000
CLOCKS_APART: Final = timedelta(minutes=5)
"""A backup may be as much younger than now: clocks of two machines differ."""
MANIFEST: Final = "backup_manifest"
TOC: Final = "toc.dat"
UNFINISHED: Final = ".partial"
"""Ends the name of what `watchfloor backup take` has not finished."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found."""

    state: BackupState
    found: str
    """One sentence."""
    newest_at: datetime | None = None
    size_bytes: int | None = None
    path: Path | None = None
    """The newest, where it is something that can be restored here."""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup that lies in a directory."""

    path: Path
    kind: str
    made_at: datetime
    size_bytes: int
    manifest: BackupManifest | None
    facts: Mapping[str, Any]


def look(source: BackupSource, now: datetime) -> Seen:
    """Look at the newest backup of a row."""
    seen = _looked(source, now)
    facts = {name: plain(value) if isinstance(value, str) else value for name, value in seen.facts.items()}
    return replace(seen, found=plain(seen.found), facts=facts)


def _looked(source: BackupSource, now: datetime) -> Seen:
    try:
        found = _LOOKS[source.kind](source)
    except (BackupError, ManifestError) as error:
        return Seen(BackupState.FAILED, f"The backup in {source.location} is not good: {error}.")
    except FileNotFoundError:
        return Seen(BackupState.MISSING, f"There is nothing at {source.location}.")
    except OSError as error:
        return Seen(BackupState.FAILED, f"{source.location} cannot be read: {error.strerror or error}.")
    if found is None:
        return Seen(BackupState.MISSING, f"There is no backup in {source.location}.")
    return _judged(found, source, now)


def _judged(found: Seen, source: BackupSource, now: datetime) -> Seen:
    at = found.newest_at
    assert at is not None  # noqa: S101  whoever found one says of when it is
    if at > now + CLOCKS_APART:
        return replace(
            found,
            state=BackupState.FAILED,
            found=f"{found.found} says that it was made at {_said(at)}, which is to come.",
        )
    age = now - at
    if age > timedelta(hours=source.max_age_hours):
        told = f"{found.found} is of {_said(at)}, {_hours(age)} old; {source.max_age_hours} h are allowed."
        return replace(found, state=BackupState.STALE, found=told)
    return replace(found, state=BackupState.OK, found=f"{found.found} is of {_said(at)}.")


def _said(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} h"


# what lies in a directory


def newest(place: Path, kind: str | None = None) -> Kept | None:
    """The newest backup at a place: itself one, or a directory of some. None where there is none.

    Raises:
        BackupError: the newest, or one of which nobody can say how old it is, is not sound.
        ManifestError: the same, of what lies beside it.
        OSError: it cannot be read.
    """
    own = kept(place, kind)
    if own is not None:
        return own
    if not place.is_dir():
        raise BackupError("it is neither a backup nor a directory of backups")
    entries = list(islice(place.iterdir(), MAX_ENTRIES + 1))
    if len(entries) > MAX_ENTRIES:
        raise BackupError(f"more than {MAX_ENTRIES:,} entries lie there")
    good, bad = [], []
    for path in sorted(entries):
        try:
            found = None if path.name.endswith(UNFINISHED) else kept(path, kind)
        except (BackupError, ManifestError) as error:
            bad.append((_changed(path), type(error)(f"{path.name[:100]}: {error}")))
        else:
            good += [found] if found is not None else []
    best = max(good, key=lambda one: one.made_at, default=None)
    if bad and (best is None or max(at for at, _ in bad) >= _changed(best.path)):
        raise max(bad, key=lambda one: one[0])[1]  # a newer one is there, and it is not good
    return best


def kept(path: Path, kind: str | None = None) -> Kept | None:
    """The backup that a file or directory is; None where it is none.

    Raises:
        BackupError: it is one and not whole.
        ManifestError: what lies beside it is not about it.
        OSError: it cannot be read.
    """
    if kind != "pg_dump" and (path / MANIFEST).is_file():
        return _base(path)
    whole = path / TOC if (path / TOC).is_file() else path
    if kind == "pg_basebackup" or not stat.S_ISREG(whole.stat().st_mode):
        return None
    return _dump(path, whole)


def _dump(path: Path, whole: Path) -> Kept | None:
    with whole.open("rb") as file:
        header = backup_reading.dump_header(file.read(HEADER_BYTES))
    if header is None:
        return None
    manifest = _manifest_of(path)
    sizes = _sizes(path, whole)
    for name, stored in (manifest.files if manifest is not None else {}).items():
        if name not in sizes:
            raise BackupError(f"its file {name[:100]} is missing")
        if sizes[name] != stored.size_bytes:
            raise BackupError(f"{name[:100]} has {sizes[name]:,} bytes, and had {stored.size_bytes:,} when it was made")
    made_at = manifest.taken_at if manifest is not None else header.made_at
    facts = {"format": header.form, "server": header.server[:60], "database": header.database[:60]}
    return Kept(path, "pg_dump", made_at, sum(sizes.values()), manifest, facts)


def _sizes(path: Path, whole: Path) -> dict[str, int]:
    files = [whole] if whole == path else [one for one in islice(path.iterdir(), MAX_FILES) if one.is_file()]
    return {one.name: one.stat().st_size for one in files}


def _base(path: Path) -> Kept:
    found = backup_reading.base_backup(_read(path / MANIFEST, MAX_MANIFEST_BYTES))
    manifest = _manifest_of(path)
    if len(found.files) > MAX_FILES:
        raise BackupError(f"it has more than {MAX_FILES:,} files")
    for name, size in found.files.items():
        try:
            there = (path / name).stat().st_size
        except FileNotFoundError:
            raise BackupError(f"its file {name[:100]} is missing") from None
        if there != size:
            raise BackupError(f"{name[:100]} has {there:,} bytes, and had {size:,} when it was made")
    facts = {"end_lsn": found.end_lsn, "files": len(found.files)}
    return Kept(path, "pg_basebackup", found.made_at, found.size_bytes, manifest, facts)


def _manifest_of(path: Path) -> BackupManifest | None:
    beside = path.with_name(path.name + backup_manifest.SUFFIX)
    try:
        raw = _read(beside, backup_manifest.MAX_BYTES)
    except FileNotFoundError:
        return None
    return backup_manifest.parse(raw, path.name)


def _read(path: Path, most: int) -> bytes:
    """At most one byte more than may be: whoever parses it refuses what is too large."""
    with path.open("rb") as file:
        return file.read(most + 1)


def _changed(path: Path) -> float:
    return path.stat().st_mtime


# how each kind of source is looked at


def _directory(source: BackupSource) -> Seen | None:
    place = Path(source.location)
    found = newest(place, source.kind)
    if found is None:
        return None
    facts = {**found.facts, "compared_with": "manifest" if found.manifest is not None else "nothing"}
    return Seen(BackupState.OK, found.path.name[:200], found.made_at, found.size_bytes, found.path, facts)


def _printed(read: Callable[[bytes, str], Listed | None]) -> Callable[[BackupSource], Seen | None]:
    def looked(source: BackupSource) -> Seen | None:
        listed = read(_read(Path(source.location), MAX_LIST_BYTES), source.stanza)
        if listed is None:
            return None
        return Seen(BackupState.OK, listed.name, listed.made_at, listed.size_bytes)

    return looked


_LOOKS: Final[Mapping[str, Callable[[BackupSource], Seen | None]]] = {
    "pg_dump": _directory,
    "pg_basebackup": _directory,
    "pgbackrest": _printed(backup_reading.pgbackrest),
    "wal-g": _printed(lambda raw, _: backup_reading.wal_g(raw)),
}
