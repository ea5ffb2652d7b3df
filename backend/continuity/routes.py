"""HTTP routes of recovery drills."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.context import CurrentRuntime
from backend.continuity import planning, service
from backend.continuity.reaching import Driller, Looking, Seen
from backend.continuity.running import CurrentDrills
from backend.db import Tx
from backend.guard import CurrentCaller, needs, states
from backend.openapi import refusals
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.errors import ErrorCode
from contract.permissions import Permission
from contract.recovery import (
    AbortRequest,
    DrillHistory,
    DrillRequest,
    DryRun,
    RecoveryDrill,
    RecoveryPlans,
    StepRequest,
    Topology,
)

router = APIRouter(prefix="/v1/recovery", tags=["recovery"])
_SEES = states(Permission.VIEW_RECOVERY)
_RUNS = states(Permission.RUN_RECOVERY_DRILLS)


@router.get("/plans", **needs(Permission.VIEW_RECOVERY))
async def list_plans(drills: CurrentDrills) -> RecoveryPlans:
    """The plans of the policy, what each step would do here, and what keeps a plan from being run."""
    return await planning.plans(drills.parts)


@router.get("/plans/{name}/dry-run", **needs(Permission.VIEW_RECOVERY))
async def dry_run(drills: CurrentDrills, name: str) -> DryRun:
    """What a drill would do now, without doing any of it."""
    return await planning.dry_run(drills.parts, name)


@router.get("/cluster", **_SEES)
async def get_cluster(drills: CurrentDrills, _: Looking) -> Topology:
    """Who is primary and who follows it; while a drill runs here also without a database."""
    return await drills.parts.cluster.topology()


@router.post(
    "/drills", status_code=201, responses=refusals(ErrorCode.NOT_FOUND), **needs(Permission.RUN_RECOVERY_DRILLS)
)
async def start_drill(
    session: Tx, runtime: CurrentRuntime, drills: CurrentDrills, caller: CurrentCaller, request: DrillRequest
) -> RecoveryDrill:
    """Run a plan, at this backend; one drill at a time."""
    return await service.start(session, runtime, drills, caller, request)


@router.get("/drills", **_SEES)
async def list_drills(
    runtime: CurrentRuntime,
    looking: Looking,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> DrillHistory:
    """Drills, newest first, with what they measured and when the next one is due; the one that runs here alone while it
    has the database down.
    """
    if looking.conductor is not None and looking.by_token_alone:
        return service.this_alone(runtime, looking.conductor.shown())
    async with runtime.database.transaction() as session:
        return await service.list_drills(session, runtime, cursor=cursor, limit=limit)


@router.get("/drills/{ref}", **_SEES)
async def get_drill(runtime: CurrentRuntime, seen: Seen, ref: str) -> RecoveryDrill:
    """One drill with outputs and log; the one that runs here also without a database."""
    if seen.conductor is not None:
        return seen.conductor.shown()
    async with runtime.database.transaction() as session:
        return await service.get_drill(session, ref)


@router.post("/drills/{ref}/step", **_RUNS)
async def step(runtime: CurrentRuntime, driller: Driller, ref: str, request: StepRequest) -> RecoveryDrill:
    """Let the waiting step run, or say what a manual one found; of the drill that runs here also without a database."""
    conductor = driller.conductor
    if conductor is not None:
        await conductor.step(driller.caller, request, by_token_alone=driller.by_token_alone)
        return conductor.shown()
    async with runtime.database.transaction() as session:
        return await service.step(session, runtime, driller.caller, ref, request)


@router.post("/drills/{ref}/abort", **_RUNS)
async def abort(runtime: CurrentRuntime, driller: Driller, ref: str, request: AbortRequest) -> RecoveryDrill:
    """End a drill and roll back what ran; the one that runs here also without a database."""
    conductor = driller.conductor
    if conductor is not None:
        await conductor.abort(driller.caller, request.reason, by_token_alone=driller.by_token_alone)
        return conductor.shown()
    async with runtime.database.transaction() as session:
        return await service.abort(session, runtime, driller.caller, ref, request)
