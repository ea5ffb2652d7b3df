"""Freezing whatever the database does: it is tried for a moment, and latched by this process if that fails.

Owns the order of things: who freezes, the attempt, the latch. Must never answer that nothing was frozen because of a
database that is down, hangs or refuses.
"""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID, uuid5

import structlog
from fastapi import Depends, Request

from backend.auth import service as auth
from backend.context import Caller, CurrentRuntime, Runtime
from backend.demand import Demand, Effect
from backend.errors import WatchfloorError
from backend.freeze import core, holds
from backend.freeze.draining import Keeper
from backend.freeze.journal import Entry, KnownBy
from backend.guard import Admit
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeMode, FreezeRequest
from contract.permissions import Permission
from contract.scope import Scope

log = structlog.get_logger(__name__)

TRY_S: Final = 1.4
"""How long a freeze waits for the database, from the first question about its caller on."""
LEAST_S: Final = 0.2
"""What is left of it for the freeze itself when the caller took long to look up."""
FREEZES: Final = Demand(Permission.FREEZE_OPERATIONS, Effect.FREEZES)
"""What freezing asks of its caller."""
_KEYS: Final = UUID("0d5f2a52-6a0c-5a7e-9b39-6f1c7d1c4b11")
"""Name space of the ids that follow from idempotency keys."""


@dataclass(frozen=True, slots=True)
class Freezer:
    """Who freezes, and until when the database may take."""

    caller: Caller
    known_by: KnownBy
    until: float
    """Of the event loop's clock (seconds)."""


async def _freezer(request: Request, runtime: CurrentRuntime) -> Freezer:
    until = asyncio.get_running_loop().time() + TRY_S
    admit: Admit = request.app.state.admit
    try:
        caller = await runtime.reserve.attempt(lambda session: admit(session, runtime, request, FREEZES), TRY_S)
    except WatchfloorError:
        raise
    # the boundary to the database: whatever keeps it from saying who calls, their token still says something
    except Exception as error:  # noqa: BLE001  named above
        log.warning("freezer_not_looked_up", error=f"{type(error).__name__}: {error}"[:300])
        return Freezer(auth.admit_by_token_alone(runtime, request), KnownBy.TOKEN, until)
    return Freezer(caller, KnownBy.DATABASE, until)


CurrentFreezer = Annotated[Freezer, Depends(_freezer)]
"""Somebody who may freeze, found without a wait for the database; refused before the body is looked at."""


async def _keeper(request: Request) -> Keeper:  # async: a plain function costs a thread a request
    keeper: Keeper = request.app.state.latch
    return keeper


CurrentKeeper = Annotated[Keeper, Depends(_keeper)]


async def freeze(keeper: Keeper, runtime: Runtime, who: Freezer, request: FreezeRequest) -> Freeze:
    """Stop what a scope covers, now: in the database, or, if that cannot be had in time, by this process.

    Raises:
        WatchfloorError: CONFLICT if the idempotency key was used for another freeze, as far as anybody can tell.
    """
    key = request.idempotency_key
    ident = ident_of(who.caller, key, request.scope, request.mode) if key else runtime.clock.new_id()
    waiting = keeper.find(ident)
    if waiting is not None:
        return waiting
    if who.known_by is KnownBy.DATABASE:
        left_s = max(LEAST_S, who.until - asyncio.get_running_loop().time())
        try:
            return await runtime.reserve.attempt(
                lambda session: holds.create(session, runtime, who.caller, request, ident=ident), left_s
            )
        except WatchfloorError:
            raise
        # the boundary to the database: whatever keeps it from taking the freeze, also in doubt, it is in force
        except Exception as error:  # noqa: BLE001  named above
            log.warning("freeze_not_stored", id=str(ident), error=f"{type(error).__name__}: {error}"[:300])
    entry = Entry(ident, runtime.clock.now(), who.caller, request, who.known_by, runtime.emitter.node)
    return await keeper.latch(entry)


def ident_of(caller: Caller, key: str, scope: Scope, mode: FreezeMode) -> UUID:
    """The hold's id under an idempotency key; of a request sent again, at whichever backend, the same one."""
    return uuid5(_KEYS, repr((caller.subject, key, str(core.normalised(scope)), mode.value)))


def refuse_latched(keeper: Keeper, ident: str) -> None:
    """Keep a freeze from being lifted before the database has it.

    Raises:
        WatchfloorError: CONFLICT.
    """
    if keeper.find(ident) is not None:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            "It is latched: in force at this backend, and not in the database yet.",
            hint="It can be thawed once the database has it; that is tried again every second.",
        )
