"""The rules of holds, pure: what a hold covers, what holds add up to, who may lift one. Does no I/O."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from contract.executors import ExecutorState
from contract.freeze import FreezeMode, FreezeStatus
from contract.scope import Scope, ScopeKind, intersection

COMMIT_GRACE = timedelta(seconds=1)
"""A freeze bears the time at which it took its lock, not that of its commit a few milliseconds later: permits given
in between count as alive for so much longer."""
REPORT_EVERY = timedelta(seconds=1)
"""How far a stored report may lag behind the last renewal: keeps a quiet floor nearly free of writes."""
STRICTNESS = (FreezeMode.REDUCE_ONLY, FreezeMode.HALT, FreezeMode.CANCEL_ALL)
"""From the mildest to the strictest: of several holds the strictest counts."""
_REF = re.compile(r"FRZ-(\d{1,9})", re.IGNORECASE)


class Place(Protocol):
    """Who trades where: the four dimensions a scope can name."""

    @property
    def name(self) -> str:
        """The executor."""

    @property
    def chain(self) -> str:
        """The chain."""

    @property
    def strategy(self) -> str:
        """The strategy."""

    @property
    def wallet(self) -> str:
        """The wallet's address."""


class Reporter(Place, Protocol):
    """What an executor's own reports say."""

    @property
    def last_seen_at(self) -> datetime:
        """Its last stored report."""

    @property
    def idle_ms(self) -> int | None:
        """How long its own code had not asked its gate anything when it reported; None where nothing measures it."""

    @property
    def permit_until(self) -> datetime | None:
        """No permit it was given is alive after this instant."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A freeze that is in force."""

    id: UUID
    number: int
    epoch: int
    scope: Scope
    mode: FreezeMode
    created_at: datetime
    """Since when it covers what it covers: its creation, or the break-off of a thaw that had let some go."""
    released: frozenset[str] = frozenset()
    """Executors that a thaw under way has let go first: the hold covers everybody else under its scope."""
    drill: bool = False
    """Whether a drill put it on."""

    @property
    def ref(self) -> str:
        """FRZ-0001."""
        return ref_of(self.number)


@dataclass(frozen=True, slots=True)
class ThawState:
    """Where a hold stands on its way to being lifted."""

    status: FreezeStatus
    requested_by: str | None
    lifted_by: str | None
    version: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a step is not taken."""

    reason: str
    hint: str | None = None
    needs_second_person: bool = False
    by_rule: bool = False
    """The rules for thaws forbid it; otherwise it is only not to be done as things stand."""


def ref_of(number: int) -> str:
    """A freeze's number as people say it."""
    return f"FRZ-{number:04d}"


def parse_ident(text: str) -> UUID | int | None:
    """Read a freeze's id or ref; None when the text is neither."""
    if match := _REF.fullmatch(text.strip()):
        return int(match[1])
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def normalised(scope: Scope) -> Scope:
    """A scope as it is stored: wallets in lower case. Only ASCII, whose lower case is never longer."""
    if scope.kind is ScopeKind.INTERSECTION:
        return intersection(*map(normalised, scope.terms))
    if scope.kind is ScopeKind.WALLET and scope.name.isascii():
        return Scope(kind=scope.kind, name=scope.name.lower())
    return scope


def covers(scope: Scope, place: Place) -> bool:
    """Whether an executor at this place falls under the scope."""
    return scope.covers(chain=place.chain, strategy=place.strategy, wallet=place.wallet, executor=place.name)


def covering(holds: Iterable[Hold], place: Place) -> tuple[Hold, ...]:
    """The holds an executor at this place stands under: it is free only when there is none.

    The one place that says so: whoever asks what holds do to an executor asks this.
    """
    return tuple(hold for hold in holds if place.name not in hold.released and covers(hold.scope, place))


def effective_mode(holds: Iterable[Hold]) -> FreezeMode | None:
    """What holds add up to: the strictest of them, None without any."""
    return max((hold.mode for hold in holds), key=STRICTNESS.index, default=None)


def at_least_as_strict(mode: FreezeMode, than: FreezeMode) -> bool:
    """Whether a hold in one mode already does what another asks for."""
    return STRICTNESS.index(mode) >= STRICTNESS.index(than)


def same_person(one: str | None, other: str | None) -> bool:
    """Whether two user names are one person; spelling in capitals does not make a second one."""
    return one is not None and other is not None and one.casefold() == other.casefold()


