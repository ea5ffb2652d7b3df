"""What `watchfloor audit retention` shows: what each log keeps, what is due, and everything that holds it back."""

from datetime import UTC, datetime, timedelta

from console.commands.retention import archived_lines, lines_of
from contract.errors import ExitCode
from contract.retention import (
    ArchiveCopy,
    ArchivedPartition,
    CopyState,
    KeptCopy,
    LogRetention,
    PartitionRetention,
    RetentionReport,
)
from tests.console.test_cli_shown import assert_harmless
from tests.support.commands import Commands
from tests.support.people import AUDITOR, OPERATOR

NOW = datetime(2029, 4, 1, 12, tzinfo=UTC)


def report(*logs: LogRetention) -> RetentionReport:
    place = "dir:/backup/" + "long" * 30
    failing = ArchiveCopy(
        log="3y", seq_from=0, place=place, state=CopyState.DAMAGED, problem=f"{place}: changed\x1b[2J", last_checked=NOW
    )
    return RetentionReport(
        as_of=NOW, places=[place], copies_needed=2, logs=list(logs), sound_copies=3, failing_copies=[failing]
    )


def log(days: int | None, due: timedelta | None, *reasons: str) -> LogRetention:
    coming = None if due is None else PartitionRetention(
        seq_from=0, seq_until=262_144, due_at=NOW + due, held_back_by=list(reasons)
    )  # fmt: skip
    return LogRetention(
        log="3y", keep_days=days, entries=300_000, dropped=0, oldest=NOW, full_partitions=1, due_partitions=1,
        next=coming,
    )  # fmt: skip


def test_what_is_due_and_what_holds_it_back_are_told_in_words() -> None:
    shown = "\n".join(lines_of(report(log(1_095, timedelta(days=-1), "legal hold 7 is on these entries", "x" * 200))))
    assert "3y          kept 1,095 days; 300,000 entries, oldest 2029-04-01; 0 dropped" in shown
    assert "next 0 to 262,143 is due since 2029-03-31; 1 due in all" in shown
    assert "held back: legal hold 7 is on these entries" in shown
    assert "copies  3 sound; 2 places needed" in shown
    assert "damaged: 3y from 0" in shown
    assert "\x1b" not in shown


def test_what_comes_later_and_what_is_kept_for_ever() -> None:
    shown = "\n".join(lines_of(report(log(1_095, timedelta(days=3)), log(None, None))))
    assert "next 0 to 262,143 is due 2029-04-04" in shown
    assert "kept for ever" in shown


def test_the_command_answers_who_may_see_the_log(run: Commands) -> None:
    shown = run(AUDITOR, "audit", "retention")
    assert_harmless(shown.out)
    assert "no place is set (WATCHFLOOR_ARCHIVES)" in shown.out
    assert run(AUDITOR, "audit", "retention", "--json").body["copies_needed"] == 2
    assert run(OPERATOR, "audit", "retention").code == ExitCode.NOT_ALLOWED


def _copy(state: CopyState, problem: str | None = None) -> KeptCopy:
    return KeptCopy(
        place="dir:/backup/" + "long" * 30, manifest="m", sha256="00" * 32, size_bytes=12_345, state=state,
        problem=problem, written_at=NOW, checked_sound=NOW if state is CopyState.SOUND else None, last_checked=NOW,
    )  # fmt: skip


def test_copies_are_listed_with_where_they_are_and_how_they_were_found() -> None:
    one = ArchivedPartition(
        log="3y", seq_from=0, seq_until=262_144, is_dropped=True,
        copies=[_copy(CopyState.SOUND), _copy(CopyState.DAMAGED, "changed\x1b[2J")],
    )  # fmt: skip
    shown = "\n".join(archived_lines(one))
    assert "3y 0 to 262,143  dropped: only the copies are left" in shown
    assert "12,345 bytes, last read back and sound 2029-04-01" in " ".join(shown.split())
    assert "damaged: dir:/backup/" in shown
    assert "changed" in shown
    assert "\x1b" not in shown
    assert "also in the database" in archived_lines(one.model_copy(update={"is_dropped": False}))[0]


def test_the_list_of_copies_answers_who_may_see_the_log(run: Commands) -> None:
    assert "No copies." in run(AUDITOR, "audit", "archive", "list").out
    assert run(AUDITOR, "audit", "archive", "list", "--log", "3y", "--json").body["items"] == []
    assert "archive read" in run(None, "audit", "archive", "--help").out
    assert run(OPERATOR, "audit", "archive", "list").code == ExitCode.NOT_ALLOWED
