"""Reporting trades to the backend over the public API. Keeps what could not be delivered, up to a bound."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from simulator.fleet import CHAINS
from simulator.trader import Trade

log = logging.getLogger(__name__)
SOURCE = "simulator"
POST_EVERY_S = 1.0
MAX_ROWS_PER_BATCH = 500
MAX_ROWS_WAITING = 20_000
"""Without a backend there is no permit, so hardly anything gathers; this bounds the rest."""
TIMEOUT_S = 5.0
_WORTH_ANOTHER_TRY = frozenset({401, 403, 408, 425, 429})
"""Refusals that end by themselves: a token not yet made known, a backend under load."""


def row(trade: Trade, sent_at: datetime) -> dict[str, Any]:
    """One trade as the API takes it; only here does a clock touch it."""
    chain = CHAINS[trade.chain]
    amounts = {
        "profit_eth": trade.profit_eth,
        "gas_cost_eth": trade.gas_cost_eth,
        "paid_to_builder_eth": trade.paid_to_builder_eth,
        "profit_usd": (trade.profit_eth * trade.eth_usd).quantize(trade.eth_usd),
        "gas_cost_usd": trade.gas_cost_eth * trade.eth_usd,
        "volume_usd": trade.volume_usd,
        "eth_usd": trade.eth_usd,
    }
    return {
        "chain": trade.chain,
        "chain_id": trade.chain_id,
        "tx_hash": trade.tx_hash,
        "block_time": sent_at.astimezone(UTC).isoformat(),
        "block_number": chain.first_block + int(sent_at.timestamp() / chain.block_s),
        "source": SOURCE,
        "wallet": trade.wallet,
        "to_address": trade.to_address,
        "strategy": trade.strategy,
        "label": trade.label,
        "executor": trade.executor,
        "status": trade.status,
        **{name: None if amount is None else format(amount, "f") for name, amount in amounts.items()},
    }


class Poster:
    """Delivers rows in the background, in order, each batch until it is taken or refused for good."""

    def __init__(self, url: str, token: str, stop: threading.Event, *, post_every_s: float = POST_EVERY_S) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S, trust_env=False
        )
        self._stop = stop
        self._post_every_s = post_every_s
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MAX_ROWS_WAITING)
        self._complaint = ""

    def start(self) -> None:
        """Begin delivering."""
        threading.Thread(target=self._deliver_forever, name="poster", daemon=True).start()

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Queue rows for the next batch."""
        self._waiting.extend(rows)

    def deliver(self, rows: Sequence[dict[str, Any]]) -> tuple[int, bool] | None:
        """Post one batch until it is taken; returns how many rows were new and whether it took several tries.

        None if the backend will never take it, or the simulator is to stop.
        """
        tries = 0
        while not self._stop.is_set():
            tries += 1
            try:
                answer = self._client.post("/v1/transactions", json={"transactions": list(rows)})
            except httpx.TransportError as error:
                self._complain(f"the backend does not answer: {type(error).__name__}")
            else:
                if answer.status_code < 300:  # noqa: PLR2004  taken
                    self._complain("")
                    return int(answer.json()["imported"]), tries > 1
                self._complain(f"the backend answers {answer.status_code}: {answer.text[:200]}")
                if answer.status_code < 500 and answer.status_code not in _WORTH_ANOTHER_TRY:  # noqa: PLR2004  our fault
                    return None
            self._stop.wait(self._post_every_s)
        return None

    def _deliver_forever(self) -> None:
        while not self._stop.wait(self._post_every_s):
            while self._waiting and not self._stop.is_set():
                count = min(len(self._waiting), MAX_ROWS_PER_BATCH)
                self.deliver([self._waiting.popleft() for _ in range(count)])

    def _complain(self, text: str) -> None:
        if text and text != self._complaint:
            log.warning("%s", text)
        self._complaint = text
