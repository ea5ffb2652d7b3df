"""`watchfloor audit verify|prove|bundle`: whether the ledger is what was written to it, and what shows it to others."""

import asyncio
import re
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Final

import click

from console.client.api import Api
from console.commands.base import Call, command, finish, write_new
from console.commands.output import counted, instant, note, outside, padded, painted, wrapped
from console.commands.times import instant_option
from contract.errors import ExitCode
from contract.verification import EntryProof, Finding, Verdict, VerdictReport, Verification, VerificationRequest

_LOOK_S: Final = 0.5
_BAR_COLUMNS: Final = 30
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_PART_BYTES: Final = 1 << 18
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
    for told in report.notes:
        lines += wrapped(f"note: {outside(told.detail, 300)}", 16)
    if (more := report.noted - len(report.notes)) > 0:
        lines.append(f"{' ' * 16}and {more:,} more notes")
    return lines


def _finding(finding: Finding) -> str:
    place = outside(finding.log, 40) if finding.seq is None else f"{outside(finding.log, 40)} {finding.seq}"
    return f"{place}: {outside(finding.what, 30)}: {outside(finding.detail, 300)}"


@click.command("prove")
@click.argument("ident", metavar="ID")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the whole proof into this file.")
@command("audit.prove")
def prove(call: Call, ident: str, out: Path | None) -> None:
    """Take what shows to others that an entry is in the ledger; `verify_bundle.py FILE` checks it offline."""
    proof = call.ask(lambda api: api.proof(ident))
    if out is not None:
        write_new(out, proof.model_dump_json(indent=1).encode() + b"\n")
    call.answer(proof, lambda: _proof_lines(proof, out))


def _proof_lines(proof: EntryProof, out: Path | None) -> list[str]:
    signed = "signed" if proof.checkpoint else "not signed yet: nobody outside vouches for it"
    lines = [
        f"entry {outside(proof.log)} {proof.seq} of {outside(proof.origin)}",
        f"  root   {outside(proof.root)}",
        f"  size   {proof.size:,} entries, {signed}",
        f"  path   {counted(len(proof.path), 'hash', 'hashes')}",
    ]
    return [*lines, f"written to {out}" if out else "Add --out FILE for the whole proof."]


@click.command("bundle")
@click.option("--from", "since", callback=instant_option, required=True, metavar="TIME", help="From this time on.")
@click.option("--to", "until", callback=instant_option, required=True, metavar="TIME", help="Before this time.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A directory that does not exist yet.",
)
@command("audit.bundle")
def bundle(call: Call, since: str, until: str, out: Path) -> None:
    """Take all entries placed in a time, with what proves them and the program that checks them offline."""
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise click.BadParameter(f"{out}: {error.strerror}", param_hint="--out") from error
    with tempfile.TemporaryFile() as file:
        call.ask(lambda api: api.bundle(since, until, file))
        file.seek(0)
        names = _unpack(file, out)
    body = {"directory": str(out), "files": names}
    call.answer(
        body, lambda: [f"{counted(len(names), 'file')} in {out}", f"check: python {out}/verify_bundle.py {out}"]
    )


def _unpack(file: IO[bytes], out: Path) -> list[str]:
    """Write the files of a bundle; a name that could lead elsewhere is refused."""
    names = []
    with tarfile.open(fileobj=file, mode="r") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None or not _FILE_NAME.fullmatch(member.name):
                raise click.ClickException("The bundle holds something that is no file of a bundle.")
            with content, (out / member.name).open("xb") as written:
                while part := content.read(_PART_BYTES):
                    written.write(part)
            names.append(member.name)
    return names
