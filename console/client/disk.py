"""Work on files that may hang, such as a home directory on a network: in threads that nobody has to wait for.

Unlike asyncio's own threads these hold up neither the end of the loop nor that of the process.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def begin(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Have work done in a thread of its own; nobody need wait for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(value: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
            done.exception()  # seen: whoever does not wait does not want to know
        else:
            done.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, failure = None, None
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  boundary of the thread: raised again where it is waited for
            failure = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, value, failure)

    threading.Thread(target=run, name="disk", daemon=True).start()
    return done


async def within(limit_s: float, work: Callable[[], T]) -> T:
    """The outcome of work; it goes on alone if it takes longer.

    Raises:
        TimeoutError: it took longer.
        Exception: whatever the work raised.
    """
    return await asyncio.wait_for(begin(work), limit_s)
