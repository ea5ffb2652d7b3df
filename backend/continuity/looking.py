"""Looks at what a plan wants to be so: before anything is touched, again before a later step, and once it is over.

Decides nothing, and changes nothing but what is said of the drill.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from backend.continuity import lines
from backend.continuity.core import Run, unmet
from backend.continuity.measuring import Steady
from backend.continuity.stepping import Parts
from backend.continuity.telling import Telling
from contract.recovery import Precondition

log = structlog.get_logger(__name__)

SETTLE_S: Final = 60.0
"""How long the steady state may take to come back before it is said that it has not."""
SETTLE_EVERY_S: Final = 1.0
LOOK_S: Final = 60.0
"""One look at everything that a plan names."""
_OF_CLUSTER: Final = frozenset({"cluster_reachable", "standby_healthy", "standby_lag", "synchronous_mode"})
"""What a drill that has touched the cluster has changed itself."""


class Looking:
    """For one drill. One event loop uses it."""

    def __init__(self, parts: Parts, telling: Telling) -> None:
        self._parts, self._telling = parts, telling
        self._clock = parts.runtime.clock

    async def look(self, *, after: bool) -> None:
        """Look, and say what was found; afterwards once it is as before, or has had its time."""
        run = self._telling.run
        until = self._clock.monotonic() + (SETTLE_S if after else 0.0)
        while True:
            checks = await looked(self._parts, self._steady(run))
            if not unmet(checks) or self._clock.monotonic() >= until:
                break
            await asyncio.sleep(SETTLE_EVERY_S)
        await self._say(checks, after=after)

    async def again(self, number: int) -> str:
        """Look again before a destructive step if the last look was long ago; why it must not run, or nothing."""
        run = self._telling.run
        limit = timedelta(seconds=self._parts.runtime.policy.recovery.look_again_seconds)
        step = run.step(number)
        if not step.plan.destructive or run.looked_at is None or self._clock.now() - run.looked_at <= limit:
            return ""
        checks = await looked(self._parts, self._steady_in_between(run))
        await self._say(checks, after=False, step=number)
        missing = unmet(checks)
        if not missing:
            return ""
        found = f"{missing[0].title}: {missing[0].found}".rstrip(".")
        return f"before step {number} ({step.plan.title}) a precondition is not met any more: {found}"

    def _steady(self, run: Run) -> Steady:
        parts = self._parts
        return Steady(parts.runtime, parts.cluster, run.started.plan, run.first_primary, tuple(run.before or ()))

    def _steady_in_between(self, run: Run) -> Steady:
        plan = run.started.plan
        names = tuple(name for name in plan.preconditions if not (run.reached and name in _OF_CLUSTER))
        shorter = plan.model_copy(update={"preconditions": names})
        return Steady(self._parts.runtime, self._parts.cluster, shorter, run.first_primary)

    async def _say(self, checks: list[Precondition], *, after: bool, step: int | None = None) -> None:
        topology = await self._parts.cluster.topology()
        line = lines.Looked(at=self._clock.now(), after=after, step=step, checks=checks, topology=topology)
        await self._telling.say(line)


async def looked(parts: Parts, steady: Steady) -> list[Precondition]:
    """How everything stands that a plan names; what cannot be found out in time is not good. Never raises."""
    try:
        async with asyncio.timeout(LOOK_S):
            return await parts.look(steady)
    # the boundary to what is looked at: what cannot be found out is not good
    except Exception as error:
        log.exception("recovery_look_failed", plan=steady.plan.name)
        why = f"not within {LOOK_S:.0f} s" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
        found = f"it could not be looked at: {why}"[:300]
        return [Precondition(name="looked", title="The steady state", ok=False, found=found)]
