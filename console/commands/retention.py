"""`watchfloor audit retention|archive`."""

from datetime import datetime

import click

from console.client import retention as ledger
from console.commands.base import Call, command, paging
from console.commands.output import instant, outside, wrapped
from contract.retention import ArchivedPartition, CopyState, KeptCopy, LogRetention, RetentionReport


@click.command()
@command("audit.retention")
def retention(call: Call, /) -> None:
    """What each log keeps, what is due to be dropped and what holds it back."""
    found = call.ask(ledger.retention)
    call.answer(found, lambda: lines_of(found))


def lines_of(found: RetentionReport) -> list[str]:
    """The report in words."""
    lines = [line for one in found.logs for line in _log(one, found.as_of)]
    lines.append(f"copies  {found.sound_copies:,} sound; {found.copies_needed} places needed")
    lines += [f"  in {outside(place, 70)}" for place in found.places] or ["  no place is set (WATCHFLOOR_ARCHIVES)"]
    for copy in found.failing_copies:
        told = f"{copy.state.value}: {outside(copy.log)} from {copy.seq_from:,}: {outside(copy.problem, 300)}"
        lines += wrapped(told, 2)
    return [*lines, f"As of {instant(found.as_of)}."]


def _log(one: LogRetention, now: datetime) -> list[str]:
    kept = "for ever" if one.keep_days is None else f"{one.keep_days:,} days"
    oldest = "" if one.oldest is None else f", oldest {one.oldest:%Y-%m-%d}"
    lines = [f"{outside(one.log, 12):<12}kept {kept}; {one.entries:,} entries{oldest}; {one.dropped:,} dropped"]
    if one.next is None or one.next.due_at is None:
        return lines
    when = (
        f"is due since {one.next.due_at:%Y-%m-%d}" if one.next.due_at <= now else f"is due {one.next.due_at:%Y-%m-%d}"
    )
    lines += [f"  next {one.next.seq_from:,} to {one.next.seq_until - 1:,} {when}; {one.due_partitions:,} due in all"]
    for reason in one.next.held_back_by:
        lines += wrapped(f"held back: {outside(reason, 300)}", 4)
    return lines


@click.group()
def archive() -> None:
    """Copies of the ledger's partitions outside the database.

    `watchfloor audit archive read` gives their entries, without a backend: see its --help.
    """


@archive.command("list")
@click.option("--log", metavar="LOG", help="Only this log, e.g. 7y.")
@paging
@command("audit.archive.list")
def list_archives(call: Call, /, *, log: str | None, limit: int, cursor: str | None) -> None:
    """Which partitions have copies, where, and how they were found when they were last read back."""
    page = call.ask(lambda api: ledger.archives(api, log=log, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: [line for one in page.items for line in archived_lines(one)] or ["No copies."])


def archived_lines(one: ArchivedPartition) -> list[str]:
    """One partition in words."""
    where = "dropped: only the copies are left" if one.is_dropped else "also in the database"
    first = f"{outside(one.log, 40)} {one.seq_from:,} to {one.seq_until - 1:,}  {where}"
    return [first, *(line for copy in one.copies for line in _copy(copy))]


def _copy(copy: KeptCopy) -> list[str]:
    sound = f"last read back and sound {instant(copy.checked_sound)}" if copy.checked_sound else "never read back"
    lines = wrapped(f"{copy.state.value}: {outside(copy.place, 100)}, {copy.size_bytes:,} bytes, {sound}", 2)
    if copy.state is not CopyState.SOUND:
        lines += wrapped(f"{outside(copy.problem, 300)}; tried {instant(copy.last_checked)}", 4)
    return lines
