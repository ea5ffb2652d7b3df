"""Reading freezes while the database may be away: what this process has latched can be told without it.

Owns who may read then, and how long the database is tried. Must never wait longer than whoever freezes, or take both
reserved connections.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import service as auth
from backend.context import Caller, Runtime
from backend.demand import Demand, Effect
from backend.errors import WatchfloorError
from backend.freeze import latch, rollcall, store, views
from backend.freeze.draining import Keeper
from backend.freeze.tables import FreezeRow
from backend.guard import Admit
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeMode, SentFreeze
from contract.permissions import Permission
from contract.scope import Scope

log = structlog.get_logger(__name__)

T = TypeVar("T")
_SEES: Final = Demand(Permission.VIEW_FREEZES, Effect.SEES_FREEZES)
TRY_S: Final = 1.4
"""How long the database is tried while freezes wait for it; as long as by a freeze."""


async def read(
    request: Request, runtime: Runtime, keeper: Keeper, work: Callable[[AsyncSession], Awaitable[T]]
) -> T | None:
    """What the database says to a caller who may see freezes; None if it cannot be asked and some are latched here.

    Raises:
        WatchfloorError: the caller may not, or it cannot be told whether they may.
        Exception: what the database or its driver raises while nothing is latched.
    """
    admit: Admit = request.app.state.admit

    async def admitted(session: AsyncSession) -> T:
        await admit(session, runtime, request, _SEES)
        return await work(session)

    if not runtime.latched.tell():
        async with runtime.database.transaction() as session:
            return await admitted(session)
    try:
        async with asyncio.timeout(TRY_S), keeper.one_reader:
            return await runtime.reserve.attempt(admitted, TRY_S)
    except WatchfloorError:
        raise
    # the boundary to the database: whatever keeps it from being read, what is latched here can be told
    except Exception as error:  # noqa: BLE001  named above
        log.info("freezes_not_read", error=f"{type(error).__name__}: {error}"[:300])
        auth.admit_by_token_alone(runtime, request, _SEES)
        return None


async def find(
    request: Request, runtime: Runtime, keeper: Keeper, ident: str, look: Callable[[AsyncSession], Awaitable[Freeze]]
) -> Freeze:
    """One freeze: the latched one of this id, else what the database says.

    Raises:
        WatchfloorError: NOT_FOUND; UNAVAILABLE if the database cannot be asked and it is not latched here.
    """

    async def looked(session: AsyncSession) -> Freeze:
        return keeper.find(ident) or await look(session)

    found = await read(request, runtime, keeper, looked) or keeper.find(ident)
    if found is None:
        raise WatchfloorError(
            ErrorCode.UNAVAILABLE,
            "The database is not answering, and this backend has not latched that freeze.",
            hint="Try again in a moment.",
        )
    return found


async def find_sent(
    request: Request, runtime: Runtime, keeper: Keeper, key: str, *, scope_of: Callable[[], Scope], mode: FreezeMode
) -> SentFreeze:
    """What became of a freeze that the caller sent under an idempotency key, whether or not it still stands.

    `scope_of` is asked once it is known that the caller may ask: a stranger is refused before anything else.

    Raises:
        WatchfloorError: UNAVAILABLE if it cannot be told now whether somebody has taken it.
    """

    def latched() -> SentFreeze | None:
        caller: Caller = request.state.caller
        here = keeper.find(latch.ident_of(caller, key, scope_of(), mode))
        return SentFreeze(taken=True, freeze=here) if here is not None else None

    async def looked(session: AsyncSession) -> SentFreeze:
        if (here := latched()) is not None:
            return here
        caller: Caller = request.state.caller
        # before the holds: what is latched elsewhere reaches the database first, the check-in after it
        missing = await rollcall.somebody_is_missing(session, runtime) or runtime.latched.journals_elsewhere > 0
        row = await store.row_by_key(session, caller.subject, key)
        row = row or await session.get(FreezeRow, latch.ident_of(caller, key, scope_of(), mode))
        if row is None:
            if missing:
                raise _cannot_tell()
            return SentFreeze(taken=False)
        [freeze] = await views.show(session, runtime, [row])
        return SentFreeze(taken=True, freeze=freeze)

    found = await read(request, runtime, keeper, looked) or latched()
    if found is None:
        raise _cannot_tell()
    return found


def _cannot_tell() -> WatchfloorError:
    return WatchfloorError(
        ErrorCode.UNAVAILABLE,
        "Whether that freeze was taken cannot be told now: another backend may have latched it.",
        hint="Ask again in a moment.",
    )
