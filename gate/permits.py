"""When an executor may send: the rules of permits, pure. Does no I/O, reads no clock, holds no lock."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

MAX_TTL_S = 10.0
"""No permit, whatever it says, lives longer than this."""
MAX_OPEN_REQUESTS = 64
"""Requests whose answer may still come; older ones are forgotten and their answers ignored."""
MIN_RENEW_S = 0.05
"""No permit makes an executor ask more often than this."""
DEFAULT_RENEW_S = 0.5
"""How often to ask before the backend has said how often."""
MAX_HOLDS = 1_000
"""More freezes over one executor than anybody has ever meant."""
MAX_AMOUNT_CHARS = 80
_NEVER = float("-inf")
_VERSION = 1


class Mode(StrEnum):
    """What holds leave an executor to do besides cancelling."""

    REDUCE_ONLY = "reduce-only"
    HALT = "halt"
    CANCEL_ALL = "cancel-all"


_STRICTNESS = {None: 0, Mode.REDUCE_ONLY: 1, Mode.HALT: 2, Mode.CANCEL_ALL: 3}


class Reason(StrEnum):
    """Why a send is or is not allowed."""

    CANCEL = "cancel"
    PERMIT = "permit"
    REDUCES = "reduces"
    HELD = "held"
    HELD_TO_REDUCING = "held to reducing"
    NO_PERMIT = "no permit yet"
    EXPIRED = "permit expired"
    REVOKED = "permit revoked"
    REFUSED = "refused by the backend"
    TOO_LARGE = "larger than the permit allows"
    AMOUNT_MISSING = "the permit limits amounts and none was given"
    NOT_A_PERMIT = "not a permit of this backend"
    OTHER_PLACE = "a permit for another executor or wallet"
    OUTDATED = "permit older than a freeze"
    UNINFORMED = "no fresh word from the backend"


_ALLOWING = frozenset({Reason.CANCEL, Reason.PERMIT, Reason.REDUCES})


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one send is allowed now. True in a condition exactly when it is."""

    allowed: bool
    reason: Reason
    remaining_s: float
    """How long the permit would still live; 0 without one."""
    holds: tuple[str, ...] = ()
    """Refs of the freezes that cover the executor, as far as it knows."""
    held_epoch: int = 0
    """The newest of these freezes; what `Gate.confirm_halted` acknowledges."""
    cancel_resting: bool = False
    """Whether orders that rest have to be taken back now."""
    mode: Mode | None = None
    """What the holds leave to do; None without any."""
    spared: tuple[str, ...] = ()
    """Refs of the holds of drills that are left out of all this: see `Gate.look`."""

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def held(self) -> bool:
        """Whether a freeze, not a lost connection, is the reason."""
        return self.reason in {Reason.HELD, Reason.HELD_TO_REDUCING}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: one process of one executor in one place."""

    executor: str
    chain: str
    strategy: str
    wallet: str
    boot_id: str

    def same_as(self, other: "Identity") -> bool:
        """Whether both are the same process in the same place; capitals of a place never matter."""
        if (self.executor, self.boot_id) != (other.executor, other.boot_id):
            return False
        return all(
            mine.casefold() == theirs.casefold()
            for mine, theirs in (
                (self.chain, other.chain),
                (self.strategy, other.strategy),
                (self.wallet, other.wallet),
            )
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """One freeze that covers the executor."""

    ref: str
    epoch: int
    mode: Mode
    drill: bool = False
    """Whether a drill put it on."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What one signed permit says."""

    holder: Identity
    request_no: int
    mode: Mode | None
    """None: trade freely."""
    epoch: int
    ttl_s: float
    renew_s: float
    max_trade_eth: Decimal | None = None
    holds: tuple[Hold, ...] = field(default=())

    @property
    def held_epoch(self) -> int:
        """Highest epoch among the holds; 0 without any."""
        return max((hold.epoch for hold in self.holds), default=0)

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> "Permit":
        """Read the payload of a permit. Whatever its mode or its holds say, the strictest of them counts.

        Raises:
            ValueError: it is not a permit.
        """
        try:
            if whole(payload["v"]) != _VERSION:
                raise ValueError(f"not a permit of version {_VERSION}")
            holds = read_holds(payload["holds"])
            return cls(
                holder=Identity(**{name: _text(payload[name]) for name in Identity.__slots__}),
                request_no=whole(payload["request_no"]),
                mode=strictest(read_mode(payload["mode"]), *(hold.mode for hold in holds)),
                epoch=whole(payload["epoch"]),
                ttl_s=min(MAX_TTL_S, whole(payload["ttl_ms"]) / 1000),
                renew_s=min(MAX_TTL_S, max(MIN_RENEW_S, whole(payload["renew_ms"]) / 1000)),
                max_trade_eth=_amount(payload["max_trade"]),
                holds=holds,
            )
        except (KeyError, TypeError, AttributeError, OverflowError, InvalidOperation) as error:
            raise ValueError(f"not a permit: {error!r}") from error


