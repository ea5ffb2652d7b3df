"""What freqtrade's answers mean, pure: its state, what its worker itself last said, its orders. Does no I/O.

Its `state` changes in the moment somebody asks for it, its worker notices up to a cycle later: the two are read apart.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.loop import Standing
from adapters.running import OrderNews
from gate import Mode

RUNNING: Final = "running"
PAUSED: Final = "paused"
STOPPED: Final = "stopped"
WORKER: Final = "freqtrade.worker"
QUIET_CYCLES: Final = 2
"""Without a new order before it counts as halted: one may have been under way when its worker last looked."""
MAX_ID_CHARS: Final = 200
_CHANGED: Final = re.compile(r"Changing state(?: from \w+)? to: (\w+)")
_HEARTBEAT: Final = re.compile(r"Bot heartbeat\. PID=\d+, .*state='(\w+)'")
_NOT_FILLED: Final = {"canceled": "cancelled", "cancelled": "cancelled", "rejected": "cancelled", "expired": "expired"}
_LOG_FIELDS: Final = 5


class MalformedError(ValueError):
    """Not what freqtrade answers."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order that freqtrade knows."""

    ident: str
    trade_id: int
    is_open: bool
    fate: str | None
    """None while it is open, or where its status says nothing."""
    made_ms: int | None = None
    """When it was made, by the wall clock of freqtrade's machine."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything one look has read."""

    state: str
    worker: str | None
    """What its worker itself last wrote to its log; None if nothing it wrote is left there."""
    orders: tuple[Order, ...]


def read_state(answer: Any) -> str:
    """Read `/show_config`.

    Raises:
        MalformedError: it is none.
    """
    state = answer.get("state") if isinstance(answer, Mapping) else None
    if not isinstance(state, str) or not state:
        raise MalformedError("no state in the configuration shown")
    return state


def read_worker(answer: Any) -> str | None:
    """Read from `/logs` in what state the worker itself last said it was.

    Raises:
        MalformedError: it is no log.
    """
    lines = answer.get("logs") if isinstance(answer, Mapping) else None
    if not isinstance(lines, list):
        raise MalformedError("no lines in the log")
    for line in reversed(lines):
        if not isinstance(line, list) or len(line) < _LOG_FIELDS:
            raise MalformedError("a line of the log is not one")
        said = _CHANGED.match(str(line[4])) or _HEARTBEAT.match(str(line[4])) if line[2] == WORKER else None
        if said is not None:
            return said[1].lower()
    return None


def read_orders(trades: Any) -> list[Order]:
    """Read the orders of a list of trades.

    Raises:
        MalformedError: it is none.
    """
    if not isinstance(trades, list):
        raise MalformedError("not a list of trades")
    found = []
    for trade in trades:
        try:
            number, orders = trade["trade_id"], trade["orders"]
            if type(number) is not int or not isinstance(orders, list):
                raise MalformedError("a trade without a number or orders")
            found += [_order(number, order) for order in orders]
        except (KeyError, TypeError, AttributeError) as error:
            raise MalformedError(f"not a trade: {error!r}") from error
    return found


def _order(trade_id: int, order: Mapping[str, Any]) -> Order:
    ident, is_open, status = order["order_id"], order["is_open"], order.get("status")
    if not isinstance(ident, str) or not 0 < len(ident) <= MAX_ID_CHARS or not ident.isprintable():
        raise MalformedError("an order without an id")
    if not isinstance(is_open, bool):
        raise MalformedError("an order that is neither open nor not")
    fate = None if is_open else _fate(str(status), filled=bool(order.get("filled")))
    made_ms = order.get("order_timestamp")
    return Order(ident, trade_id, is_open, fate, made_ms if type(made_ms) is int else None)


def _fate(status: str, *, filled: bool) -> str | None:
    if status == "closed":
        return "landed"
    ended = _NOT_FILLED.get(status)
    return "landed" if ended is not None and filled else ended


@dataclass(slots=True)
class Book:
    """The orders seen so far, and since when none is new. Times are readings of one monotonic clock."""

    cycle_s: float
    quiet_since: float
    _open: dict[str, int] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _taken_back: set[str] = field(default_factory=set)
    _told_ms: int | None = None
    _late: set[str] = field(default_factory=set)

    @property
    def open_trades(self) -> list[int]:
        """Numbers of the trades that have open orders."""
        return sorted(set(self._open.values()))

    @property
    def open_count(self) -> int:
        """Orders that are open, as far as freqtrade knows."""
        return len(self._open)

    def told(self, now: float, wall_ms: int) -> None:
        """It was told to stop, and ran until then: quiet counts from here, and so do orders that come too late."""
        self.quiet_since = max(self.quiet_since, now)
        self._told_ms = wall_ms
        self._late.clear()

    def took_back(self, trade_id: int) -> None:
        """Freqtrade said that it has cancelled the open orders of a trade; one that never filled vanishes with it."""
        self._taken_back |= {ident for ident, number in self._open.items() if number == trade_id}

    def take(self, orders: Iterable[Order], now: float, *, free: bool = False) -> OrderNews:
        """Take in all orders of one look.

        Freqtrade forgets entries that never filled. One that vanished while the bot was `free`, or was taken back
        here, has been cancelled; of any other nobody has shown it, and it stays in flight.
        """
        found = {order.ident: order for order in orders}
        sent = tuple(ident for ident in found if ident not in self._seen)
        unsettled = self._open.keys() | set(sent)
        settled = [(ident, one.fate) for ident, one in found.items() if one.fate is not None and ident in unsettled]
        gone = [ident for ident in self._open if ident not in found]
        settled += [(ident, "cancelled") for ident in gone if free or ident in self._taken_back]
        if sent:
            self.quiet_since = now
        if self._told_ms is not None:
            self._late |= {ident for ident in sent if (found[ident].made_ms or 0) > self._told_ms}
        self._seen |= set(sent)
        self._open = {ident: order.trade_id for ident, order in found.items() if order.is_open}
        return OrderNews(sent, tuple(settled), self.open_count)

    def standing(self, picture: Picture, mode: Mode | None, now: float) -> tuple[Standing, str]:
        """Judge one look, taken in before."""
        if mode is None:
            return (Standing.OBEYS if picture.state == STOPPED else Standing.RUNS), f"it is {picture.state}"
        enough = {PAUSED, STOPPED} if mode is Mode.REDUCE_ONLY else {STOPPED}
        if picture.state not in enough:
            return Standing.RUNS, f"it is {picture.state}"
        if picture.worker not in enough:
            return Standing.NOT_YET, f"its worker says {picture.worker or 'nothing'}, its state {picture.state}"
        quiet_s = now - self.quiet_since
        if mode is not Mode.REDUCE_ONLY and quiet_s < QUIET_CYCLES * self.cycle_s:
            return Standing.NOT_YET, f"no new order for {quiet_s:.1f} s"
        if mode is Mode.CANCEL_ALL and self._open:
            return Standing.RESTING, f"{self.open_count:,} orders rest"
        late = f"{len(self._late):,} orders made after it was told, {self.open_count:,} open"
        return Standing.OBEYS, f"its worker says {picture.worker}; {late}"
