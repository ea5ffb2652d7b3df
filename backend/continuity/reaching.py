"""Reaching the drill that runs here while the database may be away: who may, and how long the database is tried.

Only for the drill that runs at this backend, and only while it runs: everything else waits for the database.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

import structlog
from fastapi import Depends, Request

from backend.auth import service as auth
from backend.context import Caller, CurrentRuntime
from backend.continuity.conducting import Conductor
from backend.continuity.running import CurrentDrills
from backend.demand import Demand, Effect
from backend.errors import WatchfloorError
from backend.guard import Admit
from contract.permissions import Permission

log = structlog.get_logger(__name__)

TRY_S: Final = 1.4
"""How long the database is asked about a caller before their token has to do; as long as for a freeze."""
SEES: Final = Demand(Permission.VIEW_RECOVERY, Effect.READS)
RUNS: Final = Demand(Permission.RUN_RECOVERY_DRILLS, Effect.CHANGES)


@dataclass(frozen=True, slots=True)
class Reached:
    """Who asks, and the drill if it runs here."""

    caller: Caller
    conductor: Conductor | None
    by_token_alone: bool = False
    """The database could not be asked whether they may."""


def _named(request: Request, drills: CurrentDrills) -> Conductor | None:
    return drills.find(str(request.path_params["ref"]).strip().upper())


def _any(_: Request, drills: CurrentDrills) -> Conductor | None:
    return drills.current


def _reaching(
    demand: Demand, find: Callable[[Request, CurrentDrills], Conductor | None] = _named
) -> Callable[..., Awaitable[Reached]]:
    async def reached(request: Request, runtime: CurrentRuntime, drills: CurrentDrills) -> Reached:
        admit: Admit = request.app.state.admit
        conductor = find(request, drills)
        if conductor is None:
            async with runtime.database.transaction() as session:
                return Reached(await admit(session, runtime, request, demand), None)
        try:
            caller = await conductor.attempt(lambda session: admit(session, runtime, request, demand), TRY_S)
        except WatchfloorError:
            raise
        # the boundary to the database: whatever keeps it from saying who calls, the drill that has it down must be
        # seen and ended
        except Exception as error:  # noqa: BLE001  named above
            log.info("driller_not_looked_up", error=f"{type(error).__name__}: {error}"[:300])
            return Reached(auth.admit_by_token_alone(runtime, request, demand), conductor, by_token_alone=True)
        return Reached(caller, conductor)

    return reached


Seen = Annotated[Reached, Depends(_reaching(SEES))]
"""Somebody who may see recovery drills."""
Looking = Annotated[Reached, Depends(_reaching(SEES, _any))]
"""Somebody who may see them and names none: the one that runs here is found, whichever it is."""
Driller = Annotated[Reached, Depends(_reaching(RUNS))]
"""Somebody who may run them."""
