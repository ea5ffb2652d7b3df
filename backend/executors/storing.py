"""What is written before it is answered: processes that take a name, and acknowledgements. Many in one transaction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.freeze import service as freeze
from backend.roster import service as roster
from contract.audit import AuditResult
from contract.gate import RenewRequest


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A process that asks for a name which nobody, or another process, holds."""

    caller: Caller
    request: RenewRequest
    before: roster.Odd


async def register(runtime: Runtime, newcomers: Sequence[Newcomer]) -> None:
    """Give processes their names, one process a name, each with its audit entry.

    Raises:
        WatchfloorError: CONFLICT if the roster has no room for all of them.
    """
    async with runtime.database.transaction() as session:
        unknown = sum(newcomer.before.boot_id is None for newcomer in newcomers)
        if unknown:
            await roster.refuse_when_full(session, newcomers=unknown)
        new = await roster.register(session, [newcomer.request for newcomer in newcomers])
        for newcomer in newcomers:
            if newcomer.request.executor in new:
                await audit.record(session, runtime, newcomer.caller, _registration(newcomer))


async def acknowledge(runtime: Runtime, said: Sequence[tuple[Caller, freeze.Acknowledgement]]) -> None:
    """Store what executors acknowledge, and say so in their callers' names."""
    by_caller: dict[Caller, list[freeze.Acknowledgement]] = defaultdict(list)
    for caller, answer in said:
        by_caller[_same_machine(caller)].append(answer)
    async with runtime.database.transaction() as session:
        for caller, answers in by_caller.items():
            await freeze.store_acknowledgements(session, runtime, caller, answers)


def _same_machine(caller: Caller) -> Caller:
    """A caller without what differs between the connections of one token, so that its executors share an entry."""
    return replace(caller, request_id="", ip=None, user_agent=None)


def _registration(newcomer: Newcomer) -> audit.AuditDraft:
    if newcomer.before.boot_id is None:
        return draft("executors.process.registered", "register executor", newcomer.request, old=None)
    return draft("executors.process.replaced", "replace process", newcomer.request, old=newcomer.before)


def denial(request: RenewRequest, odd: roster.Odd, why: str) -> audit.AuditDraft:
    """The entry of a running process that wants to be something else."""
    return draft("executors.process.moved", "move executor", request, result=AuditResult.DENIED, old=odd, why=why)


def draft(
    event_type: str,
    action: str,
    request: RenewRequest,
    *,
    old: roster.Odd | None,
    result: AuditResult = AuditResult.SUCCESS,
    why: str | None = None,
) -> audit.AuditDraft:
    """The entry of an act on an executor's name."""
    return audit.AuditDraft(
        event_type=event_type,
        action=action,
        resource_type="executor",
        resource_id=request.executor,
        old_value=None if old is None else _identity(old),
        new_value=_identity(request),
        result=result,
        error_message=why,
    )


def _identity(of: roster.Odd | RenewRequest) -> dict[str, Any]:
    names = ("chain", "strategy", "wallet", "boot_id", "public_key", "bounded", "in_drills")
    return {name: getattr(of, name) for name in names}


def forged(request: RenewRequest, why: str) -> audit.AuditDraft:
    """The entry of an acknowledgement that is not the process's own, or cannot be true."""
    return audit.AuditDraft(
        event_type="freeze.halt.acknowledged",
        action="acknowledge halt",
        resource_type="executor",
        resource_id=request.executor,
        new_value={"boot_id": request.boot_id},
        result=AuditResult.DENIED,
        error_message=why,
    )
