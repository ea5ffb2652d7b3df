"""`watchfloor audit verify|prove|bundle`: whether the ledger is what was written to it, and what shows it to others."""

import asyncio
import sys
from typing import Final

import click

from console.client.api import Api
from console.commands.base import Call, command, finish
from console.commands.output import counted, instant, note, outside, padded, painted, wrapped
from contract.errors import ExitCode
from contract.verification import Finding, Verdict, VerdictReport, Verification, VerificationRequest

_LOOK_S: Final = 0.5
_BAR_COLUMNS: Final = 30
_STYLES: Final = {"ok": "ok", "failed": "bad", "not_checked": "near"}
_WORDS: Final = {"ok": "ok", "failed": "FAILED", "not_checked": "not checked"}
_MEANINGS: Final[dict[Verdict, str]] = {
    "linkage": "entries, order, tree, heads, periods",
    "content": "every entry is the bytes its hash says",
    "projection": "what is searched is what entries say",
    "erasure": "what is gone was erased by an act",
    "external": "signatures and witnesses",
    "completeness": "no entry is missing or waits",
}


@click.command("verify")
@click.option("--full", is_flag=True, help="From the first entry on, not from where the last good run ended.")
@click.option("--log", "logs", multiple=True, metavar="LOG", help="Only this log, e.g. 7y; may be given again.")
@command("audit.verify")
def verify(call: Call, /, *, full: bool, logs: tuple[str, ...]) -> None:
    """Verify the ledger on the server; exit code 1 when a check fails."""
    done = call.ask(lambda api: _followed(api, VerificationRequest(full=full, logs=list(logs) or None)))
    call.answer(done, lambda: _lines(done))
    finish(ExitCode.OK if done.passed else ExitCode.CHECK_FAILED)


async def _followed(api: Api, wanted: VerificationRequest) -> Verification:
    """Start a verification and show how far it is until it ends."""
    run = await api.verify_ledger(wanted)
    told = -1
    while run.state in ("waiting", "running"):
        told = _show(run, told)
        await asyncio.sleep(_LOOK_S)
        run = await api.verification(run.id)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
    return run


def _show(run: Verification, told: int) -> int:
    """One line that is written over on a terminal; elsewhere a line for each tenth."""
    part = run.entries_done / run.entries_total if run.entries_total else 0.0
    tenth = int(part * 10)
    if sys.stderr.isatty():
        filled = "#" * round(part * _BAR_COLUMNS)
        bar = filled.ljust(_BAR_COLUMNS, ".")
        sys.stderr.write(f"\r\x1b[Kverifying [{bar}] {part:4.0%}  {run.entries_done:,} of {run.entries_total:,}")
        sys.stderr.flush()
    elif tenth != told:
        note(f"verifying: {run.entries_done:,} of {run.entries_total:,} entries ({part:.0%})")
    return tenth


def _lines(run: Verification) -> list[str]:
    if run.state == "broken":
        return ["The verification could not be carried out.", *wrapped(outside(run.error, 500), 2)]
    how = "from the first entry on" if run.full else "from the last good verification on"
    lines = [f"{counted(run.entries, 'entry', 'entries')} read {how}, {instant(run.verified_at)}"]
    for name, meaning in _MEANINGS.items():
        lines += _verdict(name, meaning, run.verdicts.get(name))
    lines += ["", f"verification {run.id}"]
    return lines


def _verdict(name: str, meaning: str, report: VerdictReport | None) -> list[str]:
    if report is None:
        return []
    word = painted(padded(_WORDS[report.outcome], 12), _STYLES[report.outcome])
    lines = [f"  {name.ljust(13)} {word} {meaning}"]
    if report.outcome == "not_checked":
        lines += wrapped(outside(report.reason), 16)
    for finding in report.first:
        lines += wrapped(_finding(finding), 16)
    if (more := report.findings - len(report.first)) > 0:
        lines.append(f"{' ' * 16}and {more:,} more")
    return lines


def _finding(finding: Finding) -> str:
    place = outside(finding.log, 40) if finding.seq is None else f"{outside(finding.log, 40)} {finding.seq}"
    return f"{place}: {outside(finding.what, 30)}: {outside(finding.detail, 300)}"
