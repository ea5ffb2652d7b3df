"""Beginning and ending of the processes of this kind: secrets from files, signals, tasks. Owns no rule."""

import asyncio
import signal
import stat
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from watchers.places import PlaceError

MAX_SECRET_BYTES: Final = 4096
_OTHERS: Final = 0o077


def read_secret(path: Path) -> str:
    """Read a secret of one line from a file that is its owner's only.

    Raises:
        PlaceError: it cannot be read, others can read it, or it holds no line.
    """
    try:
        with path.open("rb") as file:
            shared = stat.S_IMODE(path.stat().st_mode) & _OTHERS
            raw = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise PlaceError(f"{path} cannot be read: {error.strerror}") from error
    if shared:
        raise PlaceError(f"{path} can be read by others: chmod 600")
    try:
        text = raw.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise PlaceError(f"{path} does not hold one line of text") from error
    if not text or len(raw) > MAX_SECRET_BYTES or not text.isprintable() or " " in text:
        raise PlaceError(f"{path} does not hold one line of text")
    return text


async def run_until_stopped(work: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run everything side by side until SIGTERM or SIGINT; what is under way is dropped, not waited for."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    tasks = [asyncio.create_task(each()) for each in work]
    waiting = asyncio.create_task(stopped.wait())
    try:
        done, _ = await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, waiting):
            task.cancel()
        await asyncio.wait([*tasks, waiting])
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    for task in done - {waiting}:
        task.result()  # none of them ends by itself: whatever ended it is the process's end
