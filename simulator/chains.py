"""All simulated chains of a floor: one lock, one clock, one file. What bots send and what nodes answer meets here.

Must take nothing but transactions in: no chain hears of permits or freezes.
"""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from simulator.chain import SimulatedChain
from simulator.fleet import Spec
from simulator.kept import Keeper
from simulator.node import answer


class Chains:
    """The chains on which these executors trade. Safe to use from several threads."""

    def __init__(
        self, specs: Iterable[Spec], *, kept_in: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Go on with the chains that are kept in a file, or begin new ones.

        Raises:
            OSError: the file cannot be read or written.
        """
        specs = tuple(specs)
        self._clock = clock
        self._lock = threading.Lock()
        self._keeper = Keeper(kept_in)
        self._genesis = self._keeper.genesis(f"{clock():.6f}")
        self._chains = {spec.chain.name: SimulatedChain(spec.chain, self._genesis) for spec in specs}
        self._keeper.recall(self._chains.values())
        for spec in specs:
            self._chains[spec.chain.name].open_wallet(spec.wallet)
        self._keeper.begin(self._genesis, self._chains.values())

    def names(self) -> frozenset[str]:
        """Return which chains there are."""
        return frozenset(self._chains)

    def next_nonce(self, spec: Spec) -> int:
        """Return the nonce of an executor's next transaction."""
        with self._lock:
            return self._chains[spec.chain.name].next_nonce(spec.wallet)

    def send(self, spec: Spec, ident: str, nonce: int, *, succeeds: bool) -> None:
        """Send an executor's transaction.

        Raises:
            NonceError: the nonce is not its wallet's next one.
        """
        with self._lock:
            sent = self._chains[spec.chain.name].send(ident, spec.wallet, nonce, self._clock(), succeeds=succeeds)
            if self._keeper.keep(spec.chain.name, sent):
                self._keeper.begin(self._genesis, self._chains.values())

    def has_landed(self, spec: Spec, ident: str) -> bool:
        """Whether a transaction is in a block."""
        with self._lock:
            return self._chains[spec.chain.name].has_landed(ident, self._clock())

    def ask(self, name: str, raw: bytes) -> bytes:
        """Answer a request to a node of one of the chains."""
        with self._lock:
            return answer(raw, self._chains[name], self._clock())

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._keeper.close()
