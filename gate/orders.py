"""What an executor has sent and what became of it: the facts of an acknowledgement. Pure; sends nothing itself."""

import json
from collections import OrderedDict
from collections.abc import Collection
from enum import StrEnum
from typing import Any

MAX_ID_CHARS = 200
"""A transaction hash has 66, a bundle's id 36."""
MAX_WALLET_CHARS = 100
MAX_NONCE = 2**63 - 1
MAX_WALLETS = 50
"""With more, an acknowledgement would not fit; an executor that signs for more wallets is several executors."""
MAX_LISTED_IDS = 200
"""In-flight ids that an acknowledgement names; it counts all."""
MAX_LISTED_BYTES = 24_000
"""Of these ids, so that a statement with all its wallets stays short enough to be read."""
MAX_FATES = 50
"""Fates that travel with one renewal."""
MAX_KEPT_FATES = 10_000
"""Fates kept while no backend answers; the oldest go first."""


class Fate(StrEnum):
    """What became of an order that was in flight."""

    LANDED = "landed"
    REPLACED = "replaced"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Orders:
    """The orders of one process: how many were sent, the last nonce of each wallet, which have no fate yet."""

    def __init__(self) -> None:
        self.last_seq = 0
        self.counts = False
        """Whether the executor tells of each order, so that the ids here are all there are."""
        self._nonces: dict[str, int] = {}
        self._in_flight: OrderedDict[str, None] = OrderedDict()
        self._acknowledged: set[str] = set()
        self._fates: OrderedDict[str, Fate] = OrderedDict()
        self._carried: dict[int, tuple[tuple[str, Fate], ...]] = {}

    @property
    def in_flight(self) -> int:
        """How many orders have no fate yet."""
        return len(self._in_flight)

    def sent(self, order_id: str, wallet: str, nonce: int | None) -> None:
        """Note an order that is about to leave.

        Raises:
            ValueError: the id, the nonce or the number of wallets is out of bounds; the order is counted all the same.
        """
        self.counts = True
        self.last_seq += 1
        self._in_flight[_checked(order_id)] = None
        if nonce is not None:
            self.used(wallet, nonce)

    def used(self, wallet: str, nonce: int) -> None:
        """Note a nonce that a wallet has used, here or before this process began; the highest counts.

        Raises:
            ValueError: the nonce or the number of wallets is out of bounds.
        """
        if type(nonce) is not int or not 0 <= nonce <= MAX_NONCE:
            raise ValueError(f"{nonce!r} is not a nonce")
        wallet = wallet.lower()
        if not 0 < len(wallet) <= MAX_WALLET_CHARS or not wallet.isprintable():
            raise ValueError(f"a wallet is printable text of 1 to {MAX_WALLET_CHARS} characters")
        if wallet not in self._nonces and len(self._nonces) >= MAX_WALLETS:
            raise ValueError(f"more than {MAX_WALLETS} wallets")
        self._nonces[wallet] = max(nonce, self._nonces.get(wallet, nonce))

    def settled(self, order_id: str, fate: Fate) -> None:
        """Note what became of an order. The backend is told of those that an acknowledgement may have named.

        An id never sent here counts as well: it may be one that an earlier process of this executor left in flight.

        Raises:
            ValueError: the id is out of bounds.
        """
        own = _checked(order_id) in self._in_flight
        self._in_flight.pop(order_id, None)
        if not own or order_id in self._acknowledged:
            self._acknowledged.discard(order_id)
            self._fates[order_id] = fate
            while len(self._fates) > MAX_KEPT_FATES:
                self._fates.popitem(last=False)

    def acknowledged(self) -> dict[str, Any]:
        """Return what an acknowledgement says of the orders; from now on the fates of those in flight are told."""
        self._acknowledged = set(self._in_flight)
        return {
            "last_order_seq": self.last_seq,
            "nonces": dict(self._nonces),
            "in_flight": _that_fit(self._in_flight),
            "in_flight_count": len(self._in_flight),
        }

    def fates_for(self, request_no: int) -> list[dict[str, str]]:
        """Return the fates that travel with a request; they do so again until one of these requests is confirmed."""
        some = tuple(self._fates.items())[:MAX_FATES]
        self._carried = {no: fates for no, fates in self._carried.items() if no > request_no - MAX_FATES}
        if some:
            self._carried[request_no] = some
        return [{"id": order_id, "fate": fate.value} for order_id, fate in some]

    def fates_taken(self, request_no: int) -> None:
        """The backend has written down the fates that travelled with this request."""
        for order_id, fate in self._carried.pop(request_no, ()):
            if self._fates.get(order_id) is fate:
                del self._fates[order_id]


def _checked(order_id: str) -> str:
    if not isinstance(order_id, str) or not 0 < len(order_id) <= MAX_ID_CHARS or not order_id.isprintable():
        raise ValueError(f"an order's id is printable text of 1 to {MAX_ID_CHARS} characters")
    return order_id


def _that_fit(ids: Collection[str]) -> list[str]:
    listed: list[str] = []
    used = 0
    for order_id in ids:
        used += len(json.dumps(order_id)) + 1
        if used > MAX_LISTED_BYTES or len(listed) == MAX_LISTED_IDS:
            break
        listed.append(order_id)
    return listed