def request_thaw(state: ThawState, *, by: str, stale: bool = False) -> ThawState | Refusal:
    """Ask for a hold to be lifted. The freezer may ask: the approval is what needs another person.

    `stale` is a request that nobody can approve any more, because it lapsed or what it was about has changed: anybody
    may ask anew in its place.
    """
    if gone := _gone(state):
        return gone
    if state.status is FreezeStatus.THAW_REQUESTED and not stale:
        return Refusal(
            f"{state.requested_by} has asked for its thaw already",
            hint="A second person has to approve or withdraw it.",
        )
    return replace(state, status=FreezeStatus.THAW_REQUESTED, requested_by=by, version=state.version + 1)


def approve_thaw(state: ThawState, *, by: str, seen_version: int | None) -> ThawState | Refusal:
    """Begin to lift a hold as the second person.

    Requester and approver are two people, so whoever froze is never alone in lifting it.
    """
    if gone := _gone(state):
        return gone
    if state.status is FreezeStatus.ACTIVE:
        return Refusal(
            "nobody has asked for its thaw", hint="Ask for the thaw first; a second person then approves.", by_rule=True
        )
    if same_person(state.requested_by, by):
        return Refusal(
            "you asked for its thaw, so another person has to approve",
            hint="Ask somebody who may approve thaws.",
            needs_second_person=True,
        )
    if seen_version is not None and seen_version != state.version:
        return Refusal("it has changed since you looked at it", hint="Look at it again, then approve.", by_rule=True)
    return replace(state, status=FreezeStatus.THAWING, lifted_by=by, version=state.version + 1)


def end_drill(state: ThawState, *, by: str) -> ThawState:
    """A drill's hold is lifted by the drill, whatever anybody has asked for meanwhile."""
    return replace(state, status=FreezeStatus.THAWED, lifted_by=by, version=state.version + 1)


def finish_thaw(state: ThawState) -> ThawState:
    """Let the last executors go."""
    return replace(state, status=FreezeStatus.THAWED, version=state.version + 1)


def withdraw_thaw(state: ThawState) -> ThawState | Refusal:
    """Take a request back, turn it down, or break a thaw off; anybody who may freeze may do so: the hold stays."""
    if state.status is FreezeStatus.THAWED:
        return Refusal(f"it was lifted by {state.lifted_by}")
    if state.status is FreezeStatus.ACTIVE:
        return Refusal("nobody has asked for its thaw")
    return put_back(state)


def put_back(state: ThawState) -> ThawState:
    """The hold as if nobody had asked for its thaw."""
    return replace(state, status=FreezeStatus.ACTIVE, requested_by=None, lifted_by=None, version=state.version + 1)


def _gone(state: ThawState) -> Refusal | None:
    if state.status is FreezeStatus.THAWED:
        return Refusal(f"it was lifted by {state.lifted_by}")
    if state.status is FreezeStatus.THAWING:
        return Refusal(
            f"{state.lifted_by} has approved its thaw", hint="It takes effect in stages; withdrawing puts it back."
        )
    return None


def executor_state(
    reporter: Reporter,
    *,
    holds: Iterable[Hold],
    acknowledged: frozenset[UUID],
    now: datetime,
    permit_life: timedelta,
    wedged_after: timedelta,
) -> ExecutorState:
    """How an executor is shown. Silence comes first: a dead executor is never shown as an obedient one.

    One whose gate goes on while its own code has not asked it anything for `wedged_after` is wedged, not freezing.
    """
    if reporter.last_seen_at + permit_life + REPORT_EVERY < now or reporter.last_seen_at > now + REPORT_EVERY:
        return ExecutorState.SILENT  # seen later than now: before the clock was put back, and not since
    held_by = covering(holds, reporter)
    if not held_by:
        return ExecutorState.TRADING
    mode = effective_mode(held_by)
    obeyed = any(hold.mode is mode and hold.id in acknowledged for hold in held_by)
    if not obeyed:
        idle = None if reporter.idle_ms is None else timedelta(milliseconds=reporter.idle_ms)
        return ExecutorState.WEDGED if idle is not None and idle >= wedged_after else ExecutorState.FREEZING
    return ExecutorState.REDUCING if mode is FreezeMode.REDUCE_ONLY else ExecutorState.FROZEN


def seconds_between(start: datetime, end: datetime) -> Decimal:
    """A span in seconds, to the millisecond; clocks that disagree never make it negative."""
    return max(Decimal(0), in_seconds(end - start))


def in_seconds(span: timedelta) -> Decimal:
    """A span in seconds, to the millisecond."""
    return Decimal(span // timedelta(milliseconds=1)) / 1000
