"""Freeze drills for tests of what is drawn."""

from datetime import timedelta
from decimal import Decimal

from contract.freeze import Freeze, FreezeMode, HaltState
from contract.freeze_drills import CanaryOutcome, DrillEvidence, DrillHistory, FreezeDrill, HaltTimes, SignedHalt
from contract.scope import Scope
from tests.console import floor_models as models


def times(*seconds: str) -> HaltTimes:
    """Times to halt, sorted."""
    if not seconds:
        return HaltTimes(count=0)
    found = [Decimal(one) for one in seconds]
    return HaltTimes(count=len(found), p50_seconds=found[len(found) // 2], p99_seconds=found[-1], max_seconds=found[-1])


def drill(number: int, *, scope: str = "executor:bot-1", reason: str = "quarterly", minutes: float = 0) -> FreezeDrill:
    """One drill that runs."""
    began = models.ago(minutes=minutes)
    return FreezeDrill(
        id=f"drill-{number}",
        ref=f"FD-{number:04d}",
        scopes=[Scope.parse(scope)],
        mode=FreezeMode.HALT,
        reason=reason,
        started_by="officer1",
        started_at=began,
        ends_at=began + timedelta(seconds=30),
        holds=["FRZ-0031"],
        covered=4,
        missed=0,
        orders_after_halt=0,
        times=times(),
    )


def ended(number: int, *seconds: str, missed: int = 0, after: int = 0, minutes: float = 60) -> FreezeDrill:
    """One drill that is over."""
    running = drill(number, scope="strategy:canaries", minutes=minutes)
    return running.model_copy(
        update={
            "ended_at": running.ends_at, "covered": len(seconds) + missed, "missed": missed,
            "orders_after_halt": after, "times": times(*seconds), "outcomes": _outcomes(seconds, missed, after),
        }
    )  # fmt: skip


def _outcomes(seconds: tuple[str, ...], missed: int, after: int) -> list[CanaryOutcome]:
    halted = [
        CanaryOutcome(
            executor=f"canary-{number}",
            state=HaltState.VIOLATION if after and number == 0 else HaltState.VERIFIED,
            proof="signed that #1,204 was its last order; nonce 17 unchanged x3, says base-watcher",
            halted_after_seconds=Decimal(one),
            orders_after_halt=after if number == 0 else 0,
            orders_until_halt_at_most=1,
        )
        for number, one in enumerate(seconds)
    ]
    silent = [
        CanaryOutcome(
            executor=f"deaf-{number}", state=HaltState.EXPIRED, proof="no acknowledgement; every permit it had is dead"
        )
        for number in range(missed)
    ]
    left_out = CanaryOutcome(
        executor="vault-pauser",
        state=HaltState.DELIVERED,
        proof="not exercised: takes no part in drills",
        exercised=False,
    )
    return [*halted, *silent, left_out]


def history() -> list[FreezeDrill]:
    """Four drills, the newest first: one of them was missed by a canary."""
    return [
        ended(4, "0.18", "0.21", "0.34", minutes=75),
        ended(3, "0.19", "0.22", missed=1, minutes=60 * 24 * 30),
        ended(2, "0.20", "0.25", "1.92", minutes=60 * 24 * 91),
        ended(1, "0.20", "0.24", "0.41", minutes=60 * 24 * 183),
    ]


def told(drills: list[FreezeDrill]) -> DrillHistory:
    """The history as the backend tells it."""
    over = [one for one in drills if one.ended_at is not None]
    measured = sorted(str(out.halted_after_seconds) for one in over for out in one.outcomes if out.halted_after_seconds)
    return DrillHistory(
        items=[one.model_copy(update={"outcomes": []}) for one in drills],
        ended=len(over),
        times=times(*measured),
        missed=sum(one.missed for one in over),
        orders_after_halt=sum(one.orders_after_halt for one in over),
        as_of=models.NOW,
    )


def evidence(one: FreezeDrill) -> DrillEvidence:
    """The pack of a drill."""
    hold: Freeze = models.freeze().model_copy(update={"drill": True})
    signed = [
        SignedHalt(
            executor=out.executor,
            freeze_ref=hold.ref,
            statement=f"eyJhbGciOiJFZERTQSJ9.{out.executor}.c2lnbmVk",
            public_key=None if out.executor == "canary-1" else "a2V5",
        )
        for out in one.outcomes
        if out.halted_after_seconds is not None
    ]
    return DrillEvidence(drill=one, holds=[hold], signed=signed, policy={"permits.ttl_ms": "2000"}, made_at=models.NOW)
