"""Commands that outlived the backend that had started them: found again by what was noted of them, and ended.

A process's number is used again; number, instant of its start and start of the machine together are not. Must never
signal a process of which that is not certain.
"""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backend.continuity.boots import boot_id
from backend.continuity.kinds.base import Facts

TERM_GRACE_S: Final = 3.0
"""As long as a command that is cut off has."""
GONE_S: Final = 2.0
"""For the kernel to end what was killed."""
POLL_S: Final = 0.05
PID: Final = "pid"
STARTED: Final = "started_ticks"
BOOT: Final = "boot"
_PROC: Final = Path("/proc")
_STATE, _SESSION, _STARTED = 0, 3, 19
"""Places in a process's stat behind its name, which may hold anything."""


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    session: int
    started: int
    """In ticks since the machine was started."""


def facts_of(pid: int) -> dict[str, object]:
    """What to note of a command that was just started; little where the machine does not tell, or it has ended."""
    found = _look_up(pid)
    return {PID: pid} if found is None else {PID: pid, STARTED: found.started, BOOT: boot_id()}


def still_there(facts: Facts) -> list[int]:
    """The processes of a command, and of its session, that are still at work."""
    pid, started = facts.get(PID), facts.get(STARTED)
    if not isinstance(pid, int) or not isinstance(started, int) or facts.get(BOOT) != boot_id():
        return []
    leader = _look_up(pid)
    if leader is not None and leader.started != started:  # the number is another's by now, and the session with it
        return []
    return [one.pid for one in _all() if one.session == pid and one.started >= started]


async def ended(facts: Facts) -> str:
    """End what is left of a command; what was found, in a sentence, or nothing."""
    first = still_there(facts)
    if not first:
        return ""
    for number, patience_s in ((signal.SIGTERM, TERM_GRACE_S), (signal.SIGKILL, GONE_S)):
        _signal(still_there(facts), number)
        deadline = asyncio.get_running_loop().time() + patience_s
        while still_there(facts) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(POLL_S)
    count = "its process was" if len(first) == 1 else f"{len(first)} of its processes were"
    if still_there(facts):
        return f"{count} still at work without it and do not end: process {facts[PID]} and what it started"
    return f"{count} still at work without it, and ended now"


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _all() -> list[_Process]:
    pids = (int(entry.name) for entry in _PROC.glob("[0-9]*"))
    return [one for pid in pids if (one := _look_up(pid)) is not None]


def _look_up(pid: int) -> _Process | None:
    """A process that is at work; one that has ended and is not yet given back is none."""
    try:
        words = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(") ")[2].split()
    except OSError:
        return None
    if words[_STATE] in {"Z", "X"}:
        return None
    return _Process(pid, int(words[_SESSION]), int(words[_STARTED]))
