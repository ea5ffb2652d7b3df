"""Keeps a pair as it should be while nobody asks for anything: what ended is started, waiting is turned on and off.

Must never promote anybody, nor start what was killed on demand or has to be rewound first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from watchfloor.pair.agent import LOOKING_AFTER, Pair
from watchfloor.pair.errors import PairError

LOOK_EVERY_S: Final = 0.5
RETRY_MIN_S: Final = 1.0
RETRY_MAX_S: Final = 15.0
CATCH_UP_S: Final = 20.0
NEARLY_BYTES: Final = 16 << 20
"""Commits begin to wait for a standby that is nearly there, not for one that has minutes to catch up."""


class Keeper:
    """Looks after one pair. `problem` is what it could not mend, in a sentence."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._pauses: dict[str, tuple[float, float]] = {}
        self.problem = ""

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Look once, unless somebody is at work."""
        pair = self._pair
        if pair.is_busy:
            return
        async with pair.acting(LOOKING_AFTER):
            try:
                await self._look()
                self.problem = ""
            except PairError as error:
                self.problem = str(error)

    async def _look(self) -> None:
        pair, state = self._pair, self._pair.kept.now
        if not pair.primary.runs and not state.held_down:
            await self._again(pair.primary.name, pair.start_primary)
        if not pair.standby.runs and state.diverged is None:
            await self._again(pair.standby.name, self._start_standby)
        if pair.primary.runs:
            await self._watch_standby()

    async def _watch_standby(self) -> None:
        pair = self._pair
        standing, in_step = await pair.following.standing(), pair.kept.now.in_step
        pair.lag.keep()
        if in_step and await pair.following.is_absent():
            await pair.following.do_without()
        elif pair.synchronous and not in_step and standing.streams and (standing.lag_bytes or 0) <= NEARLY_BYTES:
            await pair.following.wait_for_it(CATCH_UP_S)

    async def _start_standby(self) -> None:
        pair, node = self._pair, self._pair.standby
        if not pair.lacks_data(node):
            await node.as_standby()
        elif pair.primary.runs:
            await pair.copy_anew(node)
        else:
            return
        await node.start()

    async def _again(self, name: str, start: Callable[[], Awaitable[None]]) -> None:
        """Start what has ended, less and less often while that fails."""
        now = asyncio.get_running_loop().time()
        not_before, pause_s = self._pauses.get(name, (0.0, RETRY_MIN_S))
        if now < not_before:
            return
        self._pauses[name] = now + pause_s, min(2 * pause_s, RETRY_MAX_S)
        await start()
        del self._pauses[name]
