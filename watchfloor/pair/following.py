"""How the standby follows, and whether commits wait for it. Turns waiting on and off; promotes nobody.

"In step" is written down only while commits wait for the standby and it has everything from before they did; it is
struck out before they stop waiting. In between, at most, they wait for nobody's benefit.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchfloor.pair.errors import PairError
from watchfloor.pair.node import WAITS_FOR

if TYPE_CHECKING:
    from watchfloor.pair.agent import Pair

SILENT_S: Final = 3
"""A standby says once a second how far it is. Until it is given up, every commit waits."""
AWAY_S: Final = 1.0
"""A standby that goes on with the next timeline, or connects anew, is away for half a second."""
POLL_S: Final = 0.05
RELOAD_S: Final = 10.0
CHECKPOINT_S: Final = 120.0
_LOG_IS_GONE: Final = "has already been removed"
_STANDING: Final = """
SELECT state, reply_time > clock_timestamp() - make_interval(secs => %s),
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, pg_wal_lsn_diff(flush_lsn, '0/0')::bigint
FROM (SELECT) AS alone LEFT JOIN pg_stat_replication ON application_name = %s
"""
"""One row also where nobody follows: the primary's own place in the log is in it."""
_HAS: Final = "SELECT count(*) FROM pg_stat_replication WHERE application_name = %s AND flush_lsn >= %s::pg_lsn"


@dataclass(frozen=True, slots=True)
class Standing:
    """How the primary sees its standby."""

    state: str = ""
    lag_bytes: int | None = None
    is_silent: bool = False

    @property
    def streams(self) -> bool:
        """Whether it follows now."""
        return self.state == "streaming" and not self.is_silent


class Following:
    """The standby of one pair."""

    def __init__(self, pair: "Pair") -> None:
        self._pair = pair
        self._absent_since: float | None = None

    async def standing(self) -> Standing:
        """How the primary sees its standby now.

        Raises:
            PairError: there is no primary to ask.
        """
        async with self._pair.primary.ask() as connection:
            cursor = await connection.execute(_STANDING, (SILENT_S, self._pair.standby.name))
            row = await cursor.fetchone()
        if row is None:
            return Standing()
        state, heard, place, reached = row
        if not self._pair.synchronous:
            self._pair.lag.saw(self._pair.standby.name, place, reached)
        if state is None:
            return Standing()
        return Standing(state, max(0, place - (reached or 0)), not heard)

    async def note_lag(self) -> None:
        """Write down how far a standby is behind for which nobody waits, before its primary goes. Never fails."""
        if not self._pair.synchronous:
            with suppress(PairError):  # what was known last counts
                await self.standing()
            self._pair.lag.keep(at_once=True)

    async def is_absent(self) -> bool:
        """Whether the standby does not follow, and has not for longer than it takes to connect anew.

        Raises:
            PairError: there is no primary to ask.
        """
        now = asyncio.get_running_loop().time()
        if (await self.standing()).streams:
            self._absent_since = None
        elif self._absent_since is None:
            self._absent_since = now
        return self._absent_since is not None and now - self._absent_since >= AWAY_S

    async def in_step_or_refuse(self) -> None:
        """Make sure that the standby may take over.

        Raises:
            PairError: it may not, or there is no primary.
        """
        pair = self._pair
        standing = await self.standing()
        if not standing.streams:
            raise PairError(
                f"the standby {pair.standby.name} does not follow: {pair.standby.trouble() or 'it is down'}"
            )
        if pair.synchronous and not pair.kept.now.in_step:
            raise PairError(f"the standby {pair.standby.name} is not in step yet")

    async def until_it_follows(self, seconds: float) -> None:
        """Wait until the standby streams, and in synchronous mode until commits wait for it.

        Raises:
            PairError: it does not in time.
        """
        pair = self._pair
        deadline = asyncio.get_running_loop().time() + seconds
        while not (await self.standing()).streams:
            why = pair.standby.trouble() or "it says nothing"
            hopeless = _LOG_IS_GONE in why or not pair.standby.runs
            if hopeless or asyncio.get_running_loop().time() > deadline:
                raise PairError(f"{pair.standby.name} does not follow {pair.primary.name}: {why}")
            await asyncio.sleep(POLL_S)
        if pair.synchronous:
            await self.wait_for_it(seconds)

    async def wait_for_it(self, seconds: float) -> None:
        """Have commits wait for the standby, and write down that it is in step once that is so.

        Raises:
            PairError: it does not catch up in time; commits then do not wait.
        """
        pair = self._pair
        if pair.kept.now.in_step:
            return
        self._absent_since = None
        try:
            await self._set_waiting(pair.standby.name)
            (place,) = await pair.primary.one("SELECT pg_current_wal_lsn()::text")
            await self._until_it_has(place, seconds)
        except PairError:
            await self._set_waiting("")
            raise
        pair.kept.change(in_step=True)

    async def do_without(self) -> None:
        """Write down that the standby is not in step, then have commits go on without it.

        Raises:
            PairError: the primary does not take the setting; commits then go on waiting.
        """
        self._pair.kept.change(in_step=False)
        await self._set_waiting("")

    async def _until_it_has(self, place: str, seconds: float) -> None:
        pair = self._pair
        deadline = asyncio.get_running_loop().time() + seconds
        while not (await pair.primary.one(_HAS, pair.standby.name, place))[0]:
            if await self.is_absent():
                raise PairError(f"{pair.standby.name} has stopped following")
            if asyncio.get_running_loop().time() > deadline:
                raise PairError(f"{pair.standby.name} does not catch up within {seconds:.0f} s")
            await asyncio.sleep(POLL_S)

    async def _set_waiting(self, name: str) -> None:
        primary = self._pair.primary
        async with primary.ask() as connection:
            await connection.execute(f"ALTER SYSTEM SET {WAITS_FOR} = '{name}'".encode())
            await connection.execute("SELECT pg_reload_conf()")
        deadline = asyncio.get_running_loop().time() + RELOAD_S
        while (await primary.one(f"SHOW {WAITS_FOR}"))[0] != name:  # asked on a new connection each time
            if asyncio.get_running_loop().time() > deadline:
                raise PairError(f"{primary.name} does not read its settings again")
            await asyncio.sleep(POLL_S)
        if name:
            # It is the checkpointer that tells everybody to wait. It reads its settings before it begins another one.
            async with primary.ask(seconds=CHECKPOINT_S) as connection:
                await connection.execute("CHECKPOINT")
