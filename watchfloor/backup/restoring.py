"""Restores a backup into a scratch server and compares it with what it should hold.

The scratch server listens on a private socket, knows nothing of the one that the backup is of, and is gone with its
files in the end. A dump is restored by an account that is not a superuser: what is in it cannot run programs.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from backend.continuity.backup_looking import Kept, newest
from backend.continuity.backup_manifest import BackupManifest, ManifestError
from backend.continuity.backup_reading import BackupError
from watchfloor.backup.counting import Connection, Held, held, root_at
from watchfloor.backup.tools import BackupFailedError, environment_of, of_major, run, sha256_of
from watchfloor.embedded import ConfigurationError, EmbeddedPostgres, account
from watchfloor.embedded import binaries as installations

_RESTORER: Final = "restorer"
_DATABASE: Final = "restored"
_PREFIX: Final = "wf-restore-"
_TOLD: Final = 3
"""Differences that are named; the others are counted."""
_RESERVE_BYTES: Final = 200 * 1024 * 1024
"""A cluster, its log, and room to work."""
_CONFIGURATION: Final = """\
archive_mode = off
hot_standby = off
max_prepared_transactions = 100
"""
"""Instead of the backup's own, which may have addresses and programs of the server that it is of."""
_TRUST: Final = "local all all trust\n"
_SIGNALS: Final = ("standby.signal", "recovery.signal")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    ok: bool | None
    """None: it was restored, and nothing says what it should hold."""
    found: str
    name: str = ""
    tables: int | None = None
    rows: int | None = None
    ledger_entries: int | None = None


def restore_test(place: Path, kind: str | None, scratch: Path) -> Outcome:
    """Restore the newest backup at a place, and compare; whatever goes wrong is an outcome."""
    name = ""
    try:
        kept = newest(place.resolve(), kind)
        if kept is None:
            return Outcome(ok=False, found=f"There is no backup in {place}.")
        name = kept.path.name
        _check_files(kept)
        return _restored(kept, scratch)
    except (BackupError, ManifestError) as error:
        told = f"It is not good: {error}."
    except (BackupFailedError, ConfigurationError) as error:
        told = str(error)
    except psycopg.Error as error:
        told = f"The scratch server: {(str(error).strip() or type(error).__name__).splitlines()[0]}."
    except OSError as error:
        told = f"{error.filename or place}: {error.strerror or error}."
    except shutil.Error as error:
        told = f"It could not be copied: {str(error)[:200]}."
    return Outcome(ok=False, found=told, name=name)


def _check_files(kept: Kept) -> None:
    for name, file in (kept.manifest.files if kept.manifest is not None else {}).items():
        path = kept.path / name if kept.path.is_dir() else kept.path
        if path.name != name or sha256_of(path) != file.sha256:
            raise BackupFailedError(f"{name} is damaged: it is not what was written when the backup was made.")


def _restored(kept: Kept, scratch: Path) -> Outcome:
    with _home(scratch) as home:
        _require_space(home, kept.size_bytes + _RESERVE_BYTES)
        bring = _from_dump if kept.kind == "pg_dump" else _from_base
        with bring(kept, home) as connection:
            if connection is None or kept.manifest is None:
                told = "It was restored without an error, and no manifest beside it says what it should hold."
                return Outcome(ok=None, found=told, name=kept.path.name)
            return _compared(connection, kept.manifest)


def _require_space(home: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(home).free
    if free < needed_bytes:
        told = f"The disk is full: {home.parent} has {free >> 20} MiB free, {needed_bytes >> 20} MiB are needed."
        raise BackupFailedError(told)


@contextmanager
def _home(scratch: Path) -> Iterator[Path]:
    """Where the scratch server lives: a directory of its own, which the server's account can reach."""
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))
    try:
        home = _reachable(home)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _reachable(home: Path) -> Path:
    if os.geteuid() != 0:
        return home
    home.chmod(0o711)  # the server's account must be able to walk through
    whose = account.choose(home / "data")
    if whose is None or whose.enters(home):
        return home
    home.rmdir()
    found = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=account.reachable_place(whose)))
    found.chmod(0o711)
    return found


# dumps


@contextmanager
def _from_dump(kept: Kept, home: Path) -> Iterator[Connection | None]:
    programs = installations.locate()
    if kept.manifest is not None and kept.manifest.major > programs.major:
        raise BackupFailedError(
            f"It is of PostgreSQL {kept.manifest.major}, and the programs here are of PostgreSQL {programs.major}."
        )
    with EmbeddedPostgres(home, fast=True, ephemeral=True) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {_RESTORER} LOGIN".encode())
            connection.execute(f"CREATE DATABASE {_DATABASE} OWNER {_RESTORER}".encode())
        environment = environment_of(make_conninfo(server.url(_DATABASE), user=_RESTORER))
        argv = ["--exit-on-error", "--no-owner", "--no-privileges", "--no-password", f"--dbname={_DATABASE}"]
        run([programs.bin / "pg_restore", *argv, kept.path], environment, "It cannot be restored")
        with psycopg.connect(server.url(_DATABASE)) as connection:
            yield connection


