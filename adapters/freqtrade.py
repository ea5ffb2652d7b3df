"""Stops a freqtrade bot through its own REST interface. Sends nothing to a venue; keeps the bot's password off logs."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from adapters.freqtrade_book import (
    PAUSED,
    RUNNING,
    STOPPED,
    Book,
    MalformedError,
    Picture,
    read_orders,
    read_state,
    read_worker,
)
from adapters.http import AnswerError, Requester, checked_url
from adapters.loop import Resume, Standing, Stop, Wanted
from adapters.running import Seen, Told
from gate import Mode

DESCRIPTION: Final = """\
Stops a freqtrade bot through its REST interface: /stop, and at once a lock on all pairs, which ends a round of entries
that is under way and outlives a restart; under reduce-only /stopentry and the lock. It confirms a halt when freqtrade's
state is stopped, its worker has itself written to its log that it changed to STOPPED, and no new order has appeared
among its trades for two cycles; under cancel-all also when none of its orders is open any more, for which the bot is
paused for at most ten seconds, because freqtrade cancels nothing while it is stopped; it may send exits meanwhile. It
can not bound what freqtrade sends: no permit is asked for before an order, an exit whose cycle has begun is still sent,
and orders that come and go between two looks are not seen. What it says of orders is what freqtrade knows of them; only
a second source at the venue can say more. When freqtrade does not answer, nothing is confirmed."""
REQUEST_TIMEOUT_S: Final = 5.0
ORDERS_TIMEOUT_S: Final = 20.0
"""Freqtrade asks its venue for a price of each open trade before it lists them."""
LOCK_LIFE: Final = timedelta(days=30)
"""Set whenever it is told; so long a freqtrade that restarts enters nothing, whether this adapter runs or not."""
LOCK_REASON: Final = "held by watchfloor"
ALL_PAIRS: Final = "*"
CANCEL_LIMIT_S: Final = 10.0
"""Once and long rather than often and shortly: each time its worker notices the pause, it begins a cycle with exits."""
NOTHING_LEFT: Final = "no active trade"
"""What it answers when the trade has vanished together with its only order, which it has just cancelled."""
CLOSED_TRADES: Final = 50
"""Looked at among those closed last, for orders that were sent since the look before."""


class Freqtrade:
    """One bot, at the address of its interface."""

    name = "freqtrade"
    sees_orders = True

    def __init__(
        self,
        url: str,
        login: tuple[str, str],
        *,
        cycle_s: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`cycle_s`: freqtrade's `internals.process_throttle_secs`.

        Raises:
            ValueError: the address is none, or would carry the password in the clear.
        """
        self._url = f"{checked_url(url)}/api/v1"
        self._login = login
        self._clock = clock
        self._now = now
        self._requests = Requester(REQUEST_TIMEOUT_S)
        self._book = Book(cycle_s, quiet_since=clock())

    def close(self) -> None:
        """Hang up."""
        self._requests.close()

    def stop(self, step: Stop, wanted: Wanted) -> Told:  # noqa: ARG002  freqtrade need not know by which holds
        """Tell it to stop, or to enter nothing; and lock all pairs, whatever came of that."""
        ran: bool | None = None
        try:
            state = read_state(self._ask("GET", "/show_config"))
            ran, told_ms = state == RUNNING, int(self._now().timestamp() * 1000)
            if step.mode is not Mode.REDUCE_ONLY:
                self._ask("POST", "/stop")
            elif state not in {PAUSED, STOPPED}:  # told to pause, one that is stopped would start
                self._ask("POST", "/stopentry")
            if state != STOPPED:
                self._book.told(self._clock(), told_ms)
            self._lock()
        except (AnswerError, MalformedError) as error:
            return Told(done=False, note=str(error), ran=ran)
        return Told(done=True, note=f"it was {state}", ran=ran)

    def look(self, mode: Mode | None) -> Seen:
        """Read its state, its worker's own words and its orders."""
        try:
            picture = self._picture()
        except (AnswerError, MalformedError) as error:
            return Seen(Standing.UNKNOWN, str(error))
        news = self._book.take(picture.orders, self._clock(), free=mode is None)
        standing, note = self._book.standing(picture, mode, self._clock())
        return Seen(standing, note, news)

    def cancel(self) -> Told:
        """Take back its open orders. It is paused meanwhile, for no longer than a limit, then stopped again."""
        end = self._clock() + CANCEL_LIMIT_S
        done, errors = 0, []
        try:
            self._ask("POST", "/pause")
            for trade_id in self._book.open_trades:
                if self._clock() > end:
                    break
                try:
                    self._ask("DELETE", f"/trades/{trade_id}/open-order")
                except AnswerError as error:
                    if NOTHING_LEFT not in str(error):
                        errors.append(f"trade {trade_id}: {error}")
                        continue
                self._book.took_back(trade_id)
                done += 1
        except AnswerError as error:
            errors.append(str(error))
        finally:
            stopped = self._stopped_again()
        note = f"orders of {done:,} trades taken back" + "".join(f"; {error}" for error in errors)
        return Told(done=stopped and not errors, note=note)

    def resume(self, step: Resume) -> Told:
        """Take the lock away; start it if this adapter had stopped it."""
        try:
            locks = self._ask("GET", "/locks")["locks"]
            ours = [one["id"] for one in locks if one["reason"] == LOCK_REASON and one["pair"] == ALL_PAIRS]
            for number in ours:
                self._ask("DELETE", f"/locks/{int(number)}")
            if step.start:
                self._ask("POST", "/start")
        except (AnswerError, KeyError, TypeError, ValueError) as error:
            return Told(done=False, note=f"{type(error).__name__}: {error}")
        return Told(done=True, note=f"{len(ours)} locks taken away" + ("; started" if step.start else ""))

    def _stopped_again(self) -> bool:
        for _ in range(3):
            with suppress(AnswerError):
                self._ask("POST", "/stop")
                return True
        return False

    def _lock(self) -> None:
        until = (self._now() + LOCK_LIFE).isoformat()
        lock = {"pair": ALL_PAIRS, "side": "*", "until": until, "reason": LOCK_REASON}
        self._ask("POST", "/locks", [lock])

    def _picture(self) -> Picture:
        worker = read_worker(self._ask("GET", "/logs"))  # first of all: what it sends before it says so is seen below
        still_open = read_orders(self._ask("GET", "/status", timeout_s=ORDERS_TIMEOUT_S))
        closed = self._ask("GET", f"/trades?limit={CLOSED_TRADES}&order_by_id=false")
        if not isinstance(closed, dict):
            raise MalformedError("not a list of trades")
        orders = (*still_open, *read_orders(closed.get("trades")))
        return Picture(read_state(self._ask("GET", "/show_config")), worker, orders)

    def _ask(self, method: str, path: str, body: Any = None, *, timeout_s: float | None = None) -> Any:
        raw = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        answer = self._requests.ask(
            method, self._url + path, headers=headers, body=raw, auth=self._login, timeout_s=timeout_s
        )
        return answer.json()
