"""The process that verifies, from the backend's side: starts it, opens subjects' keys for it, and takes its result.

One JSON line each way at a time. Must never give it a master key, and never take silence for a result.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson
import structlog

from backend.audit.verification.keys import Opened, Unopened, WrappedKey, opened_to_tree
from backend.keyring import MasterKeys, UnknownMasterKeyError
from ledger.seal import SealError

log = structlog.get_logger(__name__)

ATTEMPTS: Final = 3
"""A worker that was killed goes on where it was saved; one that is killed every time does not do so for ever."""
_LINE_BYTES: Final = 2**22
"""Longest line of the worker: its result is some tens of kilobytes, a request for keys less than that."""
_MODULE: Final = "backend.audit.verification.worker"


class WorkerFailedError(Exception):
    """The process that verifies ended without a result."""


class _KilledError(WorkerFailedError):
    """It was ended by a signal: another one can go on."""


async def work(master: MasterKeys, order: Mapping[str, Any]) -> dict[str, Any]:
    """Have an order carried out and give its result; a worker that was killed is followed by another.

    Raises:
        WorkerFailedError: there is no result.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await _work(master, order)
        except _KilledError as error:
            if attempt == ATTEMPTS:
                raise
            log.warning("verification_worker_killed", error=str(error), attempt=attempt)
    raise AssertionError  # the last attempt returns or raises


async def _work(master: MasterKeys, order: Mapping[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", _MODULE, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LINE_BYTES
    )
    assert process.stdin is not None  # noqa: S101  asked for above
    assert process.stderr is not None  # noqa: S101
    result: dict[str, Any] | None
    try:
        # standard input stays open: the worker takes its end for ours
        result, complaint = await asyncio.gather(_converse(process, master, order), process.stderr.read())
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process.stdin.close()
    if process.returncode == 0 and result is not None:
        return result
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    told = lines[-1] if lines else f"exit code {process.returncode}"
    if process.returncode is not None and process.returncode < 0:
        raise _KilledError(f"{signal.strsignal(-process.returncode)}: {told}")
    raise WorkerFailedError(told)


async def _converse(process: Process, master: MasterKeys, order: Mapping[str, Any]) -> dict[str, Any] | None:
    """Open keys as long as the worker asks for some; its result, or None when it ended without one."""
    assert process.stdout is not None  # noqa: S101  see `_work`
    await _say(process, order)
    result: dict[str, Any] | None = None
    while line := await process.stdout.readline():
        told: dict[str, Any] = orjson.loads(line)
        result = told.get("result")
        if result is None:
            opened = await open_keys(master, [WrappedKey.from_tree(tree) for tree in told["open"]])
            await _say(process, [opened_to_tree(one) for one in opened])
    return result


async def _say(process: Process, told: object) -> None:
    assert process.stdin is not None  # noqa: S101  see `_work`
    with suppress(ConnectionError):  # it is gone: its exit code says more
        process.stdin.write(orjson.dumps(told) + b"\n")
        await process.stdin.drain()


async def open_keys(master: MasterKeys, wrapped: Sequence[WrappedKey]) -> list[Opened]:
    """Open keys of subjects as far as they open."""
    return [await _open(master, one) for one in wrapped]


async def _open(master: MasterKeys, one: WrappedKey) -> Opened:
    try:
        return await master.unwrap(one.wrapped, under=one.under, subject=one.subject, key_id=one.id)
    except UnknownMasterKeyError:
        return Unopened("it is under a master key that is not here")
    except SealError as error:
        return Unopened(f"it does not open: {error}")
