"""`watchfloor audit archive read`: entries out of the archive, for auditors, without a database or a backend."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click
import orjson

from backend.audit.retention import archivereading
from backend.audit.retention.archivereading import Described, Vouched
from backend.audit.retention.archives import DamagedCopyError
from backend.stores import DirectoryStore, ListedStore, NotStoredError, StoreError, open_store
from console.commands.output import counted, outside, wrapped, write_json, write_lines
from console.commands.times import instant_option
from contract.errors import ExitCode
from ledger.canon import format_instant
from ledger.checkpoint import epoch_of
from ledger.note import NoteError, VerifierKey

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_VALUES: Final = "Personal values are in no copy: entries hold commitments to them, and surrogates of people."
_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for."""

    log: str | None
    since: str | None
    """As entries spell it, like `until`."""
    until: str | None
    key: str | None

    @property
    def ledger(self) -> str | None:
        """Whose copies are read; None without a key: everybody's."""
        found = epoch_of(self.key.split("+", 1)[0]) if self.key else None
        return found[0] if found else None

    def has(self, copy: Described) -> bool:
        """Whether a copy may hold something of it; its times are not known before it is read."""
        return self.log in (None, copy.log) and self.ledger in (None, copy.place_of_ledger[0])


@dataclass(slots=True)
class Read:
    """One copy and what became of it."""

    name: str
    copy: Described | None = None
    vouched: Vouched | None = None
    problem: str | None = None
    matching: int = 0
    """Entries of the time asked for."""
    first: str | None = None
    """Time of the earliest entry, like `last` of those that match."""
    last: str | None = None


@dataclass(slots=True)
class Lines:
    """Writes entries as JSON Lines: log, number, and the canonical bytes as they stand."""

    wanted: Wanted
    read: Read
    log: str
    file: IO[bytes] | None

    def take(self, first: int, canons: Sequence[bytes]) -> None:
        """Count the entries, and write those asked for."""
        for seq, canon in enumerate(canons, start=first):
            at = str(orjson.loads(canon)["index"]["occurred_at"])
            if (self.wanted.since and at < self.wanted.since) or (self.wanted.until and at >= self.wanted.until):
                continue
            self.read.matching += 1
            self.read.first, self.read.last = min(self.read.first or at, at), max(self.read.last or at, at)
            if self.file is not None:
                self.file.write(b'{"log":%s,"seq":%d,"entry":%s}\n' % (orjson.dumps(self.log), seq, canon))


