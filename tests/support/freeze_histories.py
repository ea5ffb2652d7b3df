"""Concurrent histories of freezes and thaws: two backends on one database, and nothing trades under a hold.

`python -m tests.support.freeze_histories N SEED` runs N on a database of its own and prints what it saw as JSON.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog
from sqlalchemy import text

from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeMode
from tests.support import databases
from tests.support.app import started_app
from tests.support.freeze_world import BOTS, PEOPLE, SCOPES, STAGED, STOPS, World, covers

STEPS = 6
"""Rounds of one history; each is several steps at once."""
AT_ONCE = 4
FOR_EVER = float("inf")


@dataclass
class Held:
    """One hold, and when nobody can have begun to lift it."""

    ref: str
    scope: str
    mode: FreezeMode
    certain: list[list[float]] = field(default_factory=list)
    """Spans of the monotonic clock in which it covers its whole scope for certain; the last may be open."""
    approvals_under_way: int = 0
    let_go: bool = False

    def approving(self) -> None:
        """Somebody has begun to approve: from now on it may be over."""
        self.approvals_under_way += 1
        if self.certain and self.certain[-1][1] == FOR_EVER:
            self.certain[-1][1] = time.monotonic()

    def approved(self, *, taken: bool) -> None:
        """The approval has been answered."""
        self.approvals_under_way -= 1
        self.let_go = self.let_go or taken
        self._certain_again()

    def put_back(self) -> None:
        """It was answered that it is in force as before."""
        if not self.approvals_under_way:
            self.let_go = False
        self._certain_again()

    def _certain_again(self) -> None:
        if not self.let_go and not self.approvals_under_way and self.certain[-1][1] != FOR_EVER:
            self.certain.append([time.monotonic(), FOR_EVER])

    def must_cover(self, begun: float, ended: float) -> bool:
        """Whether a permit asked for and answered in this span has to name it."""
        return any(start <= begun and ended <= end for start, end in self.certain)


@dataclass
class History:
    """One random history on two backends."""

    worlds: list[World]
    chance: random.Random
    counts: Counter[str]
    holds: dict[str, Held] = field(default_factory=dict)
    alerts: int = 0

    async def run(self) -> None:
        """Rounds of steps at once; after each, every bot at every backend gets what the stored holds allow."""
        await self.worlds[0].sweep()
        await asyncio.gather(*(self.worlds[0].permit(bot) for bot in BOTS))
        for _ in range(STEPS):
            await asyncio.gather(*(self._step(self.chance.choice(self.worlds)) for _ in range(AT_ONCE)))
            await self._check_at_rest()
        self.counts["histories"] += 1

    async def _step(self, world: World) -> None:
        steps: list[Callable[[World], Awaitable[None]]] = [
            self._freeze, self._ask, self._approve, self._lift, self._lift, self._lift, self._stop, self._renew,
            self._renew, self._lapse, self._end_watch, self._alert,
        ]  # fmt: skip
        await self.chance.choice(steps)(world)

    def _any(self) -> Held | None:
        return self.chance.choice(list(self.holds.values())) if self.holds else None

    async def _freeze(self, world: World) -> None:
        scope, mode = self.chance.choice(SCOPES), self.chance.choice(list(FreezeMode))
        made = await world.freeze(self.chance.choice(PEOPLE), scope, mode)
        self.holds[made.ref] = Held(made.ref, scope, mode, [[time.monotonic(), FOR_EVER]])
        self.counts["freezes"] += 1

    async def _ask(self, world: World) -> None:
        if held := self._any():
            await world.look(held.ref)
            self._count("asked", await world.ask(self.chance.choice(PEOPLE), held.ref))

    async def _approve(self, world: World) -> None:
        """Approve what is on the screen, which may be what was shown a while ago."""
        if held := self._any():
            await self._approve_as(world, self.chance.choice(PEOPLE), held)

    async def _lift(self, world: World) -> None:
        """Two people one after the other, as fast as they can."""
        held = self._any()
        if held is None:
            return
        asker, approver = self.chance.sample(PEOPLE, 2)
        self._count("asked", await world.ask(asker, held.ref))
        await world.look(held.ref)
        await self._approve_as(world, approver, held)

    async def _approve_as(self, world: World, who: str, held: Held) -> None:
        digest = world.shown.get(held.ref)
        held.approving()
        answer = await world.approve(who, held.ref, digest)
        held.approved(taken=isinstance(answer, Freeze))
        self._count("approved", answer)

    async def _stop(self, world: World) -> None:
        if held := self._any():
            answer = await world.stop(self.chance.choice(PEOPLE), held.ref)
            if isinstance(answer, Freeze):
                held.put_back()
            self._count("stopped", answer)

    async def _lapse(self, world: World) -> None:
        if held := self._any():
            await world.pass_time("thaw_expires_at", held.ref)
            await world.tick()

    async def _end_watch(self, world: World) -> None:
        if held := self._any():
            await world.pass_time("thaw_watch_until", held.ref)
            await world.tick()

    async def _alert(self, world: World) -> None:
        self.alerts += 1
        await world.raise_alert(f"{id(self)}-{self.alerts}", self.chance.choice(SCOPES))
        await world.tick()

    async def _renew(self, world: World) -> None:
        bot = self.chance.choice(list(BOTS))
        known = [held for held in self.holds.values() if covers(held.scope, bot)]
        begun = time.monotonic()
        permit = await world.permit(bot)
        ended = time.monotonic()
        named = {hold.freeze_ref for hold in permit.holds}
        for held in known:
            if held.must_cover(begun, ended):
                self.counts["permits under a hold"] += 1
                assert held.ref in named, f"{bot} was given a permit without {held.ref} ({held.scope})"
                assert not (permit.may_trade and held.mode in STOPS), f"{bot} trades under {held.ref}"

    async def _check_at_rest(self) -> None:
        """With nothing under way, each bot stands under exactly the stored holds, at either backend."""
        async with self.worlds[0].runtime.database.read() as session:
            rows = (await session.execute(text(_STORED))).all()
        asked = [(world, bot) for world in self.worlds for bot in BOTS]
        permits = await asyncio.gather(*(world.permit(bot) for world, bot in asked))
        for (_, bot), permit in zip(asked, permits, strict=True):
            over = {
                row.ref: FreezeMode(row.mode)
                for row in rows
                if covers(row.scope, bot) and bot not in (row.thaw_released or [])
            }
            assert {hold.freeze_ref for hold in permit.holds} == set(over), (bot, permit.holds, over)
            assert permit.may_trade is STOPS.isdisjoint(over.values())
            assert permit.epoch == rows[0].last_epoch if rows else True
            self.counts["permits at rest"] += 1
        for row in rows:
            self.counts[f"at rest {row.status}"] += 1

    def _count(self, what: str, answer: Freeze | ErrorCode) -> None:
        self.counts[f"{what}: {answer.status if isinstance(answer, Freeze) else answer}"] += 1


_STORED = """
SELECT 'FRZ-' || lpad(number::text, 4, '0') AS ref, status, mode,
       thaw_released, CASE WHEN scope_kind IN ('global', 'intersection') THEN coalesce(nullif(scope_name, ''), 'global')
                           ELSE scope_kind || ':' || scope_name END AS scope,
       (SELECT max(epoch) FROM freeze_state) AS last_epoch
