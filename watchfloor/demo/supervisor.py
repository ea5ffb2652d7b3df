"""Starts child processes that cannot outlive us, notices their ends and stops them. Knows nothing of what they do."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
POLL_SECONDS = 0.02


@dataclass(slots=True)
class Child:
    """One running program. `lifeline` is the end of the pipe whose closing ends it."""

    name: str
    process: subprocess.Popen[bytes]
    lifeline: int
    log: Path | None

    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self.process.poll()

    def last_line(self) -> str:
        """The last line it said: what a program that refuses to start leaves for a person."""
        if self.log is None or not self.log.exists():
            return ""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""


class Supervisor:
    """The children of one demo, and the signals that end it."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._wake_reading, self._wake_writing = os.pipe()
        os.set_blocking(self._wake_reading, False)
        os.set_blocking(self._wake_writing, False)
        self.stop_requested = False

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Turn signals into wake-ups of `wait` for the duration; the handlers of before come back after."""
        # A hang-up that our starter chose to ignore stays ignored: that is what `nohup` asks for.
        heard = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in (*heard, signal.SIGCHLD)}
        wakeup_before = signal.set_wakeup_fd(self._wake_writing, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(
        self,
        name: str,
        module: str,
        arguments: Sequence[str] = (),
        *,
        environment: Mapping[str, str],
        log: Path | None,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start a Python module as a child; without a `log` it gets the terminal and shares our process group."""
        reading, writing = os.pipe()
        command = [sys.executable, "-P", "-m", "watchfloor.demo.child", str(reading), module, *arguments]
        everything = {**os.environ, **environment}
        try:
            if log is None:
                process = subprocess.Popen(command, env=everything, pass_fds=[reading, *pass_fds])
            else:
                with log.open("wb") as file:
                    process = subprocess.Popen(
                        command, env=everything, pass_fds=[reading, *pass_fds], stdin=subprocess.DEVNULL, stdout=file,
                        stderr=file, start_new_session=True,
                    )  # fmt: skip
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        child = Child(name, process, writing, log)
        self._children.append(child)
        return child

    def wait(self, seconds: float, *descriptors: int) -> list[int]:
        """Sleep until a signal, a child's end, input on a descriptor or the time is up; give the readable ones."""
        readable, _, _ = select.select([self._wake_reading, *descriptors], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_reading, 1000):
                pass
        return [descriptor for descriptor in readable if descriptor != self._wake_reading]

    def stop(self, *children: Child, seconds: float) -> None:
        """Ask children to end, together, and end those that have not after `seconds`."""
        for child in children:
            if child.exit_code() is None:
                child.process.terminate()
        deadline = time.monotonic() + seconds
        for child in children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            self._forget(child)

    def running(self) -> list[Child]:
        """The children that have not been stopped, in the order they were started."""
        return list(self._children)

    def close(self) -> None:
        """Release the wake-up pipe."""
        os.close(self._wake_reading)
        os.close(self._wake_writing)

    def _forget(self, child: Child) -> None:
        if child in self._children:
            self._children.remove(child)
            os.close(child.lifeline)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in STOP_SIGNALS:
            self.stop_requested = True
