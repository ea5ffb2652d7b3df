"""Command steps: a program of this machine, run as it is, never through a shell.

Signals nothing but what a command of the drill has started: what outlived the backend that ran it too. What a command
prints is text from outside.
"""

import asyncio
import os
import shlex
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds import left_behind
from backend.continuity.kinds.base import At, Facts, Outcome, StoppedError, of_kind
from backend.policy.recovery import AnyStep, CommandStep

TERM_GRACE_S: Final = 3.0
"""Between asking a command to end and ending it; less than the engine waits for a step that it cut off."""
REAP_LIMIT_S: Final = 2.0
"""For the kernel to give a killed process back."""
DRAIN_LIMIT_S: Final = 0.5
"""For the rest of the output after a command has ended, whoever else keeps it open."""
PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")
"""What of this process's environment a command sees: none of our settings, which hold secrets."""
DRILL_VARIABLE: Final = "WATCHFLOOR_DRILL"
_EXIT_CODE: Final = "exit_code"
"""Of what has ended under the eyes of its backend: what it has left behind on purpose stays."""
_CHUNK_BYTES: Final = 65_536
_MAX_LINE_CHARS: Final = 300
_KIB: Final = 1024


@dataclass
class _Kept:
    """One stream of a command, up to so many bytes."""

    limit: int
    data: bytearray = field(default_factory=bytearray)
    dropped: int = 0

    def add(self, some: bytes) -> None:
        room = max(0, self.limit - len(self.data))
        self.data += some[:room]
        self.dropped += max(0, len(some) - room)

    def text(self) -> str:
        said = self.data.decode(errors="replace")
        return said if not self.dropped else f"{said}\n… {self.dropped:,} bytes more, counted and not kept"


@dataclass(frozen=True, slots=True)
class _Ran:
    exit_code: int
    stdout: str
    stderr: str

    def output(self) -> str:
        """Both streams, told apart."""
        parts = [(name, text) for name, text in (("stdout", self.stdout), ("stderr", self.stderr)) if text]
        return "\n".join(f"── {name} ──\n{text}" for name, text in parts)