def read_mode(value: Any) -> Mode | None:
    """Read a mode; one that is not understood reads as HALT."""
    if value is None:
        return None
    return Mode(value) if isinstance(value, str) and value in set(Mode) else Mode.HALT


def strictest(*modes: Mode | None) -> Mode | None:
    """Return the strictest of some modes."""
    return max(modes, key=lambda mode: _STRICTNESS[mode], default=None)


def read_holds(value: Any) -> tuple[Hold, ...]:
    """Read a list of holds. A latched freeze has no epoch yet: 0.

    Raises:
        ValueError: it is not one.
    """
    if not isinstance(value, list) or len(value) > MAX_HOLDS:
        raise ValueError("not a list of holds")
    try:
        return tuple(
            Hold(
                ref=_text(each["freeze_ref"]),
                epoch=0 if each["epoch"] is None else whole(each["epoch"]),
                mode=read_mode(each["mode"]) or Mode.HALT,
                drill=each.get("drill") is True,
            )
            for each in value
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a hold: {error!r}") from error


def whole(value: Any) -> int:
    """Read a count.

    Raises:
        ValueError: it is not a whole number of at least 0.
    """
    if type(value) is not int or value < 0:
        raise ValueError("not a whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004  a wrong answer, not a wrong call
    return value


def _amount(value: Any) -> Decimal | None:
    if value is None:
        return None
    amount = Decimal(_text(value)[:MAX_AMOUNT_CHARS])
    if not amount.is_finite() or amount < 0:
        raise ValueError("not an amount")
    return amount


class PermitBook:
    """The requests under way and the newest thing known. Times are readings of one monotonic clock, in seconds.

    A permit lives from the moment its request was *sent*: however late, often or out of order permits arrive, none
    stretches it. What is newest is decided by the backend's epoch first and by the order of requests second, because
    a request may be overtaken on its way there. A revocation makes all requests sent before it worthless.
    """

    def __init__(self, holder: Identity) -> None:
        self._holder = holder
        self._sent_at: OrderedDict[int, float] = OrderedDict()
        self._last_no = 0
        self._newest: tuple[int, int] = (0, 0)
        self._valid_until = _NEVER
        self._lost_by = Reason.NO_PERMIT
        self._max_trade_eth: Decimal | None = None
        self.mode: Mode | None = None
        self._holds: tuple[Hold, ...] = ()
        self._refs: tuple[str, ...] = ()
        self.held_epoch = 0
        self.seen_epoch = 0
        """Highest epoch of a hold over the executor that it has ever been told of."""
        self.is_latched = False
        """Whether it was revoked by a freeze that has no epoch yet."""
        self.renew_s = DEFAULT_RENEW_S
        self.ttl_s = 0.0
        """Lifetime of the newest permit, 0 before the first."""

    @property
    def last_no(self) -> int:
        """Number of the last request sent; 0 before the first."""
        return self._last_no

    def sent(self, now: float) -> int:
        """Note that a request is about to be sent; returns its number."""
        self._last_no += 1
        self._sent_at[self._last_no] = now
        while len(self._sent_at) > MAX_OPEN_REQUESTS:
            self._sent_at.popitem(last=False)
        return self._last_no

    def permitted(self, permit: Permit) -> bool:
        """Take a permit in; False if it is somebody else's, answers nothing that was asked, or newer is known."""
        if not permit.holder.same_as(self._holder):
            return False
        sent_at = self._sent_at.pop(permit.request_no, None)
        order = (permit.epoch, permit.request_no)
        if sent_at is None or order <= self._newest:
            return False
        self._newest = order
        self._know(permit.mode, permit.holds, permit.held_epoch)
        self.renew_s, self.ttl_s, self._max_trade_eth = permit.renew_s, permit.ttl_s, permit.max_trade_eth
        if permit.mode in {Mode.HALT, Mode.CANCEL_ALL}:
            self._valid_until = _NEVER
        else:
            self._valid_until = max(self._valid_until, sent_at + permit.ttl_s)
            self._lost_by = Reason.EXPIRED
        return True

    def revoked(self, epoch: int | None, mode: Mode, holds: tuple[Hold, ...]) -> None:
        """End the permit at once, and that of every request sent so far. `epoch` None: the freeze is latched."""
        self._end(Reason.REVOKED)
        held_epoch = max((hold.epoch for hold in holds), default=0)
        self._know(strictest(mode, *(hold.mode for hold in holds)), holds, max(held_epoch, epoch or 0))
        self._newest = max(self._newest, (epoch or 0, self._last_no))
        self.is_latched |= epoch is None

    def refused(self) -> None:
        """The backend will not have this executor: what was permitted is over at once."""
        self._end(Reason.REFUSED)

    def _end(self, reason: Reason) -> None:
        self._valid_until = _NEVER
        self._sent_at.clear()
        self._lost_by = reason

    def _know(self, mode: Mode | None, holds: tuple[Hold, ...], held_epoch: int) -> None:
        self.mode = mode
        self._holds = holds
        self._refs = tuple(hold.ref for hold in holds)
        self.is_latched = any(hold.epoch == 0 for hold in holds)
        self.held_epoch = held_epoch
        self.seen_epoch = max(self.seen_epoch, held_epoch)

    def decide(
        self, now: float, *, reduces: bool = False, cancels: bool = False, amount_eth: Decimal | None = None
    ) -> Decision:
        """Whether a send is allowed at this reading of the clock. Cancels always are."""
        remaining = max(0.0, self._valid_until - now)
        reason = Reason.CANCEL if cancels else self._reason(remaining, reduces=reduces, amount_eth=amount_eth)
        return Decision(
            allowed=reason in _ALLOWING,
            reason=reason,
            remaining_s=remaining,
            holds=self._refs,
            held_epoch=self.held_epoch,
            cancel_resting=self.mode is Mode.CANCEL_ALL,
            mode=self.mode,
        )

    def without_drills(self, decision: Decision) -> Decision:
        """Leave drills' holds out of what there is to obey. A mode that no hold named accounts for is in earnest."""
        spared = tuple(hold.ref for hold in self._holds if hold.drill)
        if not spared or strictest(*(hold.mode for hold in self._holds)) is not self.mode:
            return decision
        meant = [hold for hold in self._holds if not hold.drill]
        mode = strictest(*(hold.mode for hold in meant))
        return replace(
            decision,
            holds=tuple(hold.ref for hold in meant),
            held_epoch=max((hold.epoch for hold in meant), default=0),
            cancel_resting=mode is Mode.CANCEL_ALL,
            mode=mode,
            spared=spared,
        )

    def _reason(self, remaining: float, *, reduces: bool, amount_eth: Decimal | None) -> Reason:
        if (kept := kept_by(self.mode, reduces=reduces)) is not None:
            return kept
        if remaining <= 0:
            return self._lost_by
        if (large := too_large(self._max_trade_eth, amount_eth)) is not None:
            return large
        return Reason.PERMIT if self.mode is None else Reason.REDUCES


def kept_by(mode: Mode | None, *, reduces: bool) -> Reason | None:
    """Return why holds of this mode keep a send back, None if they do not."""
    if mode in {Mode.HALT, Mode.CANCEL_ALL}:
        return Reason.HELD
    return Reason.HELD_TO_REDUCING if mode is Mode.REDUCE_ONLY and not reduces else None


def too_large(max_trade_eth: Decimal | None, amount_eth: Decimal | None) -> Reason | None:
    """Return why a permit's limit keeps an amount back, None if it does not; an amount that is not given may be any."""
    if max_trade_eth is None:
        return None
    if amount_eth is None:
        return Reason.AMOUNT_MISSING
    return Reason.TOO_LARGE if not amount_eth <= max_trade_eth else None


def refusal(reason: Reason) -> Decision:
    """Return a decision that allows nothing, for a reason outside the book."""
    return Decision(allowed=False, reason=reason, remaining_s=0.0)
