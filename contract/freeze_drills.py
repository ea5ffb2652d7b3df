"""Wire types of freeze drills: a freeze of canaries by the same path, measured, that ends by itself."""

from pydantic import Field, field_validator

from contract.base import Money, UtcDatetime, Wire, WireRequest, storable
from contract.freeze import Freeze
from contract.reasons import MAX_REASON_CHARS, has_words
from contract.scope import Scope
from contract.states import FreezeMode, HaltState

MAX_SCOPES = 20
"""Canaries of one drill."""


class FreezeDrillRequest(WireRequest):
    """Freeze canaries as in earnest, measure, and let them go."""

    scopes: list[Scope] = Field(default=[], max_length=MAX_SCOPES)
    """What to freeze; none takes the canaries of the policy."""
    mode: FreezeMode = FreezeMode.HALT
    reason: str = Field(max_length=MAX_REASON_CHARS)
    idempotency_key: str = Field(default="", max_length=64)

    _reason = field_validator("reason")(has_words)
    _key = field_validator("idempotency_key")(storable)


class CanaryOutcome(Wire):
    """What a drill measured of one executor."""

    executor: str
    state: HaltState
    proof: str
    halted_after_seconds: Money | None = None
    """From the freeze to the arrival of its signed acknowledgement; None if it never acknowledged."""
    orders_after_halt: int | None = None
    """Orders beyond the last it signed for; None where nothing was signed."""
    orders_until_halt_at_most: int | None = None
    """Orders between its last report before the freeze and the last it signed for; None where nothing was signed."""
    exercised: bool = True
    """False for one that takes no part in drills: nothing was tried, nothing is shown and nothing was missed."""


class HaltTimes(Wire):
    """Times to halt in seconds, by nearest rank; None where nobody acknowledged."""

    count: int
    p50_seconds: Money | None = None
    p99_seconds: Money | None = None
    max_seconds: Money | None = None


class FreezeDrill(Wire):
    """One drill."""

    id: str
    ref: str
    """FD-0001."""
    scopes: list[Scope]
    mode: FreezeMode
    reason: str
    started_by: str
    started_at: UtcDatetime
    ends_at: UtcDatetime
    """When it ends whatever has been proven by then."""
    ended_at: UtcDatetime | None = None
    holds: list[str]
    """Refs of its holds."""
    covered: int
    missed: int
    """Executors that took part and never acknowledged; None has been missed while the drill runs."""
    orders_after_halt: int
    times: HaltTimes
    outcomes: list[CanaryOutcome] = []
    """Filled on the detail route, once the drill has ended."""


class DrillHistory(Wire):
    """Drills, newest first, and what all that have ended say together."""

    items: list[FreezeDrill]
    next_cursor: str | None = None
    ended: int
    """How many drills the figures below are of: those on this page that have ended."""
    times: HaltTimes
    missed: int
    orders_after_halt: int
    as_of: UtcDatetime


class SignedHalt(Wire):
    """An executor's acknowledgement as it signed it."""

    executor: str
    freeze_ref: str
    statement: str
    """JWS, compact; `public_key` verifies it."""
    public_key: str | None = None


class DrillEvidence(Wire):
    """Everything an auditor needs to judge a drill without this system."""

    drill: FreezeDrill
    holds: list[Freeze]
    signed: list[SignedHalt]
    policy: dict[str, str]
    """The numbers of the policy that were in force, by key."""
    made_at: UtcDatetime