class CommandKind:
    """See `Kind`."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:  # noqa: ARG002  the protocol's
        """Programs that are not there."""
        own = _own(step)
        programs = [own.argv[0], *own.undo_argv[:1]]
        return [f"{one} is no program that can be run here." for one in programs if shutil.which(one) is None]

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:  # noqa: ARG002  the protocol's
        """The command as a shell would want it, and what ends it."""
        own = _own(step)
        wanted = f" and prints {own.output_contains!r}" if own.output_contains else ""
        return (
            f"Runs {shlex.join(own.argv)} on this machine, without a shell;"
            f" passes when it ends with {own.exit_code}{wanted}."
        )

    async def run(self, at: At) -> Outcome:
        """Run it to its end."""
        own = _own(at.step)
        await at.note({"began": True})
        ran = await _run(at, own.argv)
        if isinstance(ran, Outcome):
            return ran
        facts = {_EXIT_CODE: ran.exit_code}
        if ran.exit_code != own.exit_code:
            summary = f"It ended with {_ended(ran.exit_code)}, not with {own.exit_code}."
            return Outcome(passed=False, summary=summary, output=ran.output(), facts=facts)
        if own.output_contains and own.output_contains not in ran.stdout + ran.stderr:
            summary = f"It ended with {ran.exit_code}, but what it printed lacks {own.output_contains!r}."
            return Outcome(passed=False, summary=summary, output=ran.output(), facts=facts)
        return Outcome(passed=True, summary=f"It ended with {ran.exit_code}.", output=ran.output(), facts=facts)

    async def undo(self, at: At, facts: Facts) -> Outcome:
        """Run the other command, if there is one."""
        own = _own(at.step)
        if not facts.get("began"):
            return Outcome(passed=True, summary="It was never run.")
        if facts.get(_EXIT_CODE) is None and (found := await left_behind.ended(facts)):
            at.log(f"The command outlived its backend: {found}.")
            if left_behind.still_there(facts):
                return Outcome(
                    passed=False, summary=f"The command outlived its backend: {found}.", left_to_do=_kill_them(facts)
                )
        if not own.undo_argv:
            return Outcome(passed=True, summary="The plan names nothing that undoes it.")
        left = (f"Find out how far this came, and run it again: {shlex.join(own.undo_argv)}",)
        ran = await _run(at, own.undo_argv)
        if isinstance(ran, Outcome):
            return Outcome(passed=False, summary=ran.summary, output=ran.output, left_to_do=left)
        if ran.exit_code != 0:
            summary = f"{shlex.join(own.undo_argv)} ended with {_ended(ran.exit_code)}."
            return Outcome(passed=False, summary=summary, output=ran.output(), left_to_do=left)
        return Outcome(passed=True, summary=f"{shlex.join(own.undo_argv)} ended with 0.", output=ran.output())

    async def look(self, at: At, facts: Facts) -> Outcome | None:
        """Nobody saw how it ended; what is still at work of it is ended, so that it does nothing more."""
        found = await left_behind.ended(facts)
        if not found:
            return None
        at.log(f"The command outlived its backend: {found}.")
        return Outcome(passed=False, summary=f"Its backend ended in the middle of it: {found}")


def _own(step: AnyStep) -> CommandStep:
    return of_kind(step, CommandStep)


def _kill_them(facts: Facts) -> tuple[str, ...]:
    return (f"End what the command has started: kill -KILL -- -{facts[left_behind.PID]}",)


def _ended(code: int) -> str:
    if code >= 0:
        return f"{code}"
    with suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


async def _run(at: At, argv: Sequence[str]) -> _Ran | Outcome:
    """Run a command in a process group of its own; cancelled, it ends with its whole group."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    limit = at.runtime.policy.recovery.keep_output_kb * _KIB
    async with _pipe() as (out, out_end), _pipe() as (err, err_end):
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=environment | {DRILL_VARIABLE: at.drill},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out_end,
                stderr=err_end,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome(passed=False, summary=f"{argv[0]} cannot be run: {error.strerror}.")
        out_end.close()
        err_end.close()
        await _noted(at, process)
        streams = [_Kept(limit), _Kept(limit)]
        reading = [asyncio.create_task(_read(at, *one)) for one in zip((out, err), streams, strict=True)]
        code = await _to_its_end(process, reading)
    return _Ran(code, streams[0].text(), streams[1].text())


async def _noted(at: At, process: asyncio.subprocess.Process) -> None:
    """Keep what finds the command again should it outlive this process; what is ended meanwhile ends with its group."""
    try:
        await at.note({**left_behind.facts_of(process.pid), _EXIT_CODE: None})
    except (asyncio.CancelledError, StoppedError):
        await _end(process)
        raise


@asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[asyncio.StreamReader, BinaryIO]]:
    """A pipe of our own: asyncio's ends with the last process that holds it, and not with the command."""
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader()
    with open(ours, "rb", buffering=0) as source, open(theirs, "wb", buffering=0) as target:  # noqa: PTH123, ASYNC230
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
        try:
            yield reader, target
        finally:
            transport.close()


async def _to_its_end(process: asyncio.subprocess.Process, reading: Sequence[asyncio.Task[None]]) -> int:
    """How a command ended; cancelled, it ends with its whole group."""
    try:
        code = await process.wait()
        await asyncio.wait(reading, timeout=DRAIN_LIMIT_S)
    except asyncio.CancelledError:
        await _end(process)
        raise
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    return code


async def _read(at: At, stream: asyncio.StreamReader, kept: _Kept) -> None:
    while some := await stream.read(_CHUNK_BYTES):
        room = kept.limit > len(kept.data)
        kept.add(some)
        if room:
            for line in some.decode(errors="replace").splitlines():
                at.log(line[:_MAX_LINE_CHARS])


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask a command and all it started to end, then end them."""
    for number, patience_s in ((signal.SIGTERM, TERM_GRACE_S), (signal.SIGKILL, REAP_LIMIT_S)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await process.wait()
    with suppress(ProcessLookupError, PermissionError):  # what outlived its parent and did not hear the first signal
        os.killpg(process.pid, signal.SIGKILL)
