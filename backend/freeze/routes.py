"""HTTP routes of the freeze area."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.demand import Effect
from backend.errors import WatchfloorError
from backend.freeze import drills, latch, reading, service
from backend.freeze.latch import CurrentFreezer, CurrentKeeper
from backend.guard import CurrentCaller, needs, states
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.base import storable
from contract.errors import ErrorCode
from contract.freeze import (
    MAX_KEY_CHARS,
    BlastRadius,
    Freeze,
    FreezeList,
    FreezeMode,
    FreezeRequest,
    FreezeStatus,
    SentFreeze,
    ThawApproval,
    ThawRequest,
)
from contract.freeze_drills import DrillEvidence, DrillHistory, FreezeDrill, FreezeDrillRequest
from contract.observing import ObservationRequest, Observed, ToWatch
from contract.permissions import Permission
from contract.scope import HOW_TO_WRITE, Scope

router = APIRouter(prefix="/v1/freezes", tags=["freeze"])
_SEES = states(Permission.VIEW_FREEZES, effect=Effect.SEES_FREEZES)


@router.post("/drills", status_code=201, **needs(Permission.FREEZE_OPERATIONS))
async def start_drill(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: FreezeDrillRequest
) -> FreezeDrill:
    """Freeze canaries for practice; it ends by itself."""
    return await drills.start(session, runtime, caller, request)


@router.get("/drills", **needs(Permission.VIEW_FREEZES))
async def list_drills(
    session: Tx,
    runtime: CurrentRuntime,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> DrillHistory:
    """Freeze drills, newest first, with figures over those that have ended."""
    return await drills.list_drills(session, runtime, cursor=cursor, limit=limit)


@router.get("/drills/{ident}", **needs(Permission.VIEW_FREEZES))
async def get_drill(session: Tx, runtime: CurrentRuntime, ident: str) -> FreezeDrill:
    """One freeze drill, with every canary's outcome."""
    return await drills.get_drill(session, runtime, ident)


@router.get("/drills/{ident}/evidence", **needs(Permission.VIEW_FREEZES))
async def drill_evidence(session: Tx, runtime: CurrentRuntime, ident: str) -> DrillEvidence:
    """What an auditor needs of a freeze drill, signed statements among it."""
    return await drills.evidence_of(session, runtime, ident)


@router.post(
    "",
    status_code=201,
    responses={202: {"model": Freeze, "description": "In force at this backend; the database did not take it yet"}},
    **states(Permission.FREEZE_OPERATIONS, effect=Effect.FREEZES),
)
async def create_freeze(
    response: Response, runtime: CurrentRuntime, keeper: CurrentKeeper, who: CurrentFreezer, request: FreezeRequest
) -> Freeze:
    """Stop everything a scope covers, now, whatever the database does."""
    frozen = await latch.freeze(keeper, runtime, who, request)
    if frozen.status is FreezeStatus.LATCHED:
        response.status_code = 202
    return frozen


@router.get("", **_SEES)
async def list_freezes(  # noqa: PLR0917  FastAPI hands these in by name
    request: Request,
    runtime: CurrentRuntime,
    keeper: CurrentKeeper,
    status: Literal["in-force", "all"] = "in-force",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> FreezeList:
    """Holds, newest first; those that this backend has latched also without a database."""
    listed = await reading.read(
        request,
        runtime,
        keeper,
        lambda session: service.list_freezes(session, runtime, status=status, cursor=cursor, limit=limit),
    )
    return listed or service.list_latched(runtime)


@router.get("/preview", **needs(Permission.VIEW_FREEZES, effect=Effect.SEES_FREEZES))
async def preview(session: Tx, runtime: CurrentRuntime, scope: str) -> BlastRadius:
    """What a freeze of a scope would stop."""
    return await service.blast_radius(session, runtime, _parsed(scope))


def _parsed(scope: str) -> Scope:
    try:
        return Scope.parse(scope)
    except ValueError as error:
        hint = f"{HOW_TO_WRITE[:1].upper()}{HOW_TO_WRITE[1:]}."
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"{scope[:100]!r} is not a scope.", hint=hint) from error


@router.get("/sent/{key}", **_SEES)
async def get_sent(  # noqa: PLR0917  FastAPI hands these in by name
    request: Request,
    runtime: CurrentRuntime,
    keeper: CurrentKeeper,
    key: Annotated[str, Path(max_length=MAX_KEY_CHARS), AfterValidator(storable)],
    scope: str = "",
    mode: FreezeMode = FreezeMode.HALT,
) -> SentFreeze:
    """What became of a freeze that the caller sent under this idempotency key; 503 if that cannot be told now."""
    return await reading.find_sent(request, runtime, keeper, key, scope_of=lambda: _parsed(scope), mode=mode)


@router.get("/to-watch", **needs(Permission.OBSERVE_HALTS))
async def to_watch(session: Tx, caller: CurrentCaller) -> ToWatch:
    """What second sources should look at now."""
    return await service.to_watch(session, caller)


@router.post("/observations", **needs(Permission.OBSERVE_HALTS))
async def record_observations(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: ObservationRequest
) -> Observed:
    """Report what a second source saw."""
    return await service.record_observations(session, runtime, caller, request)


@router.get("/{ident}", **_SEES)
async def get_freeze(request: Request, runtime: CurrentRuntime, keeper: CurrentKeeper, ident: str) -> Freeze:
    """One hold by id or ref, with every covered executor's answer; one that is latched here also without a database."""
    return await reading.find(
        request, runtime, keeper, ident, lambda session: service.get_freeze(session, runtime, ident)
    )


@router.post("/{ident}/thaw", **needs(Permission.FREEZE_OPERATIONS))
async def request_thaw(  # noqa: PLR0917  FastAPI hands these in by name
    session: Tx,
    runtime: CurrentRuntime,
    keeper: CurrentKeeper,
    caller: CurrentCaller,
    ident: str,
    request: ThawRequest,
) -> Freeze:
    """Ask for a hold to be lifted."""
    latch.refuse_latched(keeper, ident)
    return await service.request_thaw(session, runtime, caller, ident, request)


@router.post("/{ident}/thaw/approve", **needs(Permission.APPROVE_THAW))
async def approve_thaw(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, approval: ThawApproval | None = None
) -> Freeze:
    """Lift a hold as the second person, in stages."""
    return await service.approve_thaw(session, runtime, caller, ident, approval or ThawApproval())


@router.post("/{ident}/thaw/withdraw", **needs(Permission.FREEZE_OPERATIONS))
async def withdraw_thaw(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> Freeze:
    """Take back or turn down a request, or break off a thaw that is taking effect; the hold stays."""
    return await service.withdraw_thaw(session, runtime, caller, ident)
