"""One local file per process for entries that the database cannot take: each line is on the disk before it counts.

Must never block a caller for longer than `ANSWER_S`, whatever the disk does, and never grow beyond its bound. Knows
nothing of what the lines say: they come encrypted and authenticated (`backend.audit.apart`).
"""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from backend.diskthread import DiskThread
from witness.files import sync_directory

T = TypeVar("T")

MAX_BYTES: Final = 16 * 1024 * 1024
"""Some ten thousand entries: hours of refusals; what does not fit is refused rather than left unsaid."""
RESERVE_BYTES: Final = 32 * 1024 * 1024
"""Free space below which the disk counts as full: the rest is for whoever makes room."""
ANSWER_S: Final = 2.0
"""A disk that takes longer to answer counts as broken."""
DIRECTORY: Final = "audit-spool"
SUFFIX: Final = ".spool"
_PROBE_BYTES: Final = 32
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class SpoolError(Exception):
    """The file cannot take a line, or can no longer be trusted to have it."""


@dataclass
class SpoolFile:
    """The file itself. Every method may wait for the disk."""

    path: Path
    max_bytes: int = MAX_BYTES
    reserve_bytes: int = RESERVE_BYTES
    _descriptor: int | None = None

    def append(self, line: bytes, keep: Callable[[], bool]) -> None:
        """Put a line on the disk, and take it back if `keep` then says that nobody waits for it any more.

        Raises:
            SpoolError: there is no room, or nobody waits.
            OSError: the disk refuses.
        """
        descriptor = self._opened()
        before = os.fstat(descriptor).st_size
        if before + len(line) > self.max_bytes:
            raise SpoolError(f"the spool is full: {before:,} of {self.max_bytes:,} bytes")
        self._need_room()
        kept = False
        try:
            if os.write(descriptor, line) == len(line):
                os.fsync(descriptor)
                kept = keep()
        finally:
            if not kept:
                with suppress(OSError):
                    os.ftruncate(descriptor, before)
        if not kept:
            raise SpoolError("the disk took half a line, or took too long")

    def others(self) -> list[Path]:
        """Files beside this one that hold something: of processes that have ended, or that live and keep the lock."""
        files = sorted(self.path.parent.glob(f"*{self.path.suffix}"))
        return [path for path in files if path != self.path and path.stat().st_size]

    def lines(self) -> list[bytes]:
        """Give every whole line; one that a crash cut off was promised to nobody."""
        descriptor = self._opened()
        raw = os.pread(descriptor, self.max_bytes + 1, 0)
        return raw.split(b"\n")[:-1]

    def clear(self, count: int) -> None:
        """Forget the first lines."""
        rest = self.lines()[count:]
        if rest:
            draft = self.path.with_suffix(".draft")
            with draft.open("wb") as file:
                file.write(b"".join(line + b"\n" for line in rest))
                file.flush()
                os.fsync(file.fileno())
            draft.chmod(0o600)
            draft.replace(self.path)
            self.close()
            self._opened()
        else:
            descriptor = self._opened()
            os.ftruncate(descriptor, 0)
            os.fsync(descriptor)

    def probe(self, nonce: bytes) -> None:
        """Find out whether the next line would arrive: write, read back, and look whether the file is still ours.

        Raises:
            SpoolError: it would not. A file that was taken away is made anew with what it held.
            OSError: the disk refuses.
        """
        self._look()
        self._need_room()
        beside = self.path.with_suffix(".probe")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            os.write(descriptor, nonce)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if beside.read_bytes() != nonce:
            raise SpoolError("what is written does not come back")

    def _look(self) -> None:
        descriptor = self._opened()
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            there = None
        if there is not None and os.path.samestat(there, os.fstat(descriptor)):
            return
        held = os.pread(descriptor, self.max_bytes + 1, 0)
        self.close()
        if there is None:
            os.write(self._opened(), held)
            os.fsync(self._opened())
        raise SpoolError("the spool's file was taken away" + (" and is made anew" if there is None else ""))

    def _opened(self) -> int:
        if self._descriptor is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, _FLAGS | os.O_CREAT, 0o600)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise SpoolError("the spool's path is not a file")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as long as we live it is nobody else's
                sync_directory(self.path.parent)  # a power cut that takes the file's name takes its lines
            except OSError:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor

    def _need_room(self) -> None:
        disk = os.statvfs(self.path.parent)
        if disk.f_bavail * disk.f_frsize < self.reserve_bytes:
            raise SpoolError("the disk is as good as full")

    def close(self) -> None:
        """Let go of the file; what it holds stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Take an empty file away."""
        self.close()
        for path in (self.path, self.path.with_suffix(".probe")):
            path.unlink(missing_ok=True)


@dataclass
class Spool:
    """The file as the event loop uses it: one thread that may hang, and callers that do not."""

    file: SpoolFile
    problem: str | None = None
    """Why the next line would not arrive, as far as is known."""
    waiting: int = 0
    """Lines that are not in the database yet."""
    _disk: DiskThread = field(default_factory=lambda: DiskThread("audit spool"))

    async def append(self, line: bytes) -> None:
        """Put a line on the disk, or fail within `ANSWER_S`.

        Raises:
            SpoolError: it is not certain that the line is there.
        """
        with self._noticing():
            await self._disk.do_or_undo(lambda keep: self.file.append(line, keep), ANSWER_S)
        self.waiting += 1

    async def others(self) -> list["Spool"]:
        """Spools that other processes have left.

        Raises:
            SpoolError: the directory cannot be read.
        """
        return [Spool(SpoolFile(path)) for path in await self._do(self.file.others)]

    async def close(self) -> None:
        """Let go of the file, an empty one is taken away, and of the thread: the next entry starts another."""
        with suppress(SpoolError):
            await self._do(self.file.close if self.waiting else self.file.remove)
        self._disk.end()

    async def let_go(self) -> None:
        """Let go of the file as it is, and of the thread: it can be taken over again."""
        with suppress(SpoolError):
            await self._do(self.file.close)
        self._disk.end()

    async def lines(self) -> list[bytes]:
        """Give every whole line.

        Raises:
            SpoolError: the file cannot be read.
        """
        return await self._do(self.file.lines)

    async def clear(self, count: int) -> None:
        """Forget the first lines.

        Raises:
            SpoolError: the disk refuses.
        """
        await self._do(lambda: self.file.clear(count))
        self.waiting = max(0, self.waiting - count)

    async def beside(self, job: Callable[[], T]) -> T:
        """Have something else done on the same disk, in turn.

        Raises:
            SpoolError: the disk refuses, or does not answer in time.
        """
        return await self._do(job)

    async def probe(self, nonce: bytes) -> None:
        """Keep `problem` up to date; never raises and never waits for longer than `ANSWER_S`."""
        with suppress(SpoolError):
            await self._do(lambda: self.file.probe(nonce[:_PROBE_BYTES]))
            self.problem = None

    async def _do(self, job: Callable[[], T]) -> T:
        with self._noticing():
            return await self._disk.do(job, ANSWER_S)

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except (SpoolError, OSError) as error:
            self.problem = str(error)
            raise SpoolError(self.problem) from error


def spool_of(data_dir: Path, boot: str) -> Spool:
    """The spool of one run of one process."""
    return Spool(SpoolFile(data_dir / DIRECTORY / f"{boot}{SUFFIX}"))
