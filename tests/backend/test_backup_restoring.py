"""Backups of real servers are taken, restored into a scratch server and compared; what is wrong with one is found."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from backend import migrate
from backend.continuity import backup_restoring, backups
from backend.continuity.backup_manifest import SUFFIX
from contract.recovery import BackupState
from tests.backend.test_backups import ROW, policy, state_of
from tests.support.app import started_app
from tests.support.people import ADMIN, ADMIN2, AUDITOR, OPERATOR
from watchfloor.backup.restoring import Outcome, restore_test
from watchfloor.backup.taking import take
from watchfloor.backup.tools import BackupFailedError
from watchfloor.embedded import EmbeddedPostgres

DEBIAN = Path("/usr/lib/postgresql/15/bin")


async def filled(url: str) -> None:
    """A database with people, and entries in its ledger."""
    async with started_app(url) as app:
        for person in (ADMIN, ADMIN2, AUDITOR, OPERATOR):
            async with await app.as_(person) as http:
                assert (await http.get("/v1/recovery/backups")).status_code == 200
                await http.post("/v1/recovery/backups/check", json={"data": ROW})


@pytest.fixture(params=[18, 15])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of a version, with a migrated database; what takes and restores chooses its programs by itself."""
    if request.param == 15:
        if not DEBIAN.is_dir():
            pytest.skip("no PostgreSQL 15 of Debian here")
        monkeypatch.setenv("WATCHFLOOR_PGBIN", str(DEBIAN))
    with EmbeddedPostgres(tmp_path / "server", fast=True, ephemeral=True) as running:
        monkeypatch.delenv("WATCHFLOOR_PGBIN", raising=False)
        migrate.upgrade(running.database_url.replace("postgresql://", "postgresql+psycopg://", 1))
        yield running.database_url


