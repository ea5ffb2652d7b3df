"""The lines of a drill's journal: what was said, in the order in which it was true. Holds no rule and no state.

A line that was written is never changed; `backend.continuity.core` says what they add up to.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from backend.context import STORED_OF_CALLER, Caller
from backend.policy.recovery import Plan
from contract.base import UtcDatetime
from contract.recovery import DrillState, Precondition, StepState, Topology

Facts = dict[str, Any]


def stored(caller: Caller) -> Facts:
    """What a line keeps of who acts."""
    return {name: getattr(caller, name) for name in STORED_OF_CALLER}


def caller_of(told: Facts) -> Caller:
    """Who acted; what they might do was decided then."""
    return Caller(permissions=frozenset(), **told)


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at: UtcDatetime


class Started(_Line):
    """Somebody started the drill; the plan is kept as it was then, whatever the policy says later."""

    line: Literal["started"] = "started"
    ref: str
    plan: Plan
    cluster: str
    provider: str
    hands_off: bool
    name_typed: bool
    """Whether the cluster's name was typed when it was started."""
    reason: str
    caller: Facts
    """Who started it: `backend.context.STORED_OF_CALLER`."""
    idempotency_key: str
    backend: str
    rto_target_seconds: int
    rpo_target_seconds: int
    keep_output_chars: int


class Confirmed(_Line):
    """The database has the drill: it is the only one. Nothing is touched before."""

    line: Literal["confirmed"] = "confirmed"


class Resumed(_Line):
    """Another process goes on with the drill after the one before it has ended."""

    line: Literal["resumed"] = "resumed"
    backend: str


class Looked(_Line):
    """What was found of the preconditions: before anything was touched, before a later step, or once it was over."""

    line: Literal["looked"] = "looked"
    after: bool
    step: int | None = None
    """Looked at again before this step, because the look before was long ago."""
    checks: list[Precondition]
    topology: Topology


class Saw(_Line):
    """How the cluster looked in between."""

    line: Literal["saw"] = "saw"
    topology: Topology


class Waited(_Line):
    """A step waits for a person from now on."""

    line: Literal["waited"] = "waited"
    step: int
    waits_for: Literal["step", "evidence", "cluster_name"]


class Allowed(_Line):
    """A person let a step run."""

    line: Literal["allowed"] = "allowed"
    step: int
    caller: Facts
    by_token_alone: bool = False
    """Whether the database could not be asked whether they may."""

    @property
    def by(self) -> str:
        """Their name."""
        return str(self.caller["subject"])


class Begun(_Line):
    """A step is about to run; whatever it does comes after this line."""

    line: Literal["begun"] = "begun"
    step: int
    by: str


class Noted(_Line):
    """What a step keeps to be able to undo itself."""

    line: Literal["noted"] = "noted"
    step: int
    facts: Facts


class Logged(_Line):
    """A line of the log pane."""

    line: Literal["logged"] = "logged"
    step: int | None = None
    text: str


class Stepped(_Line):
    """A step ended."""

    line: Literal["stepped"] = "stepped"
    step: int
    state: StepState
    summary: str
    output: str = ""
    """Cut to what the policy keeps."""
    evidence_sha256: str
    facts: Facts = {}
    left_to_do: list[str] = []
    duration_ms: int | None = None
    """By the monotonic clock, where one process saw begin and end."""
    outage_ms: int | None = None
    """Since the outage began, likewise."""
    caller: Facts | None = None
    """Who found it, of a manual step."""


class OutageBegan(_Line):
    """From here on the recovery time counts; said again where it was found out more exactly. `at` is the instant."""

    line: Literal["outage_began"] = "outage_began"
    step: int


class Marked(_Line):
    """How the markers stood."""

    line: Literal["marked"] = "marked"
    acknowledged: int
    last_seq: int | None
    last_at: UtcDatetime | None
    first_write_at: UtcDatetime | None
    outage_ms: int | None
    whole: bool
    """Whether everything that was acknowledged before the outage is counted in."""


class Counted(_Line):
    """What was lost, counted once the outage was over; None: it could not be counted."""

    line: Literal["counted"] = "counted"
    markers_lost: int | None
    rpo_ms: int | None
    transactions_lost: int | None
    transactions_unacknowledged: int | None


class AbortAsked(_Line):
    """Somebody ends the drill."""

    line: Literal["abort_asked"] = "abort_asked"
    caller: Facts
    reason: str
    by_token_alone: bool = False

    @property
    def by(self) -> str:
        """Their name."""
        return str(self.caller["subject"])


class UndoBegun(_Line):
    """A step is about to be undone."""

    line: Literal["undo_begun"] = "undo_begun"
    step: int


class Undone(_Line):
    """A step was undone, or could not be."""

    line: Literal["undone"] = "undone"
    step: int
    passed: bool
    summary: str
    output: str = ""
    evidence_sha256: str
    left_to_do: list[str] = []


class Declared(_Line):
    """The incident of the drill."""

    line: Literal["declared"] = "declared"
    incident: str


class Ended(_Line):
    """The drill is over."""

    line: Literal["ended"] = "ended"
    state: DrillState
    sentence: str
    left_to_do: list[str] = []


Line = Annotated[
    Started
    | Confirmed
    | Resumed
    | Looked
    | Saw
    | Waited
    | Allowed
    | Begun
    | Noted
    | Logged
    | Stepped
    | OutageBegan
    | Marked
    | Counted
    | AbortAsked
    | UndoBegun
    | Undone
    | Declared
    | Ended,
    Field(discriminator="line"),
]
LINES: Final[TypeAdapter[Line]] = TypeAdapter(Line)
