"""Writes an export of the audit log into a file that takes its name only once it is whole."""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from console.client.api import Api


async def export_to(api: Api, form: str, where: Mapping[str, str], target: Path) -> int:
    """Take every entry that matches out into a file; returns its length in bytes. Of a failure nothing is left.

    Raises:
        ClientError: the backend refused, or the line broke.
        OSError: the file cannot be written.
    """
    draft = await asyncio.to_thread(_begun, target)
    try:
        with draft as file:
            size = await _filled(api, form, where, file)
            await asyncio.to_thread(_synced, file)
        await asyncio.to_thread(Path(draft.name).replace, target)
    except BaseException:
        _dropped(draft.name)
        raise
    return size


async def _filled(api: Api, form: str, where: Mapping[str, str], file: IO[bytes]) -> int:
    size = 0
    async with api.export(form, where) as pieces:
        async for piece in pieces:
            size += await asyncio.to_thread(file.write, piece)
    return size


def _begun(target: Path) -> IO[bytes]:
    """A file beside the one that is wanted, readable by its owner alone."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:50]}.", dir=target.parent)
    os.close(handle)
    return Path(name).open("wb")


def _dropped(name: str) -> None:
    Path(name).unlink(missing_ok=True)


def _synced(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
