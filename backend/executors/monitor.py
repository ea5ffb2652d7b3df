"""Tells consoles of executors that changed: reports, holds, and silence, which no request ever announces."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.events import publish
from backend.executors import core
from backend.freeze import service as freeze
from backend.monitors import Monitor
from backend.roster import service as roster
from contract.stream import ExecutorsChanged, Topic

MAX_EXECUTORS_PER_EVENT = 100
"""Keeps one stream event below the size of a slow line's second."""


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Publish the executors and holds that no longer look as they were last shown; nothing on a quiet floor."""
    floor = await freeze.floor(session, runtime)
    told = {facts.name: core.shown_digest(facts, state) for facts, state in floor.executors}
    stale = [(facts, state) for facts, state in floor.executors if facts.shown != told[facts.name]]
    for start in range(0, len(stale), MAX_EXECUTORS_PER_EVENT):
        some = stale[start : start + MAX_EXECUTORS_PER_EVENT]
        changed = [core.wire(facts, state) for facts, state in some]
        publish(session, Topic.EXECUTORS, ExecutorsChanged(executors=changed, at=floor.now))
    await roster.mark_shown(session, {facts.name: told[facts.name] for facts, _ in stale})
    await freeze.follow(session, runtime)


MONITOR = Monitor(name="executors", interval_s=0.5, tick=tick, wake_on=frozenset({Topic.FREEZE}))