@click.command("read")
@click.option("--place", metavar="PLACE", help="Where copies lie: dir:/PATH or s3://BUCKET/PREFIX.")
@click.option(
    "--file", "path", type=click.Path(path_type=Path, exists=True), help="One copy: its manifest.json or its folder."
)
@click.option("--log", metavar="LOG", help="Only this log, e.g. 7y.")
@click.option("--from", "since", callback=instant_option, default="", metavar="TIME", help="Entries from then on.")
@click.option("--to", "until", callback=instant_option, default="", metavar="TIME", help="Entries before then.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the entries here, as JSON Lines.")
@click.option("--key", metavar="VKEY", help="The ledger's first signing key, from a source you trust.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
def command(*, place: str | None, path: Path | None, out: Path | None, as_json: bool, **asked: str | None) -> int:
    """Read entries out of the archive, without a database: check each copy, then say or write what is in it.

    Checked are all digests, the tree worked out from the entries, and the signed head over it; whose signature it is
    only --key can tell. Exit code 1: a copy does not hold; nothing is written then. Personal values are in no copy.
    """
    if (place is None) == (path is None):
        raise click.UsageError("Say either --place or --file: where the copies lie.")
    wanted = Wanted(asked["log"], _spelt(asked["since"]), _spelt(asked["until"]), _key(asked["key"]))
    store = open_store(place) if place is not None else DirectoryStore(_folder(path))
    try:
        with _file(out) as file:
            found = asyncio.run(_read(store, [f"./{_MANIFEST}"] if path is not None else None, wanted, file))
            _refuse_unsound(found)
    except _UnsoundError as error:
        found = error.found
    except StoreError as error:
        sys.stderr.write(f"watchfloor audit archive: {outside(str(error), 300)}\n")
        return ExitCode.UNREACHABLE
    if not found:
        sys.stderr.write("watchfloor audit archive: there is no copy of that there.\n")
        return ExitCode.NOT_FOUND
    _tell(found, out, as_json=as_json)
    return ExitCode.CHECK_FAILED if any(one.problem for one in found) else ExitCode.OK


class _UnsoundError(Exception):
    """Keeps the file of entries from getting its name."""

    def __init__(self, found: list[Read]) -> None:
        super().__init__()
        self.found = found


def _refuse_unsound(found: list[Read]) -> None:
    if any(one.problem for one in found):
        raise _UnsoundError(found)


def _spelt(at: str | None) -> str | None:
    return format_instant(datetime.fromisoformat(at).astimezone(UTC)) if at else None


def _key(vkey: str | None) -> str | None:
    try:
        if vkey is not None and epoch_of(VerifierKey.parse(vkey).name) is None:
            raise click.UsageError("--key is not a ledger's signing key: `watchfloor audit key` prints it.")
    except NoteError as error:
        raise click.UsageError(f"--key is no key: {error}.") from error
    return vkey


def _folder(path: Path | None) -> Path:
    assert path is not None  # noqa: S101  asked for by the caller
    if path.is_dir():
        return path.resolve()
    if path.name != _MANIFEST:
        raise click.UsageError(f"--file wants a copy's {_MANIFEST}, or the folder it lies in.")
    return path.resolve().parent


@contextmanager
def _file(out: Path | None) -> "Iterator[IO[bytes] | None]":
    """The file of entries, which takes its name only when everything held."""
    if out is None:
        yield None
        return
    if out.exists():
        raise click.UsageError(f"{out} is there already.")
    draft = out.with_name(f".{out.name}.{os.getpid()}.draft")
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.rename(out)
    except OSError as error:
        raise click.UsageError(f"{out}: {error.strerror}.") from error
    finally:
        draft.unlink(missing_ok=True)


async def _read(store: ListedStore, names: list[str] | None, wanted: Wanted, file: IO[bytes] | None) -> list[Read]:
    if names is None:
        names = [name async for name in archivereading.find(store)]
    found = []
    for name in names:
        read = Read(name)
        try:
            read.copy = await archivereading.describe(store, name)
            if not wanted.has(read.copy):
                continue
            # first without writing: what does not hold must leave nothing behind
            lines = Lines(wanted, read, read.copy.log, None)
            read.vouched = await archivereading.check(store, read.copy, wanted.key, lines.take)
            if file is not None and read.matching:
                again = Lines(wanted, Read(name), read.copy.log, file)
                await archivereading.check(store, read.copy, wanted.key, again.take)
        except (DamagedCopyError, NotStoredError) as error:
            read.problem = str(error)
        found.append(read)
    return sorted(found, key=lambda one: (one.copy.log, one.copy.seq_from) if one.copy else ("", -1))


def _tell(found: Sequence[Read], out: Path | None, *, as_json: bool) -> None:
    written = out if out is not None and out.exists() else None
    if as_json:
        body = {"copies": [_tree(one) for one in found], "out": str(written) if written else None, "note": NO_VALUES}
        write_json("audit.archive.read", body)
        return
    lines = [line for one in found for line in _lines(one)]
    total = sum(one.matching for one in found if one.problem is None)
    lines.append(f"{counted(total, 'entry', 'entries')} in {counted(len(found), 'copy', 'copies')}")
    lines += [f"written to {written}"] if written else []
    keys = {one.vouched.first_key for one in found if one.vouched}
    lines += [line for key in sorted(keys) for line in wrapped(f"first signing key: {outside(key, 200)}", 0)]
    write_lines([*lines, *wrapped(NO_VALUES, 0)])


def _lines(one: Read) -> list[str]:
    if one.copy is None:
        return [f"{outside(one.name, 120)}", *wrapped(f"FAILED: {outside(one.problem, 300)}", 2)]
    lines = [f"{outside(one.copy.log, 40)} {one.copy.seq_from:,} to {one.copy.seq_until - 1:,}"]
    if one.problem is not None or one.vouched is None:
        return [*lines, *wrapped(f"FAILED: {outside(one.problem, 300)}", 2)]
    when = f", {one.first} to {one.last}" if one.first else ""
    head = one.vouched
    return [
        *lines,
        f"  ok: {one.matching:,} entries asked for{when}",
        f"  under the head of {head.head_size:,} entries of {outside(head.origin, 80)}",
        f"  {counted(head.cosignatures, 'signature of a witness', 'signatures of witnesses')}, not checked here",
        f"  manifest {one.copy.sha256.hex()}",
    ]


def _tree(one: Read) -> dict[str, Any]:
    copy, vouched = one.copy, one.vouched
    return {
        "manifest": one.name,
        "log": copy.log if copy else None,
        "seq_from": copy.seq_from if copy else None,
        "seq_until": copy.seq_until if copy else None,
        "sha256": copy.sha256.hex() if copy else None,
        "is_sound": one.problem is None,
        "problem": one.problem,
        "matching": one.matching if one.problem is None else None,
        "first": one.first if one.problem is None else None,
        "last": one.last if one.problem is None else None,
        "origin": vouched.origin if vouched else None,
        "head_size": vouched.head_size if vouched else None,
        "first_key": vouched.first_key if vouched else None,
    }
