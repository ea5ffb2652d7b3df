"""Owns one running PostgreSQL and ends it when nobody uses it any more. Must import nothing but the standard library.

Run as a program of its own (`python -I -S guard.py`, told what to do on standard input), outside every terminal
session. Users of the server hold a shared lock on one file; the kernel drops it however they die. The guard waits for
the exclusive lock, so it learns at once that the last user is gone, and while it stops the server nobody else can
start one.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

POLL_SECONDS = 0.005  # a start takes 20 ms
GUARD_LOCK_SECONDS = 2.0  # somebody may be probing the lock at this moment
FAST_STOP_SECONDS = 3.0  # then recovery at the next start is better than a process left behind
IMMEDIATE_STOP_SECONDS = 0.7
PREDECESSOR_SECONDS = 6.0  # children of a killed server need a moment to notice
STATUS_LINE = 7  # counted from 0, in postmaster.pid
LINUX_PR_SET_PDEATHSIG = 1
PREDECESSOR_SIGNS = (b"pre-existing shared memory block", b'lock file "postmaster.pid" already exists')


class Guard:
    """The server, its files and the one thread that waits for the last user to go."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._home = Path(spec["home"])
        self._cluster = Path(spec["cluster"])
        self._log = self._home / "postgres.log"
        self._finished = threading.Event()
        self._stopping = threading.Event()
        self._server: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Start the server, report on the ready descriptor, and stay until it has ended."""
        guard_lock = _lock_exclusively(self._home / "guard.lock", GUARD_LOCK_SECONDS)
        if guard_lock is None:
            self._report("another guard is at work")
            return
        try:
            if self._start():
                threading.Thread(target=self._stop_after_last_holder, daemon=True).start()
                self._report("ready")
                self._wait()
        finally:
            self._finished.set()
            self._clean()
            os.close(guard_lock)

    def stop(self) -> None:
        """Ask for a clean shutdown, then insist; called by the signal handler and by the waiting thread."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        threading.Thread(target=self._escalate, daemon=True).start()

    def _start(self) -> bool:
        deadline = time.monotonic() + PREDECESSOR_SECONDS
        while True:
            self._server = self._spawn()
            if self._becomes_ready(self._server):
                return True
            output = self._log.read_bytes()
            retry = any(sign in output for sign in PREDECESSOR_SIGNS) and not self._stopping.is_set()
            if not retry or time.monotonic() > deadline:
                self._report("failed")
                return False
            time.sleep(0.1)

    def _spawn(self) -> subprocess.Popen[bytes]:
        spec = self._spec
        die_with_guard = _parent_death_signal(signal.SIGINT)
        with self._log.open("wb") as log:
            return subprocess.Popen(
                spec["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=spec["environment"],
                preexec_fn=die_with_guard,  # noqa: PLW1509  no thread exists yet
                **spec["identity"],
            )  # fmt: skip

    def _becomes_ready(self, server: subprocess.Popen[bytes]) -> bool:
        while server.poll() is None:
            if _status(self._cluster, server.pid) == "ready":
                return True
            if self._stopping.is_set():
                self._wait()
                return False
            time.sleep(POLL_SECONDS)
        return False

    def _wait(self) -> None:
        if self._server is not None:
            self._server.wait()

    def _stop_after_last_holder(self) -> None:
        descriptor = os.open(self._home / "holders.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # kept until this process ends
        self.stop()

    def _escalate(self) -> None:
        steps = ((signal.SIGINT, FAST_STOP_SECONDS), (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS), (signal.SIGKILL, 0.0))
        for number, patience_seconds in steps:
            if self._server is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._server.pid, number)
            if self._finished.wait(patience_seconds):
                return

    def _clean(self) -> None:
        shutil.rmtree(self._spec["socket_dir"], ignore_errors=True)
        (self._home / "server.json").unlink(missing_ok=True)
        if self._spec["ephemeral"]:
            doomed = self._home.with_name(f".{self._home.name}.{os.getpid()}")
            self._home.rename(doomed)  # gone at once for whoever waits for it
            shutil.rmtree(doomed, ignore_errors=True)

    def _report(self, word: str) -> None:
        if word == "ready" and self._server is not None:
            info = {"socket_dir": self._spec["socket_dir"], "server_pid": self._server.pid, "guard_pid": os.getpid()}
            fresh = self._home / "server.json.new"
            fresh.write_text(json.dumps(info))
            fresh.rename(self._home / "server.json")
        descriptor: int = self._spec["ready_descriptor"]
        with contextlib.suppress(OSError):  # whoever started us may be gone already
            os.write(descriptor, word.encode())
            os.close(descriptor)


def _status(cluster: Path, pid: int) -> str:
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return ""
    complete = len(lines) > STATUS_LINE and lines[0] == str(pid)
    return lines[STATUS_LINE].strip() if complete else ""


def _lock_exclusively(path: Path, patience_seconds: float) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(POLL_SECONDS)
        else:
            return descriptor


def _parent_death_signal(number: int) -> Any:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return lambda: library.prctl(LINUX_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def main() -> None:
    """Guard the server that standard input describes (JSON)."""
    spec = json.load(sys.stdin)
    if os.fork() != 0:  # the starter waits for this parent only: no zombie, and no tie to its fate
        os._exit(0)
    guard = Guard(spec)

    def stop(_number: int, _frame: FrameType | None) -> None:
        guard.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)  # a closed terminal is the holders' affair
    try:
        guard.run()
    finally:
        os._exit(0)  # the waiting thread may still be blocked in the kernel


if __name__ == "__main__":
    main()
