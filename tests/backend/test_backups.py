"""The backup matrix over HTTP and by its monitor: what is looked at, kept, told in the ledger, raised as an alert."""

import subprocess
from pathlib import Path

from sqlalchemy import text

from backend import backupwatch
from backend.alerts.service import live_of_rules
from backend.continuity import backups
from contract.recovery import BackupCheck, BackupMatrix, BackupState
from tests.support.app import App, started_app
from tests.support.people import ADMIN, AUDITOR, OPERATOR
from watchfloor.embedded import binaries

ROW = "System State"
OTHER = "Configuration"
YEAR_AT = 38
"""Where pg_dump's custom format since 1.15 has the year, counted from 1900."""
OLDER = """UPDATE recovery_backup_checks
    SET shown = jsonb_set(shown, '{newest_at}', to_jsonb('2026-01-01T00:00:00Z'::text))"""


def policy(directory: Path, kind: str, location: Path) -> str:
    file = directory / "policy.toml"
    base = Path(__file__).parent.parent / "support" / "swift.toml"
    file.write_text(
        f'extends = "{base}"\n[[watchfloor.recovery.backups]]\n'
        f'data = "{ROW}"\nkind = "{kind}"\nlocation = "{location}"\nmax_age_hours = 24\n'
    )
    return str(file)


def dump(url: str, target: Path, *options: str) -> None:
    subprocess.run([binaries.locate().bin / "pg_dump", "-Fc", *options, "-f", target, url], check=True)


async def state_of(app: App, data: str = ROW) -> BackupCheck:
    async with await app.as_(AUDITOR) as http:
        answer = await http.get("/v1/recovery/backups")
    assert answer.status_code == 200, answer.text
    return next(row for row in BackupMatrix.model_validate(answer.json()).rows if row.data == data)


async def alerts_of(app: App) -> list[str]:
    async with app.runtime.database.transaction() as session:
        await backupwatch.tick(session, app.runtime)
        return [mark for mark, _ in await live_of_rules(session, (backupwatch.STALE, backupwatch.FAILED))]


async def test_a_row_without_a_source_is_looked_at_by_nobody_and_never_good(database_url: str, tmp_path: Path) -> None:
    async with started_app(database_url) as app:
        row = await state_of(app, OTHER)
        assert row.state is BackupState.NOT_CHECKED
        assert "does not say where" in row.found
        checked = await backups.check_row(app.runtime, OTHER, restore=True)
        assert (checked.state, checked.restore_ok) == (BackupState.NOT_CHECKED, None)
        assert await alerts_of(app) == []


async def test_a_dump_is_found_fresh_and_its_loss_is_an_alert_until_there_is_one_again(
    database_url: str, tmp_path: Path
) -> None:
    place = tmp_path / "dumps"
    place.mkdir()
    async with started_app(database_url, policy=policy(tmp_path, "pg_dump", place)) as app:
        assert (await state_of(app)).state is BackupState.NOT_CHECKED
        assert await alerts_of(app) == [f"BACKUP_FAILED:{ROW}"]
        assert (await state_of(app)).state is BackupState.MISSING
        dump(database_url, place / "one.dump", "--schema-only")
        assert await alerts_of(app) == []
        row = await state_of(app)
        assert (row.state, row.source, row.restore_ok) == (BackupState.OK, "pg_dump", None)
        assert row.newest_at is not None
        assert abs((app.runtime.clock.now() - row.newest_at).total_seconds()) < 120
        assert row.size_bytes == (place / "one.dump").stat().st_size
        (place / "one.dump").write_bytes((place / "one.dump").read_bytes()[:20])
        assert await alerts_of(app) == [f"BACKUP_FAILED:{ROW}"]
        assert "header is damaged" in (await state_of(app)).found


async def test_who_may_look_and_that_it_is_in_the_ledger(database_url: str, tmp_path: Path) -> None:
    place = tmp_path / "dumps"
    place.mkdir()
    async with started_app(database_url, policy=policy(tmp_path, "pg_dump", place)) as app:
        async with await app.as_(AUDITOR) as http:
            assert (await http.post("/v1/recovery/backups/check", json={"data": ROW})).status_code == 403
        async with await app.as_(OPERATOR) as http:
            assert (await http.post("/v1/recovery/backups/check", json={"data": ROW})).status_code == 403
        async with await app.as_(ADMIN) as http:
            missing = await http.post("/v1/recovery/backups/check", json={"data": "no such row"})
            assert missing.status_code == 404, missing.text
            answer = await http.post("/v1/recovery/backups/check", json={"data": ROW})
            assert answer.status_code == 202, answer.text
            assert answer.json()["state"] == "missing"
            found = (await http.get("/v1/audit", params={"resource_id": ROW, "limit": 10})).json()["items"]
            assert [one["event_type"] for one in found] == ["recovery.backup.checked"]


async def test_an_old_dump_is_stale_and_one_of_tomorrow_is_not_believed(database_url: str, tmp_path: Path) -> None:
    place = tmp_path / "dumps"
    place.mkdir()
    dump(database_url, place / "one.dump", "--schema-only")
    raw = bytearray((place / "one.dump").read_bytes())
    async with started_app(database_url, policy=policy(tmp_path, "pg_dump", place)) as app:
        raw[YEAR_AT] -= 1
        (place / "one.dump").write_bytes(raw)
        assert (await backups.check_row(app.runtime, ROW, restore=False)).state is BackupState.STALE
        assert await alerts_of(app) == [f"BACKUP_STALE:{ROW}"]
        raw[YEAR_AT] += 2
        (place / "one.dump").write_bytes(raw)
        found = await backups.check_row(app.runtime, ROW, restore=False)
        assert (found.state, "which is to come" in found.found) == (BackupState.FAILED, True)
        assert await alerts_of(app) == [f"BACKUP_FAILED:{ROW}"]


async def test_what_was_fresh_when_it_was_looked_at_becomes_stale_by_itself(database_url: str, tmp_path: Path) -> None:
    place = tmp_path / "dumps"
    place.mkdir()
    dump(database_url, place / "one.dump", "--schema-only")
    async with started_app(database_url, policy=policy(tmp_path, "pg_dump", place)) as app:
        assert (await backups.check_row(app.runtime, ROW, restore=False)).state is BackupState.OK
        async with app.runtime.database.transaction() as session:
            await session.execute(text(OLDER))
        row = await state_of(app)
        assert (row.state, "24 h are allowed" in row.found) == (BackupState.STALE, True)
