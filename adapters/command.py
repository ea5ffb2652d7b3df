"""Stops software by commands of its operator's, such as those of a service manager. Never through a shell.

Signals nothing but the process group of a command it has started itself and that has not ended in time.
"""

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import IO, Final

from adapters.loop import Resume, Standing, Stop, Wanted
from adapters.running import Seen, Told
from gate import Mode

DESCRIPTION: Final = """\
Runs one command to halt software and another to check it, such as those of a service manager. A halt is confirmed when
the check, started after the hold was known, ends with exit code 0; what that proves is what the command checks. Both
are told the mode in WATCHFLOOR_MODE and the holds in WATCHFLOOR_HOLDS; a check should end with 0 only if that mode is
obeyed. A command that takes too long is killed with everything in its process group, and proves nothing. It can not
bound what the software sends before it has ended, and it sees no orders: last order, nonces and orders in flight stay
unknown, so under cancel-all the halt is never shown as quiesced."""
TIMEOUT_S: Final = 20.0
MAX_OUTPUT_BYTES: Final = 8_192
"""Kept of what a command prints; the rest is read and dropped, so that it never waits for us."""
_REAP_S: Final = 2.0
_CHUNK_BYTES: Final = 65_536
MODE_VARIABLE, HOLDS_VARIABLE = "WATCHFLOOR_MODE", "WATCHFLOOR_HOLDS"


def read_argv(text: str) -> list[str]:
    """Split a command into its arguments. It is run as it is: no pipes, variables or wildcards.

    Raises:
        ValueError: it is empty, or names no program that can be run.
    """
    argv = shlex.split(text)
    if not argv:
        raise ValueError("a command names a program")
    program = shutil.which(argv[0])
    if program is None:
        raise ValueError(f"{argv[0]} is not a program that can be run")
    return [program, *argv[1:]]


class Command:
    """One piece of software with commands that halt, check and resume it."""

    name = "command"
    sees_orders = False

    def __init__(
        self, halt: Sequence[str], check: Sequence[str], resume: Sequence[str] | None, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._halt = halt
        self._check = check
        self._resume = resume
        self._timeout_s = timeout_s
        self._holds: tuple[str, ...] = ()

    def close(self) -> None:
        """Nothing is kept open."""

    def stop(self, step: Stop, wanted: Wanted) -> Told:
        """Run the command that halts."""
        self._holds = wanted.holds
        code, output = self._run(self._halt, step.mode)
        return Told(done=code == 0, note=_shown(code, output))

    def look(self, mode: Mode | None) -> Seen:
        """Run the command that checks. One that could not be run or did not end shows nothing."""
        code, output = self._run(self._check, mode or Mode.HALT)
        if code is None or code < 0:
            return Seen(Standing.UNKNOWN, _shown(code, output))
        return Seen(Standing.OBEYS if code == 0 else Standing.NOT_YET, _shown(code, output))

    def cancel(self) -> Told:
        """Nothing is known to rest here; the command that halts is told the mode."""
        return Told(done=True, note="")

    def resume(self, step: Resume) -> Told:
        """Run the command that starts it again, where that is wanted."""
        if self._resume is None or not step.start:
            return Told(done=True, note="left as it is")
        code, output = self._run(self._resume, None)
        return Told(done=code == 0, note=_shown(code, output))

    def _run(self, argv: Sequence[str], mode: Mode | None) -> tuple[int | None, bytes]:
        env = dict(os.environ)
        if mode is not None:
            env |= {MODE_VARIABLE: mode.value, HOLDS_VARIABLE: " ".join(self._holds)}
        return run(argv, env=env, timeout_s=self._timeout_s)


def run(argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float) -> tuple[int | None, bytes]:
    """Run a command in a process group of its own; returns its exit code, None if it did not end in time or start.

    What it left running in its group is killed with it only when it did not end in time.
    """
    try:
        process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return None, f"cannot be run: {error.strerror}".encode()
    assert process.stdout is not None  # noqa: S101  asked for above
    with process.stdout as stream:
        output = _read(process, stream, time.monotonic() + timeout_s)
        if process.poll() is None:
            _kill_group(process)
            return None, output + f" (killed: it had not ended after {timeout_s:g} s)".encode()
        return process.returncode, output


def _read(process: subprocess.Popen[bytes], stream: IO[bytes], end: float) -> bytes:
    """Read until the command itself has ended, whoever else keeps its output open, or until time is up."""
    kept = bytearray()
    os.set_blocking(stream.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while time.monotonic() < end:
            ended = process.poll() is not None
            if selector.select(0 if ended else 0.05):
                some = os.read(stream.fileno(), _CHUNK_BYTES)
                kept += some[: MAX_OUTPUT_BYTES - len(kept)]
                if some:
                    continue
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, end - time.monotonic()))
                break
            if ended:
                break
    return bytes(kept)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the group of a child that has not been waited for, so that its number can be nobody else's."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_REAP_S)


def _shown(code: int | None, output: bytes) -> str:
    said = output.decode(errors="replace").strip()
    return f"exit code {code}: {said}" if code is not None else said