# base backups


@contextmanager
def _from_base(kept: Kept, home: Path) -> Iterator[Connection | None]:
    programs = of_major(_major_of(kept.path))
    cluster = home / "data"
    _copy(kept.path, cluster)
    run([programs.bin / "pg_verifybackup", cluster], account.SERVER_ENVIRONMENT, "It is damaged")
    settings = _made_harmless(cluster, home)
    os.environ["WATCHFLOOR_PGBIN"] = str(programs.bin)  # of this process alone: the server of this backup's version
    with EmbeddedPostgres(home, fast=True, ephemeral=True, settings=settings) as server:
        if kept.manifest is None:
            yield None
            return
        manifest = kept.manifest
        with psycopg.connect(server.url(manifest.database), user=manifest.owner) as connection:
            yield connection


def _major_of(path: Path) -> int:
    version = (path / "PG_VERSION").read_text(errors="replace").strip()
    if not version.isdecimal() or len(version) > 3:  # noqa: PLR2004  "18"
        raise BackupFailedError("It does not say of which version of PostgreSQL it is.")
    return int(version)


def _copy(source: Path, cluster: Path) -> None:
    for directory, names, files in os.walk(source):
        linked = [name for name in (*names, *files) if (Path(directory) / name).is_symlink()]
        if linked:
            raise BackupFailedError(f"{linked[0]} leads out of it (a tablespace?): that is not restored here.")
    shutil.copytree(source, cluster)


def _made_harmless(cluster: Path, home: Path) -> dict[str, str]:
    """Take from a cluster whatever could reach the server that it is of; the settings to start it with."""
    for name in _SIGNALS:
        (cluster / name).unlink(missing_ok=True)
    (cluster / "postgresql.auto.conf").write_text("")
    own = {"config_file": (home / "scratch.conf", _CONFIGURATION), "hba_file": (home / "scratch_hba.conf", _TRUST)}
    own["ident_file"] = (home / "scratch_ident.conf", "")
    for path, text in own.values():
        path.write_text(text)
        path.chmod(0o644)
    cluster.chmod(0o700)
    whose = account.choose(cluster)
    if whose is not None:
        for directory, _, files in os.walk(cluster):
            os.chown(directory, whose.uid, whose.gid)
            for name in files:
                os.chown(Path(directory) / name, whose.uid, whose.gid)
    return {name: str(path) for name, (path, _) in own.items()}


# what it holds


def _compared(connection: Connection, manifest: BackupManifest) -> Outcome:
    found = held(connection)
    wrong = [*_tables(found, manifest), *_ledger(connection, found, manifest)]
    entries = sum(head.size for head in found.heads)
    told = f"{len(found.tables):,} tables and {found.rows:,} rows"
    if wrong:
        further = f" (and {len(wrong) - _TOLD} further differences)" if len(wrong) > _TOLD else ""
        told = f"It does not hold what it should: {'; '.join(wrong[:_TOLD])}{further}."
    else:
        moving = f"; {len(manifest.moving)} tables changed while it was taken" if manifest.moving else ""
        told = f"Restored: {told} as they should be{moving}; the ledger's heads are right, {entries:,} entries."
    return Outcome(not wrong, told, manifest.name, len(found.tables), found.rows, entries)


def _tables(found: Held, manifest: BackupManifest) -> Iterator[str]:
    for name, count in manifest.tables.items():
        there = found.tables.get(name)
        if there is None:
            if name not in manifest.moving:
                yield f"the table {name} is missing"
        elif there != count and name not in manifest.moving:
            yield f"{name} has {there:,} rows, not {count:,}"
    if not manifest.moving:
        yield from (f"the table {name} is not in its manifest" for name in found.tables if name not in manifest.tables)


def _ledger(connection: Connection, found: Held, manifest: BackupManifest) -> Iterator[str]:
    """The heads are those of the manifest; what a base backup has more grew out of them; entries give the same root."""
    there = {head.log: head for head in found.heads}
    for head in manifest.heads:
        own = there.get(head.log)
        if own is None or own.size < head.size:
            yield f"the ledger {head.log} has {own.size if own else 0:,} entries, not {head.size:,}"
            continue
        if own.size != head.size and manifest.kind == "pg_dump":
            yield f"the ledger {head.log} has {own.size:,} entries, not {head.size:,}"
        if own.size == head.size and own.root != head.root:
            yield f"the ledger {head.log} has another root"
        worked_out = root_at(connection, head) if head.size else head.root
        if worked_out not in {None, head.root}:
            yield f"the entries of the ledger {head.log} do not give its root"
