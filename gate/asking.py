"""What an executor's own code asks and tells a gate, the same for threads and for asyncio.

Owns the answers; each shell owns its line, its guard against other threads, and who wakes its sender. Never waits for
the network.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gate.permits import Decision, Reason, refusal
from gate.session import Session


class Asking(ABC):
    """The part of a gate that an executor calls."""

    def __init__(self, session: Session, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._closed = False
        self._pid = os.getpid()

    @abstractmethod
    def _guard(self) -> AbstractContextManager[Any]:
        """Keep everybody else away from the session."""

    @abstractmethod
    def _stir(self) -> None:
        """Have what is due sent now; called under the guard."""

    def may_send(
        self, *, reduces: bool = False, cancels: bool = False, amount_eth: Decimal | int | None = None
    ) -> Decision:
        """Whether this very send is allowed. Ask right before each one; an answer is no promise for the next.

        `reduces`: the order only makes a position smaller. `cancels`: it takes an order back, which is always allowed.
        `amount_eth`: its size, which a permit may limit. On asyncio an `await` before the send is time that passes.

        Raises:
            ValueError: the amount is not an exact amount.
        """
        if self._is_copy:
            return Decision(allowed=cancels, reason=Reason.CANCEL if cancels else Reason.NO_PERMIT, remaining_s=0.0)
        with self._guard():
            decision = self._session.may_send(self._clock(), reduces=reduces, cancels=cancels, amount_eth=amount_eth)
        return refusal(Reason.NO_PERMIT) if self._closed and decision.allowed and not cancels else decision

    def look(self) -> Decision:
        """What a send of no size would be told now, for code that watches over the executor from outside.

        Other than `may_send` it is no sign that the executor's own code runs: `beat` says that. A gate that is not
        `in_drills` leaves the holds of drills out of what there is to obey, and names them as `spared`.
        """
        if self._is_copy:
            return refusal(Reason.NO_PERMIT)
        with self._guard():
            decision = self._session.look(self._clock())
        return refusal(Reason.NO_PERMIT) if self._closed and decision.allowed else decision

    @property
    def _is_copy(self) -> bool:
        """Whether this is a forked copy of the process: its guard may be held by a thread that was not copied."""
        return os.getpid() != self._pid

    @property
    def permit(self) -> str | None:
        """The newest permit as it was signed, to be shown to a checker; None without one."""
        with self._guard():
            return self._session.permit

    def sent(self, order_id: str, *, wallet: str | None = None, nonce: int | None = None) -> None:
        """Note an order, just before it leaves: it counts as in flight until `settled` says what became of it.

        `wallet` is the executor's own unless given; `nonce` that of a transaction on a chain.

        Raises:
            ValueError: id or nonce is out of bounds.
        """
        with self._guard():
            self._session.sent(self._clock(), order_id, wallet, nonce)

    def settled(self, order_id: str, fate: str) -> None:
        """Note what became of an order: landed, replaced, cancelled or expired.

        Raises:
            ValueError: it is none of these.
        """
        with self._guard():
            self._session.settled(self._clock(), order_id, fate)
            self._stir()

    def report(
        self,
        *,
        position_eth: Decimal | None = None,
        open_orders: int | None = None,
        in_flight: int | None = None,
        last_order_seq: int | None = None,
        nonces: Mapping[str, int] | None = None,
    ) -> None:
        """Say what the executor is doing; it travels with the next renewal. What is left out stays as it was.

        `in_flight` and `last_order_seq` are for executors that do not tell of each order with `sent`. `nonces`: the
        last one of each wallet as its chain has it, told at the start, so that a halt can be verified before the first
        order.

        Raises:
            ValueError: a nonce or the number of wallets is out of bounds.
        """
        given = {
            "position_eth": None if position_eth is None else format(position_eth, "f"),
            "open_orders": open_orders,
            "in_flight": in_flight,
            "last_order_seq": last_order_seq,
            "nonces": nonces,
        }
        with self._guard():
            self._session.report(self._clock(), given)

    def confirm_halted(self, obeyed: Decision, *, paused: Mapping[str, int] | None = None) -> None:
        """State, signed and at once, that the executor obeys a decision's holds: it has stopped, or only reduces.

        The decision is named because a further freeze may have come since: that one is not obeyed yet. `paused`:
        contracts that were read back as paused, by address, and at which block; a second source looks at them too.
        """
        with self._guard():
            if self._session.confirm_halted(self._clock(), datetime.now(UTC), obeyed, paused):
                self._stir()

    def beat(self) -> None:
        """Say that the executor's own code is running, where it has nothing to ask."""
        with self._guard():
            self._session.beat(self._clock())

    @property
    def last_error(self) -> str | None:
        """Why there is no permit or the newest answer was of no use; None if nothing is wrong."""
        return self._session.last_error
