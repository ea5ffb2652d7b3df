"""Giving permits to executors. Reads the freeze state afresh for every permit; nothing here is cached."""

from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.executors import core
from backend.freeze import service as freeze
from backend.roster import service as roster
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.freeze import LATCHED_REF, FreezeMode
from contract.gate import Hold, Permit, RenewRequest


async def renew(session: AsyncSession, runtime: Runtime, caller: Caller, request: RenewRequest) -> Permit:
    """Answer an executor with what it may do for the next moments, and note what it reports.

    The permit's lifetime runs on the executor's own clock from when it sent the request, hence ends before the bound
    stored here, which counts from a later instant.

    Raises:
        WatchfloorError: CONFLICT if a newer process holds the name, or the executor claims to have moved while running.
    """
    latched = _latched_over(runtime, request)
    standing = await freeze.standing_of(session, request.executor, request)
    known = await roster.find(session, request.executor)
    takes_over = known is None or core.is_other_process(known, request)
    if known is not None:
        await _refuse_impostor(session, known, request, takes_over=takes_over)
    mode = _strictest(freeze.effective_mode(standing.holds), latched)
    life = freeze.permit_life(runtime) if core.mode_allows_trading(mode) else None
    if core.must_write(known, request, now=standing.now, permit_life=life, report_every=freeze.REPORT_EVERY):
        await _write(session, runtime, caller, request, known=known, takes_over=takes_over, life=life)
    await freeze.acknowledge(session, runtime, caller, request, standing)
    latched = latched or _latched_over(runtime, request)  # one that came up while the database was asked
    mode = _strictest(mode, latched)
    holds = [Hold(freeze_ref=hold.ref, epoch=hold.epoch, mode=hold.mode) for hold in standing.holds]
    if latched is not None:
        holds.append(Hold(freeze_ref=LATCHED_REF, epoch=standing.epoch, mode=latched))
    return Permit(
        executor=request.executor,
        may_trade=core.mode_allows_trading(mode),
        mode=mode,
        epoch=standing.epoch,
        ttl_ms=runtime.policy.permits.ttl_ms,
        renew_ms=runtime.policy.permits.renew_ms,
        holds=holds,
        request_no=request.request_no,
    )


def _latched_over(runtime: Runtime, place: RenewRequest) -> FreezeMode | None:
    return runtime.latched.mode_over(
        chain=place.chain, strategy=place.strategy, wallet=place.wallet, executor=place.executor
    )


def _strictest(mode: FreezeMode | None, latched: FreezeMode | None) -> FreezeMode | None:
    """A latched mode stops, so that only a hold that takes orders back as well is stricter."""
    return mode if latched is None or mode is FreezeMode.CANCEL_ALL else latched


async def _refuse_impostor(
    session: AsyncSession, known: roster.Facts, request: RenewRequest, *, takes_over: bool
) -> None:
    if takes_over and await roster.has_run_before(session, request.executor, request.boot_id):
        raise _displaced(request)
    if not takes_over and core.moved(known, request):
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"{request.executor} trades {known.strategy} on {known.chain}; a running process cannot move.",
            hint="Restart the executor to move it.",
            audit=_draft("executors.process.moved", "move executor", request, result=AuditResult.DENIED, old=known),
        )


def _displaced(request: RenewRequest) -> WatchfloorError:
    return WatchfloorError(
        ErrorCode.CONFLICT,
        f"A newer process runs as {request.executor}; this one gets no more permits.",
        hint="Stop this process, or give it a name of its own.",
    )


async def _write(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    request: RenewRequest,
    *,
    known: roster.Facts | None,
    takes_over: bool,
    life: timedelta | None,
) -> None:
    if known is None:
        await roster.refuse_when_full(session)
    stored = await roster.store_report(
        session,
        request,
        changed=core.changed(known, request),
        takes_over=takes_over,
        permit_bound=None if life is None else life + freeze.REPORT_EVERY,
    )
    if not stored:
        raise _displaced(request)
    if takes_over:
        await roster.remember_process(session, request.executor, request.boot_id)
        event, action = ("executors.process.registered", "register executor")
        if known is not None:
            event, action = ("executors.process.replaced", "replace process")
        await audit.record(session, runtime, caller, _draft(event, action, request, old=known))


def _draft(
    event_type: str,
    action: str,
    request: RenewRequest,
    *,
    old: roster.Facts | None,
    result: AuditResult = AuditResult.SUCCESS,
) -> audit.AuditDraft:
    def identity(of: roster.Facts | RenewRequest) -> dict[str, Any]:
        return {"chain": of.chain, "strategy": of.strategy, "wallet": of.wallet, "boot_id": of.boot_id}

    return audit.AuditDraft(
        event_type=event_type,
        action=action,
        resource_type="executor",
        resource_id=request.executor,
        old_value=None if old is None else identity(old),
        new_value=identity(request),
        result=result,
    )
