"""Takes a backup and writes beside it what it holds. Must never leave something that looks finished and is not."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from backend.continuity.backup_looking import MANIFEST, UNFINISHED
from backend.continuity.backup_manifest import SUFFIX, BackupManifest, StoredFile
from watchfloor.backup.counting import Connection, Held, changes, held
from watchfloor.backup.tools import BackupFailedError, environment_of, run, sha256_of
from watchfloor.embedded import binaries as installations

_CONNECT_S: Final = 10
_STATEMENT: Final = "-c statement_timeout=0 -c lock_timeout=0"
"""Counting a large table takes as long as it takes."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that lies there now."""

    path: Path
    manifest: BackupManifest


def take(url: str, directory: Path, kind: str) -> Taken:
    """Take a backup of the database into a directory.

    Raises:
        BackupFailedError: it could not be taken; nothing is left of it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _connected(url) as connection:
            taken = _dump(url, connection, directory) if kind == "pg_dump" else _base(url, connection, directory)
            _write(taken)
    except psycopg.Error as error:
        lines = str(error).strip().splitlines()
        raise BackupFailedError(f"The database: {lines[0] if lines else type(error).__name__}.") from error
    except OSError as error:
        raise BackupFailedError(f"{directory}: {error.strerror or error}.") from error
    return taken


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    with psycopg.connect(url, connect_timeout=_CONNECT_S, options=_STATEMENT) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


def _dump(url: str, connection: Connection, directory: Path) -> Taken:
    """The dump is of the snapshot in which the rows are counted: they are the same."""
    snapshot, taken_at = _row(connection, "SELECT pg_export_snapshot(), clock_timestamp()")
    target = directory / f"watchfloor-{taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}.dump"
    with _unfinished(target) as draft:
        program = installations.locate().bin / "pg_dump"
        argv = ["--format=custom", f"--snapshot={snapshot}", "--no-password", f"--file={draft}"]
        run([program, *argv], environment_of(url), "pg_dump")
        found = held(connection)
        file = StoredFile(size_bytes=draft.stat().st_size, sha256=sha256_of(draft))
        facts = _facts(connection, "pg_dump", target, taken_at)
        manifest = BackupManifest(**facts, files={target.name: file}, tables=found.tables, heads=found.heads)
    return Taken(target, manifest)


def _base(url: str, connection: Connection, directory: Path) -> Taken:
    """Nobody can say in which snapshot a base backup ends: it is compared with what did not change meanwhile."""
    (taken_at,) = _row(connection, "SELECT clock_timestamp()")
    before, changed_before = held(connection), changes(connection)
    connection.rollback()
    target = directory / f"watchfloor-{taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-base"
    with _unfinished(target) as draft:
        program = installations.locate().bin / "pg_basebackup"
        argv = ["--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256", "--no-password"]
        run([program, *argv, f"--pgdata={draft}"], environment_of(url), "pg_basebackup")
        connection.rollback()
        after, changed_after = held(connection), changes(connection)
        moving = _moving(before, after) | {
            name for name in before.tables if changed_before.get(name) != changed_after.get(name)
        }
        own = draft / MANIFEST
        file = StoredFile(size_bytes=own.stat().st_size, sha256=sha256_of(own))
        facts = _facts(connection, "pg_basebackup", target, taken_at)
        manifest = BackupManifest(
            **facts, files={MANIFEST: file}, tables=before.tables, moving=frozenset(moving), heads=before.heads
        )
    return Taken(target, manifest)


def _moving(before: Held, after: Held) -> set[str]:
    return {name for name, count in before.tables.items() if after.tables.get(name) != count}


def _facts(connection: Connection, kind: str, target: Path, taken_at: datetime) -> dict[str, Any]:
    database, owner = _row(connection, "SELECT current_database(), current_user")
    return {
        "kind": kind,
        "name": target.name,
        "taken_at": taken_at.astimezone(UTC),
        "server_version": connection.info.server_version,
        "database": database,
        "owner": owner,
    }


def _row(connection: Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # noqa: S101  these questions have one answer
    return row


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """Where the backup is written until it is whole."""
    if target.exists():
        raise BackupFailedError(f"{target} is there already.")
    draft = target.with_name(target.name + UNFINISHED)
    _remove(draft)
    try:
        yield draft
        if draft.is_file():
            _synced(draft)
        draft.rename(target)
    except BaseException:
        _remove(draft)
        raise


def _write(taken: Taken) -> None:
    """Without it the backup is still one; with a part of it, it would be nobody's."""
    beside = taken.path.with_name(taken.path.name + SUFFIX)
    draft = beside.with_name(beside.name + UNFINISHED)
    try:
        draft.write_text(taken.manifest.model_dump_json(indent=1) + "\n")
        draft.chmod(0o600)
        _synced(draft)
        draft.rename(beside)
        _synced(taken.path.parent)
    except BaseException:
        _remove(draft)
        _remove(taken.path)
        raise


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
