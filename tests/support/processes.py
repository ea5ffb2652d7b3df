"""Finding and awaiting the processes of one test. Must never signal a process that a test did not start."""

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 30.0  # far above anything normal, so that a busy machine does not fail a test
POLL_SECONDS = 0.05


def marked(mark: str) -> list[str]:
    """Command lines of live processes that carry `mark` in their arguments or environment."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes()
            environment = (directory / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in command + environment:
            found.append(f"{directory.name} {command.replace(bytes(1), b' ').decode(errors='replace')}")
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fail with `what` when it never comes true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(POLL_SECONDS)


def until_gone(mark: str) -> None:
    """Wait until no process carries `mark`."""
    until(lambda: not marked(mark), f"the end of {marked(mark)}")
