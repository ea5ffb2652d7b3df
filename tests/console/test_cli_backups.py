"""What `watchfloor backups` shows, and with which exit code a look ends."""

from datetime import UTC, datetime, timedelta

from console.commands.backups import _lines
from contract.errors import ExitCode
from contract.recovery import BackupCheck, BackupMatrix, BackupState
from tests.support.commands import Commands
from tests.support.people import ADMIN, AUDITOR


def row(state: BackupState, **more: object) -> BackupCheck:
    return BackupCheck.model_validate(
        {
            "data": "System State\x1b[2J", "frequency": "Daily", "retention_days": 7, "storage": "S3",
            "recovery_method": "restore", "state": state, "found": "Something\x1b[2J was found.", **more,
        }
    )  # fmt: skip


def test_every_state_is_a_word_and_hostile_text_is_harmless() -> None:
    now = datetime.now(UTC)
    rows = [row(state) for state in BackupState]
    rows.append(row(BackupState.OK, newest_at=now - timedelta(hours=2), restored_at=now, restore_ok=False))
    shown = "\n".join(_lines(BackupMatrix(rows=rows, as_of=now)))
    for word in ("ok", "STALE", "MISSING", "FAILED", "not checked", "2h00 old", "restored"):
        assert word in shown, word
    assert "\x1b" not in shown


def test_the_matrix_and_a_look_at_it(run: Commands) -> None:
    shown = run(AUDITOR, "backups")
    assert shown.code == ExitCode.OK, shown.err
    assert "not checked" in shown.out
    assert run(AUDITOR, "backups", "check", "System State").code == ExitCode.NOT_ALLOWED
    assert run(ADMIN, "backups", "check", "no such row").code == ExitCode.NOT_FOUND
    assert run(ADMIN, "backups", "check", "System State").code == ExitCode.OK
    assert run(ADMIN, "backups", "check", "System State", "--restore").code == ExitCode.CHECK_FAILED
