"""The policy's numbers of permits, freezes and thaws."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from backend.policy.base import Count, PolicyTable, PositiveCount
from contract.risk import RiskRule
from contract.scope import Scope


def _printed(value: str) -> str:
    return str(Scope.parse(value))


AnyScopeText = Annotated[str, AfterValidator(_printed)]


class Permits(PolicyTable):
    """How long an executor may trade without hearing from Watchfloor."""

    ttl_ms: PositiveCount
    renew_ms: PositiveCount

    @model_validator(mode="after")
    def _survives_a_lost_renewal(self) -> Self:
        if self.renew_ms * 2 > self.ttl_ms:
            raise ValueError("renew_ms must be at most half of ttl_ms, or one lost renewal stops trading")
        return self


class Freezes(PolicyTable):
    """What counts as proof of a halt, and what as the lack of it."""

    verify_blocks: PositiveCount
    """For how many blocks a wallet's nonce has to stand still."""
    wedged_after_seconds: PositiveCount
    """An executor under a hold whose own code has not stirred for so long is wedged."""


class FreezeDrills(PolicyTable):
    """What may be frozen for practice, and for how long."""

    canaries: list[AnyScopeText] = []
    """Scopes that a drill may freeze beside single executors; what a drill that names none freezes."""
    longest_seconds: Annotated[PositiveCount, Field(le=600)]
    """After so long a drill ends, whatever has been proven by then."""


class ThawRules(PolicyTable):
    """How a freeze is lifted once two people agree."""

    request_minutes: PositiveCount
    """How long a request waits for its second person before it lapses."""
    min_hold_seconds: Count
    """Shortest time between a freeze, or a thaw that was broken off, and the approval of the next thaw."""
    first_percent: Annotated[PositiveCount, Field(le=100)]
    """Share of the executors that may trade again first; always at least one."""
    watch_seconds: Count
    """How long these are watched before the rest follows; 0 lets all go at once."""


class Confirmations(PolicyTable):
    """How often a crossing has to be seen before it freezes."""

    confirmations: PositiveCount
    """So many assessments have to find the limit crossed…"""
    of_assessments: PositiveCount
    """… among the last so many."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.confirmations > self.of_assessments:
            raise ValueError("confirmations must be at most of_assessments, or nothing would ever freeze")
        return self


class AutomaticFreezes(Confirmations):
    """When a risk rule may freeze by itself."""

    confirm_within_seconds: PositiveCount
    """Figures that do not change at all confirm themselves within this time: a feed that stands still hides nothing."""
    rules: dict[RiskRule, Confirmations] = {}
    """Rules with numbers of their own."""

    def of(self, rule: RiskRule) -> Confirmations:
        """The numbers of one rule."""
        return self.rules.get(rule, self)
