"""Remembers outside the database which subjects were erased, so that an older database brings none of them back.

One file of lines, each authenticated and bound to the one before; appended under a lock and synced before anybody is
told. Holds surrogates and key ids, never a name. Must never forget a line, never open what it cannot read, and never
wait for a disk or for another process longer than its bounds: whoever asks is refused then.
"""

import asyncio
import fcntl
import hashlib
import hmac
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import orjson

from backend.diskthread import DiskThread
from backend.errors import ConfigurationError

FILE_NAME: Final = "erasures.log"
ANSWER_S: Final = 2.0
"""A disk that takes longer to answer is not waited for."""
LOCK_S: Final = 2.0
"""Longest wait for other processes that write: each holds the lock for as long as one sync of the disk takes."""
_LOCK_RETRY_S: Final = 0.02
_FIRST: Final = "0" * 64
"""What the first line is bound to."""


class ErasedSubjectError(Exception):
    """The subject was erased: nothing personal is written about them again or read, whatever a database holds."""


class Step(StrEnum):
    """How far an erasure has come."""

    APPROVED = "approved"
    """About to be committed; if nothing follows, the commit's outcome was not learnt."""
    DONE = "done"
    VOID = "void"
    """It was rolled back."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """What became of one subject's erasure, and when."""

    subject: str
    step: Step
    at: datetime


class Revocations:
    """The file of one machine. Several processes may share it; each reads what the others append."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._disk = DiskThread("erasures")
        self._file = _File(path, key)
        self._under_way: asyncio.Task[Mapping[str, Revocation]] | None = None
        self._coming: asyncio.Task[Mapping[str, Revocation]] | None = None
        """A look that has not begun: everybody who asks meanwhile shares it, so that looks cost little under load."""

    async def refuse_revoked(self, subject: str) -> None:
        """Stop whoever is about to use a subject's key.

        Raises:
            ErasedSubjectError: the subject was erased.
            ConfigurationError: the file was tampered with.
            OSError: the disk refuses, or does not answer within `ANSWER_S`.
        """
        found = (await self.known()).get(subject)
        if found is not None and found.step is Step.DONE:
            raise ErasedSubjectError(subject)

    async def known(self) -> Mapping[str, Revocation]:
        """The latest step of every subject.

        Raises:
            ConfigurationError: the file is not what was written.
            OSError: the disk refuses, or does not answer within `ANSWER_S`.
        """
        if self._coming is None or self._coming.done():
            self._coming = asyncio.create_task(self._look(self._under_way), name="erasures")
            self._coming.add_done_callback(_heard)
        return await asyncio.shield(self._coming)

    async def _look(self, before: "asyncio.Task[Mapping[str, Revocation]] | None") -> Mapping[str, Revocation]:
        if before is not None and not before.done():
            await asyncio.wait({before})
        self._under_way, self._coming = self._coming, None
        return await self._disk.do(self._file.known, ANSWER_S)

    async def append(self, subject: str, step: Step, at: datetime) -> None:
        """Write one step down; on the disk when this returns, and not in the file when it raises.

        Raises:
            OSError: it could not be written, or not in time.
            ConfigurationError: the file is not what was written.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + LOCK_S
        while True:
            try:
                return await self._disk.do_or_undo(lambda keep: self._file.append(subject, step, at, keep), ANSWER_S)
            except BlockingIOError as error:  # another process writes: readers get their turn while we wait
                if loop.time() >= until:
                    raise OSError(f"another process has kept the list of erasures for {LOCK_S:g} s") from error
            await asyncio.sleep(_LOCK_RETRY_S)

    def end(self) -> None:
        """Let go of the thread."""
        self._disk.end()


def _heard(task: "asyncio.Task[Mapping[str, Revocation]]") -> None:
    """Nobody may be left to hear of a failure: then it is nobody's."""
    if not task.cancelled():
        task.exception()


class _File:
    """The file itself. Every method may wait for the disk, none for another process."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._seen: tuple[int, int] | None = None
        self._known: dict[str, Revocation] = {}
        self._last_mac = _FIRST
        self._complete_bytes = 0

    def known(self) -> Mapping[str, Revocation]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._seen is not None:
                raise ConfigurationError(f"{self._path} has gone: it says whom the ledger must forget.") from None
            return self._known
        state = (found.st_size, found.st_mtime_ns)
        if state != self._seen:
            self._read()
            self._seen = state
        return self._known

    def append(self, subject: str, step: Step, at: datetime, keep: Callable[[], bool]) -> None:
        """Write one step down, and take it back if `keep` then says that nobody waits for it any more.

        Raises:
            BlockingIOError: another process writes.
            OSError: the disk refuses, or nobody waits.
            ConfigurationError: the file is not what was written, or has gone.
        """
        self.known()  # a file that has gone must not begin anew
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked() as descriptor:
            self._read()
            size = self._complete_bytes
            os.ftruncate(descriptor, size)  # the beginning of a line whose writer was stopped
            os.lseek(descriptor, size, os.SEEK_SET)
            told = {"at": at.isoformat(), "step": step.value, "subject": subject}
            line = orjson.dumps(told | {"mac": self._mac(told, self._last_mac)}, option=orjson.OPT_SORT_KEYS) + b"\n"
            kept = False
            try:
                if os.write(descriptor, line) == len(line):
                    os.fsync(descriptor)
                    self._sync_directory()
                    kept = keep()
            finally:
                if not kept:
                    os.ftruncate(descriptor, size)
        if not kept:
            raise OSError(f"{self._path} took only a part of a line, or took too long")
        self.known()

    @contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        finally:
            os.close(descriptor)

    def _sync_directory(self) -> None:
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _mac(self, told: Mapping[str, str], before: str) -> str:
        raw = orjson.dumps({**told, "before": before}, option=orjson.OPT_SORT_KEYS)
        return hmac.digest(self._key, raw, hashlib.sha256).hex()

    def _read(self) -> None:
        raw = self._path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        known: dict[str, Revocation] = {}
        before = _FIRST
        for number, line in enumerate(whole.splitlines(), 1):
            one, before = self._checked(number, line, before)
            known[one.subject] = one
        self._known, self._last_mac, self._complete_bytes = known, before, len(whole)

    def _checked(self, number: int, line: bytes, before: str) -> tuple[Revocation, str]:
        try:
            told = orjson.loads(line)
            mac = told.pop("mac")
            genuine = hmac.compare_digest(mac, self._mac(told, before))
            one = Revocation(told["subject"], Step(told["step"]), datetime.fromisoformat(told["at"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            genuine = False
        if not genuine:
            raise ConfigurationError(
                f"Line {number} of {self._path} is not one that a holder of the master key wrote there: "
                "restore the file; nothing personal is opened without it."
            )
        return one, mac
