"""What a choke point lets pass: permits no older than the newest freeze over their place. Pure; opens no connection.

A hold is not what is checked here but its epoch: a permit that was made after a freeze says itself what the freeze
leaves to do, and one that was made before is worthless from the moment the fence hears of the freeze.
"""

from collections import OrderedDict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gate.permits import MAX_TTL_S, Decision, Identity, Mode, Permit, Reason, kept_by, too_large, whole

DEFAULT_MAX_AGE_S = 2.0
"""A permit's life: a fence that has heard nothing for longer must assume a freeze."""
MAX_SCOPES = 10_000
"""Scopes whose newest freeze is remembered one by one; beyond that the fence is closed to everything older."""
MAX_PROCESSES = 10_000
MAX_OPEN_QUESTIONS = 64
_NEVER = float("-inf")


class Fence:
    """The newest freeze over each scope, and since when that is known. Times are monotonic seconds."""

    def __init__(self, max_age_s: float = DEFAULT_MAX_AGE_S) -> None:
        self._max_age_s = min(max_age_s, MAX_TTL_S)
        self._asked_at: OrderedDict[str, float] = OrderedDict()
        self._fresh_until = _NEVER
        self._floors: dict[str, int] = {}
        self._floor_of_all = 0
        self._used: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self.epoch = 0
        """The highest epoch heard of."""

    def asked(self, now: float, nonce: str) -> None:
        """Note that the backend is about to be asked how things stand."""
        self._asked_at[nonce] = now
        while len(self._asked_at) > MAX_OPEN_QUESTIONS:
            self._asked_at.popitem(last=False)

    def told(self, payload: Mapping[str, Any]) -> bool:
        """Take a verified state in; True if it answers a question, and so is fresh from when that was sent.

        A state that nobody asked for, or an old one that comes again, can only close the fence further.

        Raises:
            ValueError: it is not a state.
        """
        try:
            epoch = whole(payload["epoch"])
            floors = [(_text(each["scope"]), whole(each["epoch"])) for each in (*payload["holds"], *payload["lifted"])]
            nonce = payload["nonce"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a state: {error!r}") from error
        for scope, newest in floors:
            self._raise(scope, newest)
        asked_at = self._asked_at.pop(nonce, None) if isinstance(nonce, str) else None
        if epoch < self.epoch or asked_at is None:
            self.epoch = max(self.epoch, epoch)
            return False
        self.epoch = epoch
        self._fresh_until = max(self._fresh_until, asked_at + self._max_age_s)
        return True

    def _raise(self, scope: str, epoch: int) -> None:
        if scope in self._floors or len(self._floors) < MAX_SCOPES:
            self._floors[scope] = max(epoch, self._floors.get(scope, 0))
        else:
            self._floor_of_all = max(epoch, self._floor_of_all)

    def floor(self, place: Identity) -> int:
        """Return the newest freeze that was ever heard of over a place."""
        over = (epoch for scope, epoch in self._floors.items() if covers(scope, place))
        return max(self._floor_of_all, *over, 0) if self._floors else self._floor_of_all

    def judge(
        self,
        now: float,
        permit: Permit | None,
        *,
        reduces: bool = False,
        cancels: bool = False,
        amount_eth: Decimal | None = None,
        executor: str | None = None,
        wallet: str | None = None,
    ) -> Decision:
        """Whether a send under this permit (already verified; None: it is none) may pass. Cancels always may.

        `executor` and `wallet`: whose send it is, where the choke point knows.
        """
        remaining = max(0.0, self._fresh_until - now)
        reason = Reason.CANCEL
        if not cancels:
            reason = self._reason(now, permit, remaining, executor=executor, wallet=wallet)
            if reason is Reason.PERMIT and permit is not None:
                reason = _under(permit, reduces=reduces, amount_eth=amount_eth)
        return Decision(
            allowed=reason in {Reason.CANCEL, Reason.PERMIT, Reason.REDUCES},
            reason=reason,
            remaining_s=remaining,
            holds=() if permit is None else tuple(hold.ref for hold in permit.holds),
            held_epoch=0 if permit is None else permit.held_epoch,
            cancel_resting=permit is not None and permit.mode is Mode.CANCEL_ALL,
            mode=None if permit is None else permit.mode,
        )

    def _reason(
        self, now: float, permit: Permit | None, remaining: float, *, executor: str | None, wallet: str | None
    ) -> Reason:
        if remaining <= 0:
            return Reason.UNINFORMED
        if permit is None:
            return Reason.NOT_A_PERMIT
        holder = permit.holder
        if executor is not None and executor != holder.executor:
            return Reason.OTHER_PLACE
        if wallet is not None and wallet.casefold() != holder.wallet.casefold():
            return Reason.OTHER_PLACE
        if permit.epoch < self.floor(holder):
            return Reason.OUTDATED
        return Reason.PERMIT if self._is_young(now, permit) else Reason.EXPIRED

    def _is_young(self, now: float, permit: Permit) -> bool:
        """Whether less than a permit's life has passed since this process first showed this permit, or a newer one.

        Nobody but the executor knows when it asked; this ends permits that are shown again and again, no others.
        """
        process = (permit.holder.executor, permit.holder.boot_id)
        number, until = self._used.get(process, (-1, _NEVER))
        if permit.request_no > number:
            number, until = permit.request_no, now + permit.ttl_s
        self._used[process] = (number, until)
        self._used.move_to_end(process)
        while len(self._used) > MAX_PROCESSES:
            self._used.popitem(last=False)
        return now < until


def _under(permit: Permit, *, reduces: bool, amount_eth: Decimal | None) -> Reason:
    return (
        kept_by(permit.mode, reduces=reduces)
        or too_large(permit.max_trade_eth, amount_eth)
        or (Reason.PERMIT if permit.mode is None else Reason.REDUCES)
    )


def covers(scope: str, place: Identity) -> bool:
    """Whether a printed scope covers a place. One that is not understood covers everything."""
    if _term_covers(scope, place):
        return True
    terms = scope.split("+")
    return len(terms) > 1 and all(_term_covers(term, place) for term in terms)


def _term_covers(term: str, place: Identity) -> bool:
    kind, _, name = term.partition(":")
    mine = {
        "chain": place.chain,
        "strategy": place.strategy,
        "wallet": place.wallet,
        "executor": place.executor,
    }.get(kind)
    return mine is None or mine.casefold() == name.casefold()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value
