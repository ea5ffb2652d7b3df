"""What a freeze drill measures, pure: outcomes of canaries and the figures over them. Does no I/O."""

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from backend.freeze import core
from backend.freeze.evidence import Judged
from contract.freeze_drills import CanaryOutcome, HaltTimes
from contract.scope import Scope, ScopeKind
from contract.states import HaltState

_ENDED = frozenset({HaltState.VERIFIED, HaltState.EXPIRED, HaltState.VIOLATION})
"""Nothing better or worse comes after these."""


def ref_of(number: int) -> str:
    """A drill's number as people say it."""
    return f"FD-{number:04d}"


def is_canary(scope: Scope, canaries: Iterable[str]) -> bool:
    """Whether a drill may freeze a scope: one executor by name, or what the policy names as canaries."""
    allowed = {str(core.normalised(Scope.parse(text))).casefold() for text in canaries}
    return scope.kind is ScopeKind.EXECUTOR or str(core.normalised(scope)).casefold() in allowed


def signer_of(statement: str) -> str | None:
    """The boot id that a signed statement names, unverified: good for looking up the key, for nothing else."""
    head = statement.partition(".")[0]
    try:
        named = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    except (ValueError, KeyError, TypeError):
        return None
    return named if isinstance(named, str) else None


def is_settled(judged: Iterable[Judged]) -> bool:
    """Whether more waiting would show nothing new."""
    return all(one.verdict.state in _ENDED or not one.exercised for one in judged)


def outcome(one: Judged, reported_before: Mapping[str, int]) -> CanaryOutcome:
    """What is measured of one executor. Orders are counted by sequence, so that none is counted twice."""
    after = until = None
    if one.ack is not None:
        newest = one.facts.last_order_seq if one.facts is not None else one.ack.last_order_seq
        after = max(0, newest - one.ack.last_order_seq)
        until = max(0, one.ack.last_order_seq - reported_before.get(one.executor, one.ack.last_order_seq))
    acked = one.ack is not None and one.halted_after is not None
    return CanaryOutcome(
        executor=one.executor,
        state=one.verdict.state,
        proof=one.verdict.proof,
        halted_after_seconds=core.in_seconds(one.halted_after) if acked and one.halted_after is not None else None,
        orders_after_halt=after,
        orders_until_halt_at_most=until,
        exercised=one.exercised,
    )


def halt_times(outcomes: Iterable[CanaryOutcome]) -> HaltTimes:
    """The distribution of times to halt, of those that acknowledged."""
    seconds = sorted(one.halted_after_seconds for one in outcomes if one.halted_after_seconds is not None)
    if not seconds:
        return HaltTimes(count=0)
    return HaltTimes(
        count=len(seconds),
        p50_seconds=nearest_rank(seconds, 50),
        p99_seconds=nearest_rank(seconds, 99),
        max_seconds=seconds[-1],
    )


def nearest_rank(ordered: Sequence[Decimal], percent: int) -> Decimal:
    """The smallest value that so many per cent of a sorted, non-empty sample do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def missed(outcomes: Iterable[CanaryOutcome]) -> int:
    """How many took part and never acknowledged."""
    return sum(one.exercised and one.halted_after_seconds is None for one in outcomes)


def orders_after_halt(outcomes: Iterable[CanaryOutcome]) -> int:
    """Orders beyond what was signed, of all."""
    return sum(one.orders_after_halt or 0 for one in outcomes)
