"""Counts what a former primary committed after the new one's history began. Reads; must never change either."""

from typing import Final

from watchfloor.pair.errors import PairError
from watchfloor.pair.node import Node
from watchfloor.pair.state import Loss
from watchfloor.pair.tools import forked_at, reaches

LOG: Final = "pg_wal"


async def loss(old: Node, new: Node, *, waited: bool) -> Loss | None:
    """Count it in the old one's log; None where that does not reach back so far, or cannot be read.

    `waited`: commits there waited for the standby, so that nobody was told of what the standby does not have.
    """
    log = old.cluster / LOG
    try:
        histories = sorted((new.cluster / LOG).glob("*.history"))
        fork = forked_at(histories[-1].read_text()) if histories else None
        if fork is None:
            return None
        timeline, place = fork
        reached = reaches(log, timeline, place)
        commits = await old.tools.commits(log, timeline, place) if reached else None if reached is None else 0
    except (OSError, PairError, TimeoutError):
        return None
    return None if commits is None else Loss(place, commits, 0 if waited else commits)