FROM freezes WHERE status <> 'thawed'
"""
_ALONE = """
SELECT count(*) FROM audit_logs WHERE event_type = 'freeze.thaw.approved' AND result = 'success'
   AND lower(user_id) = lower(new_value->>'requested_by')
"""


async def histories(database_url: str, count: int, seed: int) -> Counter[str]:
    """Run so many histories on two backends of one database.

    Raises:
        AssertionError: something traded under a hold, or one person lifted one alone.
    """
    counts: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        apps = [
            await stack.enter_async_context(started_app(database_url, policy=STAGED, sequence=number == 0))
            for number in range(2)
        ]
        for number in range(count):
            chance = random.Random(f"{seed}/{number}")  # noqa: S311  a history that can be run again
            worlds = [World(app.runtime) for app in apps]
            try:
                await History(worlds, chance, counts).run()
            except AssertionError as failure:
                failure.add_note(f"history {number} of seed {seed}")
                raise
        async with apps[0].runtime.database.read() as session:
            assert (await session.execute(text(_ALONE))).scalar_one() == 0, "one person lifted a hold alone"
    return counts


def _main(count: int, seed: int) -> int:
    began = time.monotonic()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory() as directory, databases.migrated_template() as template:
        os.environ["WATCHFLOOR_DATA_DIR"] = directory
        name, url = databases.create_database(template)
        try:
            counts = asyncio.run(histories(url, count, seed))
        finally:
            databases.drop_database(name)
    seconds = round(time.monotonic() - began, 1)
    told = {"seed": seed, "seconds": seconds, "violations": 0, **dict(sorted(counts.items()))}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), int(sys.argv[2])))
