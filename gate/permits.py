"""When an executor may send: the rules of permits, pure. Does no I/O, reads no clock, holds no lock."""

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_TTL_S = 10.0
"""No answer, however damaged, makes a permit live longer than this."""
MAX_OPEN_REQUESTS = 64
"""Requests whose answer may still come; older ones are forgotten and their answers ignored."""
MIN_RENEW_S = 0.05
"""No answer makes an executor ask more often than this."""
DEFAULT_RENEW_S = 0.5
"""How often to ask before the backend has said how often."""
_NEVER = float("-inf")


class Mode(StrEnum):
    """What holds leave an executor to do besides cancelling."""

    HALT = "halt"
    REDUCE_ONLY = "reduce-only"


class Reason(StrEnum):
    """Why a send is or is not allowed."""

    CANCEL = "cancel"
    PERMIT = "permit"
    REDUCES = "reduces"
    HELD = "held"
    HELD_TO_REDUCING = "held to reducing"
    NO_PERMIT = "no permit yet"
    EXPIRED = "permit expired"
    REFUSED = "refused by the backend"


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

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def held(self) -> bool:
        """Whether a freeze, not a lost connection, is the reason."""
        return self.reason in {Reason.HELD, Reason.HELD_TO_REDUCING}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the backend."""

    request_no: int
    mode: Mode | None
    """None: no hold. Anything not understood reads as HALT."""
    epoch: int
    ttl_s: float
    renew_s: float
    held_epoch: int
    """Highest epoch among the holds that cover the executor; 0 without any."""
    holds: tuple[str, ...]

    @classmethod
    def read(cls, body: Any) -> "Answer":
        """Read a permit as it came over the wire.

        Raises:
            ValueError: it is not a permit.
        """
        try:
            holds = tuple((str(hold["freeze_ref"]), int(hold["epoch"])) for hold in body.get("holds", ()))
            mode = _read_mode(body["mode"], may_trade=body["may_trade"] is True)
            return cls(
                request_no=int(body["request_no"]),
                mode=mode,
                epoch=int(body["epoch"]),
                ttl_s=min(MAX_TTL_S, int(body["ttl_ms"]) / 1000),
                renew_s=max(MIN_RENEW_S, int(body["renew_ms"]) / 1000),
                held_epoch=max((epoch for _, epoch in holds), default=0),
                holds=tuple(ref for ref, _ in holds),
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a permit: {error!r}") from error


def _read_mode(value: Any, *, may_trade: bool) -> Mode | None:
    if value is None and may_trade:
        return None
    return Mode.REDUCE_ONLY if value == Mode.REDUCE_ONLY.value and may_trade else Mode.HALT


class PermitBook:
    """The requests under way and the newest thing known. Times are readings of one monotonic clock, in seconds.

    A permit lives from the moment its request was *sent*: however late, often or out of order answers arrive, none
    stretches it. What is newest is decided by the backend's epoch first and by the order of requests second, because
    a request may be overtaken on its way there.
    """

    def __init__(self) -> None:
        self._sent_at: OrderedDict[int, float] = OrderedDict()
        self._last_no = 0
        self._newest: tuple[int, int] = (0, 0)
        self._mode: Mode | None = None
        self._valid_until = _NEVER
        self._lost_by = Reason.NO_PERMIT
        self.holds: tuple[str, ...] = ()
        self.held_epoch = 0
        self.renew_s = DEFAULT_RENEW_S

    def sent(self, now: float) -> int:
        """Note that a request is about to be sent; returns its number."""
        self._last_no += 1
        self._sent_at[self._last_no] = now
        while len(self._sent_at) > MAX_OPEN_REQUESTS:
            self._sent_at.popitem(last=False)
        return self._last_no

    def answered(self, answer: Answer) -> bool:
        """Take an answer in; False if it answers nothing that was asked, or something newer is known."""
        sent_at = self._sent_at.pop(answer.request_no, None)
        order = (answer.epoch, answer.request_no)
        if sent_at is None or order <= self._newest:
            return False
        self._newest = order
        self._mode = answer.mode
        self.holds = answer.holds
        self.held_epoch = answer.held_epoch
        self.renew_s = answer.renew_s
        if answer.mode is Mode.HALT:
            self._valid_until = _NEVER
        else:
            self._valid_until = max(self._valid_until, sent_at + answer.ttl_s)
            self._lost_by = Reason.EXPIRED
        return True

    def refused(self, request_no: int) -> None:
        """The backend will not have this executor: what was permitted is over at once."""
        self._sent_at.pop(request_no, None)
        self._valid_until = _NEVER
        self._lost_by = Reason.REFUSED

    def decide(self, now: float, *, reduces: bool = False, cancels: bool = False) -> Decision:
        """Whether a send is allowed at this reading of the clock. Cancels always are."""
        remaining = max(0.0, self._valid_until - now)
        reason = Reason.CANCEL if cancels else self._reason(remaining, reduces=reduces)
        return Decision(
            allowed=reason in _ALLOWING,
            reason=reason,
            remaining_s=remaining,
            holds=self.holds,
            held_epoch=self.held_epoch,
        )

    def _reason(self, remaining: float, *, reduces: bool) -> Reason:
        if self._mode is Mode.HALT:
            return Reason.HELD
        if remaining <= 0:
            return self._lost_by
        if self._mode is Mode.REDUCE_ONLY:
            return Reason.REDUCES if reduces else Reason.HELD_TO_REDUCING
        return Reason.PERMIT
