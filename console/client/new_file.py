"""Writes files that a person asked for: new ones only, readable by their owner alone, in a thread."""

import asyncio
import os
from pathlib import Path
from typing import Final

from console.client.errors import ClientError

_PRIVATE: Final = 0o600


async def write_new(target: Path, content: bytes) -> int:
    """Write a file that does not exist yet; returns its bytes.

    Raises:
        ClientError: it exists, or cannot be written.
    """
    try:
        await asyncio.to_thread(_write, target, content)
    except OSError as error:
        raise ClientError(f"The file cannot be written: {error.strerror or error}.") from error
    return len(content)


def _write(target: Path, content: bytes) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
