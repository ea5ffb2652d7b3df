"""One thread that may hang on a disk, and callers on the event loop that do not. Knows nothing of what is done."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar, cast

T = TypeVar("T")


class DiskSilentError(OSError):
    """The disk has not answered in time; what was asked of it may still happen."""


class _Verdict:
    """Whether a deed counts: decided once, by the thread that did it or by the caller that waited too long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: bool | None = None

    def decide(self, *, kept: bool) -> bool:
        """Decide if nobody has; returns the decision."""
        with self._lock:
            if self._kept is None:
                self._kept = kept
            return self._kept


@dataclass
class DiskThread:
    """Does one job after the other, started at first need. While one hangs, further ones are refused at once."""

    name: str
    _jobs: queue.SimpleQueue[Callable[[], None] | None] = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _last: asyncio.Future[None] | None = None
    """Done when the thread has nothing to do."""
    _silent: bool = False
    """The last caller that waited gave up."""

    async def do(self, job: Callable[[], T], within_s: float) -> T:
        """Have something done, after what was asked for before.

        Raises:
            DiskSilentError: it was not done in time; it may be done later.
            Exception: whatever the job raises.
        """
        try:
            async with asyncio.timeout(within_s), self._turn:
                found = await self._submit(job)
        except TimeoutError:
            self._silent = True
            raise DiskSilentError(f"the disk has not answered within {within_s:g} s") from None
        self._silent = False
        return found

    async def do_or_undo(self, job: Callable[[Callable[[], bool]], None], within_s: float) -> None:
        """Have something done that must not stay if its caller learns nothing of it.

        The job is given a question. It asks it last, and takes back what it did if the answer is no: nobody waits.

        Raises:
            DiskSilentError: it was not done in time, and will not stay.
            Exception: whatever the job raises.
        """
        verdict = _Verdict()
        try:
            await self.do(lambda: job(lambda: verdict.decide(kept=True)), within_s)
        # the boundary between caller and disk: also a cancelled caller must know whether the deed counts
        except BaseException:
            if not verdict.decide(kept=False):
                raise

    async def _submit(self, job: Callable[[], T]) -> T:
        if self._last is not None and not self._last.done():  # whoever asked for it is gone
            if self._silent:
                raise DiskSilentError("the disk does not answer")
            await asyncio.wait({self._last})
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        done: asyncio.Future[None] = loop.create_future()

        def run() -> None:
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001  the thread's boundary: it is raised where it was asked for
                _tell(loop, answer, done, error=error)
            else:
                _tell(loop, answer, done, result=result)

        self._last = done
        self._started().put(run)
        return await answer

    def _started(self) -> queue.SimpleQueue[Callable[[], None] | None]:
        if self._thread is None:
            self._thread = threading.Thread(target=_work, args=(self._jobs,), name=self.name, daemon=True)
            self._thread.start()
        return self._jobs

    def end(self, last: Callable[[], None] | None = None) -> None:
        """Have the thread end once what was asked for is done; the next job starts another.

        `last` is done before it ends, also where what was asked for hangs until nobody waits any more. It must not
        fail. Without a thread nothing was ever asked for, and there is nothing to do.
        """
        if self._thread is not None:
            if last is not None:
                self._jobs.put(last)
            self._jobs.put(None)
            self._thread, self._jobs = None, queue.SimpleQueue()


def _work(jobs: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := jobs.get()) is not None:
        job()


def _tell(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[T],
    done: asyncio.Future[None],
    *,
    result: T | None = None,
    error: BaseException | None = None,
) -> None:
    def settle() -> None:
        if not done.done():
            done.set_result(None)
        if answer.done():  # nobody waits any more
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(cast("T", result))  # one of the two is given

    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(settle)
