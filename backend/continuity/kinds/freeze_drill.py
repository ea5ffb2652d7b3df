"""Freeze drill steps: canaries are frozen as in earnest, and everybody who takes part has to acknowledge."""

import asyncio
from typing import Final

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds.base import At, Facts, Outcome, of_kind
from backend.continuity.kinds.patience import once_taken
from backend.errors import WatchfloorError
from backend.freeze import service as freezes
from backend.policy.recovery import AnyStep, FreezeDrillStep
from contract.freeze_drills import CanaryOutcome, FreezeDrill, FreezeDrillRequest
from contract.scope import Scope

LOOK_EVERY_S: Final = 0.5
_REF: Final = "freeze_drill"


class FreezeDrillKind:
    """See `Kind`."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:  # noqa: ARG002  the protocol's
        """Nothing that might be frozen, or a scope that is none."""
        scopes = _scopes(runtime, step)
        if not scopes:
            return ["Neither the step nor watchfloor.freeze_drills.canaries names what to freeze."]
        try:
            [Scope.parse(text) for text in scopes]
        except ValueError as error:
            return [str(error)]
        return []

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:  # noqa: ARG002  the protocol's
        """What is frozen."""
        return f"Freezes {', '.join(_scopes(runtime, step))} for practice; it ends by itself."

    async def run(self, at: At) -> Outcome:
        """Start it and wait for its end."""
        try:
            drill = await once_taken(at, lambda: _start(at))
        except WatchfloorError as error:
            return Outcome(passed=False, summary=error.message)
        await at.note({_REF: drill.ref})
        at.log(f"{drill.ref} freezes {', '.join(map(str, drill.scopes))}.")
        return _judged(await _ended(at, drill.ref))

    async def undo(self, at: At, facts: Facts) -> Outcome:
        """It lifts what it has frozen by itself: that is waited for."""
        ref = facts.get(_REF)
        if ref is None:
            return Outcome(passed=True, summary="No freeze drill was started, or it ends by itself.")
        await _ended(at, str(ref))
        return Outcome(passed=True, summary=f"{ref} is over and what it had frozen is free again.")

    async def look(self, at: At, facts: Facts) -> Outcome | None:
        """It goes on without whoever started it."""
        ref = facts.get(_REF)
        return None if ref is None else _judged(await _ended(at, str(ref)))


def _own(step: AnyStep) -> FreezeDrillStep:
    return of_kind(step, FreezeDrillStep)


def _scopes(runtime: Runtime, step: AnyStep) -> tuple[str, ...]:
    return _own(step).scopes or tuple(runtime.policy.freeze_drills.canaries)


async def _start(at: At) -> FreezeDrill:
    own = _own(at.step)
    request = FreezeDrillRequest(
        scopes=[Scope.parse(text) for text in own.scopes],
        reason=f"part of the recovery drill {at.drill}",
        idempotency_key=f"{at.drill}/{own.name}"[:64],
    )
    async with at.runtime.database.transaction() as session:
        return await freezes.start_drill(session, at.runtime, at.caller, request)


async def _ended(at: At, ref: str) -> FreezeDrill:
    while True:
        drill = await once_taken(at, lambda: _read(at, ref))
        if drill.ended_at is not None:
            return drill
        await asyncio.sleep(LOOK_EVERY_S)


async def _read(at: At, ref: str) -> FreezeDrill:
    async with at.runtime.database.read() as session:
        return await freezes.get_drill(session, at.runtime, ref)


def _line(one: CanaryOutcome) -> str:
    halted = "never acknowledged" if one.halted_after_seconds is None else f"halted after {one.halted_after_seconds} s"
    orders = "unknown" if one.orders_after_halt is None else f"{one.orders_after_halt}"
    return f"{one.executor}: {one.state.value}, {halted}, orders after it: {orders}"


def _judged(drill: FreezeDrill) -> Outcome:
    took_part = [one for one in drill.outcomes if one.exercised]
    lines = [_line(one) for one in drill.outcomes]
    facts = {
        _REF: drill.ref, "executors": len(took_part), "missed": drill.missed,
        "orders_after_halt": drill.orders_after_halt,
    }  # fmt: skip
    if not took_part:
        summary = f"{drill.ref} is over, and no executor took part: nothing was shown."
        return Outcome(passed=False, summary=summary, output="\n".join(lines), facts=facts)
    passed = drill.missed == 0 and drill.orders_after_halt == 0
    halted = len(took_part) - drill.missed
    summary = f"{drill.ref}: {halted} of {len(took_part)} halted, {drill.orders_after_halt} orders after that."
    return Outcome(passed=passed, summary=summary, output="\n".join(lines), facts=facts)