@pytest.mark.parametrize("kind", ["pg_dump", "pg_basebackup"])
async def test_a_backup_restores_to_what_it_was_taken_of(
    kind: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHFLOOR_PGBIN", "")
    await filled(server)
    taken = take(server, tmp_path / "kept", kind)
    assert sum(head.size for head in taken.manifest.heads) > 0
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = restore_test(tmp_path / "kept", None, scratch)
    assert found.ok is True, found.found
    assert found.ledger_entries == sum(head.size for head in taken.manifest.heads)
    assert found.rows is not None
    assert found.rows >= found.ledger_entries
    assert list(scratch.iterdir()) == []


def dumped(url: str, tmp_path: Path) -> Path:
    return take(url, tmp_path / "kept", "pg_dump").path


def manifest_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def rewritten(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    tree = json.loads(manifest_of(path).read_text())
    change(tree)
    manifest_of(path).write_text(json.dumps(tree))


def flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


def test_each_damage_is_found_and_said(database_url: str, tmp_path: Path) -> None:
    path = dumped(database_url, tmp_path)
    whole, manifest = path.read_bytes(), manifest_of(path).read_text()

    def said(word: str) -> None:
        found = restore_test(path.parent, "pg_dump", tmp_path)
        assert (found.ok, word in found.found) == (False, True), found
        path.write_bytes(whole)
        manifest_of(path).write_text(manifest)

    flipped(path)
    said("is damaged")
    path.write_bytes(whole[:-100])
    said("bytes, and had")
    rewritten(path, lambda tree: tree.update(name="another.dump"))
    said("of another backup")
    manifest_of(path).write_text("{")
    said("cannot be read")
    rewritten(path, lambda tree: tree["tables"].update({"public.users": 7}))  # type: ignore[attr-defined]
    said("rows, not 7")
    rewritten(path, lambda tree: tree["tables"].update({"public.nowhere": 1}))  # type: ignore[attr-defined]
    said("is missing")
    rewritten(path, lambda tree: tree.update(heads=[{"log": "7y", "size": 9, "root": "0" * 64}]))
    said("entries, not 9")
    rewritten(path, lambda tree: tree.update(server_version=990000))
    said("PostgreSQL 99")
    path.unlink()
    said("no backup")


def test_a_dump_that_is_damaged_inside_fails_also_without_a_manifest(database_url: str, tmp_path: Path) -> None:
    path = dumped(database_url, tmp_path)
    manifest_of(path).unlink()
    found = restore_test(path, None, tmp_path)
    assert found.ok is None
    assert "no manifest" in found.found
    path.write_bytes(path.read_bytes()[:-2000])
    found = restore_test(path, None, tmp_path)
    assert found.ok is False
    assert "cannot be restored" in found.found


def test_what_is_in_a_dump_runs_no_program(database_url: str, tmp_path: Path) -> None:
    proof = Path(tempfile.gettempdir()) / f"wf-proof-{secrets.token_hex(6)}"  # also others can write there
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA hostile")
        connection.execute("CREATE TABLE hostile.t (a int)")
        program = f"EXECUTE $q$COPY hostile.t FROM PROGRAM 'touch {proof}; echo 1'$q$;"
        body = f"BEGIN IF current_database() = 'restored' THEN {program} END IF; RETURN true; END"
        connection.execute(f"CREATE FUNCTION hostile.f() RETURNS bool LANGUAGE plpgsql AS $$ {body} $$".encode())
        connection.execute("CREATE TABLE hostile.u (b int CHECK (hostile.f()))")
        connection.execute("INSERT INTO hostile.u VALUES (1)")
    found = restore_test(dumped(database_url, tmp_path), None, tmp_path)
    assert (found.ok, proof.exists()) == (False, False)
    assert "permission denied to COPY" in found.found


def test_a_full_disk_is_said_before_anything_is_copied(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dumped(database_url, tmp_path)
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr("watchfloor.backup.restoring._RESERVE_BYTES", usage.f_bavail * usage.f_frsize * 2)
    found = restore_test(path, None, tmp_path)
    assert (found.ok, "The disk is full" in found.found) == (False, True)


def test_a_backup_that_fails_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(BackupFailedError):
        take(database_url.replace("wf_test_", "no_such_"), tmp_path / "kept", "pg_dump")
    assert list((tmp_path / "kept").iterdir()) == []


async def test_the_backend_restores_in_a_process_of_its_own_and_keeps_the_verdict(
    database_url: str, tmp_path: Path
) -> None:
    path = dumped(database_url, tmp_path)
    async with started_app(database_url, policy=policy(tmp_path, "pg_dump", path.parent)) as app:
        good = await backups.check_row(app.runtime, ROW, restore=True)
        assert (good.state, good.restore_ok) == (BackupState.OK, True), good
        assert good.restore_ms is not None
        rewritten(path, lambda tree: tree["tables"].update({"public.users": 7}))  # type: ignore[attr-defined]
        bad = await backups.check_row(app.runtime, ROW, restore=True)
        assert (bad.state, bad.restore_ok) == (BackupState.FAILED, False)
        looked = await backups.check_row(app.runtime, ROW, restore=False)
        assert looked.state is BackupState.FAILED, "a look does not mend what a restore found"


async def test_a_restore_asked_for_over_http_goes_on_in_the_background_one_at_a_time(
    database_url: str, tmp_path: Path
) -> None:
    path = dumped(database_url, tmp_path)
    async with started_app(database_url, policy=policy(tmp_path, "pg_dump", path.parent)) as app:
        async with await app.as_(ADMIN) as http:
            wanted = {"data": ROW, "restore": True}
            first = await http.post("/v1/recovery/backups/check", json=wanted)
            assert (first.status_code, first.json()["restoring"]) == (202, True), first.text
            assert (await http.post("/v1/recovery/backups/check", json=wanted)).status_code == 409
            assert (await state_of(app)).restoring
            async with asyncio.timeout(60):
                while (found := await state_of(app)).restoring:  # noqa: ASYNC110  a request at a time
                    await asyncio.sleep(0.2)
        assert (found.restore_ok, found.state) == (True, BackupState.OK)
        assert found.restored_at is not None


async def test_a_restore_that_hangs_or_says_nothing_is_a_failure(tmp_path: Path) -> None:
    hangs = (sys.executable, "-c", "import time; time.sleep(60)")
    found = await backup_restoring.restore(tmp_path, "pg_dump", command=hangs, limit_s=0.5)
    assert (found.verdict.ok, "did not end" in found.verdict.found) == (False, True)
    silent = (sys.executable, "-c", "import sys; sys.exit('no idea')")
    found = await backup_restoring.restore(tmp_path, "pg_dump", command=silent)
    assert (found.verdict.ok, "no idea" in found.verdict.found) == (False, True)


def test_the_commands_answer_in_json_and_by_their_exit_code(database_url: str, tmp_path: Path) -> None:
    def ran(*arguments: str) -> tuple[int, dict[str, object]]:
        environment = {**os.environ, "WATCHFLOOR_DATABASE_URL": database_url}
        argv = [sys.executable, "-m", "watchfloor", "backup", *arguments, "--json"]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    code, taken = ran("take", str(tmp_path / "kept"))
    assert (code, Path(str(taken["path"])).is_file()) == (0, True)
    code, found = ran("restore-test", str(tmp_path / "kept"))
    assert (code, found["ok"]) == (0, True), found
    flipped(Path(str(taken["path"])))
    code, found = ran("restore-test", str(tmp_path / "kept"))
    assert (code, found["ok"]) == (1, False)
    assert Outcome(**{name: found[name] for name in ("ok", "found", "name")}).found  # type: ignore[arg-type]
