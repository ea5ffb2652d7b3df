"""Has a backup restored into a scratch server by a process of its own, and reads its verdict.

The process is `watchfloor backup restore-test`: it has PostgreSQL's binaries, and ends with everything that it started.
Must never give it the database's address.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

RESTORE_LIMIT_S: Final = 4 * 3600.0
"""A large database takes hours; what takes longer is said to have failed."""
END_LIMIT_S: Final = 20.0
"""How long the process may take to stop its server and remove its files, once told to."""
MAX_OUTPUT_BYTES: Final = 256 * 1024
_VARIABLES: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "WATCHFLOOR_PGBIN")
"""Of our own environment; no address and no secret is among them."""
COMMAND: Final = (sys.executable, "-m", "watchfloor", "backup", "restore-test")


class Verdict(BaseModel):
    """What `watchfloor backup restore-test --json` answers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ok: bool | None
    """None: it was restored, and nothing says what it should hold."""
    found: str = Field(max_length=2000)
    name: str = Field(default="", max_length=1000)
    tables: int | None = None
    rows: int | None = None
    ledger_entries: int | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """How a restore went."""

    verdict: Verdict
    ms: int


async def restore(
    path: Path, kind: str, *, command: Sequence[str] = COMMAND, limit_s: float = RESTORE_LIMIT_S
) -> Restored:
    """Restore a backup and compare it; whatever goes wrong is a verdict."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        verdict = await _run([*command, str(path), "--kind", kind, "--json"], limit_s)
    except OSError as error:
        verdict = _failed(f"The restore could not be begun: {error.strerror or error}.")
    return Restored(verdict, round((loop.time() - began) * 1000))


async def _run(argv: Sequence[str], limit_s: float) -> Verdict:
    environment = {name: value for name in _VARIABLES if (value := os.environ.get(name)) is not None}
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True
    )
    try:
        async with asyncio.timeout(limit_s):
            output, complaint = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
            await process.wait()
    except TimeoutError:
        return _failed(f"The restore did not end within {limit_s:.0f} s.")
    finally:
        await _ended(process)
    return _read(output, complaint, process.returncode or 0)


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    """Everything is read, so that the process never waits; only the beginning is kept."""
    assert stream is not None  # noqa: S101  asked for above
    kept = b""
    while piece := await stream.read(65_536):
        kept += piece[: MAX_OUTPUT_BYTES - len(kept)]
    return kept


async def _ended(process: Process) -> None:
    """It stops its server and removes its files when told to; its server also ends without it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_LIMIT_S):
                await process.wait()


def _read(output: bytes, complaint: bytes, code: int) -> Verdict:
    try:
        return Verdict.model_validate(json.loads(output))
    except (ValueError, RecursionError):
        lines = complaint.decode("utf-8", "replace").strip().splitlines()
        return _failed(f"The restore ended with exit code {code}: {(lines[-1] if lines else 'it said nothing')[:500]}")


def _failed(found: str) -> Verdict:
    return Verdict(ok=False, found=found)
