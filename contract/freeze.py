"""Wire types of freezes and thaws."""

from typing import Self

from pydantic import Field, field_serializer, field_validator, model_validator

from contract.base import Money, Page, UtcDatetime, Wire, WireRequest, storable
from contract.reasons import MAX_REASON_CHARS, has_words
from contract.scope import Scope
from contract.states import FreezeMode as FreezeMode  # noqa: PLC0414  part of what this module offers
from contract.states import FreezeStatus as FreezeStatus  # noqa: PLC0414  part of what this module offers
from contract.states import HaltState as HaltState  # noqa: PLC0414  part of what this module offers
from contract.thaw import DIGEST_CHARS, Thaw

MAX_KEY_CHARS = 64
"""Of an idempotency key: as many as the database keeps."""
LATCHED_REF = "LATCHED"
"""What stands where the ref of a freeze would that the database has not taken yet."""


class FreezeRequest(WireRequest):
    """Stop everything a scope covers, now."""

    scope: Scope
    mode: FreezeMode = FreezeMode.HALT
    reason: str = Field(max_length=MAX_REASON_CHARS)
    idempotency_key: str = Field(default="", max_length=MAX_KEY_CHARS)
    """The same key answers with the same freeze; a retry after a dropped line never freezes twice."""

    _reason = field_validator("reason")(has_words)
    _key = field_validator("idempotency_key")(storable)


class ThawRequest(WireRequest):
    """Ask for a hold to be lifted; somebody else has to approve."""

    reason: str = Field(max_length=MAX_REASON_CHARS)

    _reason = field_validator("reason")(has_words)


class ThawApproval(WireRequest):
    """Approve a requested thaw as the second person."""

    version: int | None = Field(default=None, ge=1)
    """The version that was on the screen; refused if the freeze has changed since."""
    digest: str | None = Field(default=None, max_length=DIGEST_CHARS)
    """`thaw.digest` of what was on the screen. An approval without it is refused: it would approve the unseen."""


class HaltProof(Wire):
    """One executor's answer to one freeze."""

    executor: str
    state: HaltState
    acked_at: UtcDatetime | None = None
    halted_after_seconds: Money | None = None
    last_order_seq: int | None = None
    in_flight: int | None = None
    proof: str = ""
    """What the state rests on, in plain words."""
    permit_dead_at: UtcDatetime | None = None
    """When every permit it can have is dead, while it has neither answered nor lost it; the database's clock."""
    open_ids: list[str] = []
    """What it had under way when it halted and has not ended yet; at most 50."""
    bounded: bool = True
    """Whether a dead permit stops it. False behind an adapter: unless it acknowledges, nothing is known to have."""
    exercised: bool = True
    """False under a drill's hold that it leaves alone: it neither halts nor has missed anything."""


class Freeze(Wire):
    """One hold."""

    id: str
    ref: str
    """FRZ-0001, for people and scripts; routes take either. Null on the wire while it is latched, read as LATCHED."""
    epoch: int
    """0 while it is latched: the database gives it one."""
    scope: Scope
    mode: FreezeMode
    status: FreezeStatus
    reason: str
    created_by: str
    created_at: UtcDatetime
    automatic_rule: str | None = None
    """The alert rule that froze it; None when a person did."""
    thaw_requested_by: str | None = None
    thaw_requested_at: UtcDatetime | None = None
    thaw_reason: str | None = None
    thawed_by: str | None = None
    thawed_at: UtcDatetime | None = None
    covered: int = 0
    """Executors the scope covers; under a drill's hold without those that take no part in drills."""
    halted: int = 0
    """Of these, how many have acknowledged or lost their permit."""
    verified: int = 0
    """Of these, how many a second source has confirmed."""
    violations: int = 0
    """How many did more than they acknowledged."""
    still_open: int = 0
    """How many have halted with something still in flight or resting."""
    proofs: list[HaltProof] = []
    """Filled on the detail route only."""
    drill: bool = False
    """Whether it is a drill's: in force all the same, and lifted by itself."""
    version: int = 1
    """Rises with every change of status; an approval may name the version it was shown."""
    thaw: Thaw | None = None
    """What lifting it means now; on the detail route and in answers about its thaw, while it is in force."""
    revoked: int | None = None
    """Of a latched one: how many connected executors have had their permits revoked by this backend."""
    kept: bool | None = None
    """Of a latched one: whether it would outlive the backend, in its journal."""

    @field_validator("ref", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return LATCHED_REF if value is None else value

    @field_serializer("ref")
    def _told(self, value: str) -> str | None:
        return None if self.status is FreezeStatus.LATCHED else value


class FreezeList(Page[Freeze]):
    """Freezes, newest first; the first page begins with those that the answering backend has latched."""

    partial: str | None = None
    """Why these are only the latched ones, in one sentence; None when the database was read."""
    journals_elsewhere: int = 0
    """As in `LatchedFreezes`."""


class SentFreeze(Wire):
    """What became of a freeze that was sent: taken, or surely not. Who cannot tell answers with an error instead."""

    taken: bool
    freeze: Freeze | None = None
    """The hold it made, as it stands now; None if it was not taken."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.taken != (self.freeze is not None):
            raise ValueError("a freeze that was taken is shown, and no other")
        return self


class LatchedFreezes(Wire):
    """All freezes that one backend has latched, in place of what it said of them before."""

    items: list[Freeze]
    journals_elsewhere: int = 0
    """Journals of other backends or databases in the backend's data directory in which freezes wait as well."""


class BlastRadius(Wire):
    """What a freeze of a scope would stop, shown before the reason is asked for."""

    scope: Scope
    executors: int
    trading: int
    open_orders: int
    in_flight: int
    position_eth: Money
    already_frozen: int
    executor_names: list[str]
    """At most 50, so that the dialog can list them; `executors` is the true count."""
    computed_at: UtcDatetime
