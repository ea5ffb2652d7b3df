"""One simulated chain: blocks that come with the time, wallets with nonces, transactions that land. Pure.

Must know nothing of freezes, permits or the backend: what it shows of a wallet is what was sent, whoever sent it.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from simulator.fleet import Chain, digest

LANDS_AFTER_S = 1.0
"""What a transaction waits at least, so that a halt finds some of them in flight."""
KEPT_BLOCKS = 1_024
"""For which the state of a wallet is known, like a node that keeps no archive."""
KEPT_TRANSACTIONS = 4_096
MOST_SENT_BEFORE = 4_096
"""By a wallet before this chain began, at most; at least one, so that its last nonce can be told."""


class NonceError(ValueError):
    """A transaction whose nonce is not the wallet's next one."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction; in a block as soon as the chain is that high, in the pool before."""

    hash: str
    sender: str
    """In lower case."""
    nonce: int
    succeeded: bool
    block: int


@dataclass(slots=True)
class _Wallet:
    base: int
    """Transactions in blocks older than all of `blocks`."""
    blocks: list[int] = field(default_factory=list)
    """Of the transactions since, ascending, one entry each."""


class SimulatedChain:
    """What the nodes of one chain know. Every `now` is in Unix seconds; the chain never goes back."""

    def __init__(self, chain: Chain, genesis: str) -> None:
        self.chain = chain
        self._genesis = genesis
        self._height = 0
        self._wallets: dict[str, _Wallet] = {}
        self._transactions: OrderedDict[str, Transaction] = OrderedDict()

    def height(self, now: float) -> int:
        """Return the number of the newest block."""
        self._height = max(self._height, self.chain.first_block + int(now / self.chain.block_s))
        return self._height

    def block_hash(self, number: int) -> str:
        """Return the hash of a block."""
        return "0x" + digest(self._genesis, self.chain.name, "block", number)

    def block_at(self, number: int) -> int:
        """Return when a block was made, in Unix seconds."""
        return int((number - self.chain.first_block) * self.chain.block_s)

    def open_wallet(self, address: str) -> None:
        """Have a wallet on this chain, with transactions of before unless it is known already."""
        before = 1 + int(digest(self._genesis, self.chain.name, address.lower(), "before")[:8], 16) % MOST_SENT_BEFORE
        self._wallets.setdefault(address.lower(), _Wallet(before))

    def next_nonce(self, address: str) -> int:
        """Return how many transactions a wallet has, with those that wait: the nonce of its next one."""
        wallet = self._wallets.get(address.lower())
        return wallet.base + len(wallet.blocks) if wallet else 0

    def count_at(self, address: str, block: int) -> int:
        """Return how many transactions a wallet had in a block and before it."""
        wallet = self._wallets.get(address.lower())
        return wallet.base + bisect_right(wallet.blocks, block) if wallet else 0

    def send(self, ident: str, address: str, nonce: int, now: float, *, succeeds: bool = True) -> Transaction:
        """Take a transaction into the pool; it lands within a block or a few.

        Raises:
            NonceError: the nonce is not the wallet's next one.
        """
        expected = self.next_nonce(address)
        if address.lower() not in self._wallets or nonce != expected:
            raise NonceError(f"nonce {nonce:,} where {expected:,} is next")
        lands = max(self.height(now), self.chain.first_block + int((now + LANDS_AFTER_S) / self.chain.block_s)) + 1
        lands = max([lands, *self._wallets[address.lower()].blocks[-1:]])  # in the order of their nonces
        made = Transaction(ident, address.lower(), nonce, succeeds, lands)
        self.take(made)
        self._forget(address.lower())
        return made

    def take(self, known: Transaction) -> None:
        """Know a transaction, newly sent or remembered. A gap before a remembered one counts as landed."""
        wallet = self._wallets.setdefault(known.sender, _Wallet(known.nonce))
        missing = known.nonce - wallet.base - len(wallet.blocks)
        wallet.blocks += [known.block] * (missing + 1)
        self._transactions[known.hash] = known
        while len(self._transactions) > KEPT_TRANSACTIONS:
            self._transactions.popitem(last=False)

    def start_wallet(self, address: str, count: int) -> None:
        """Remember that a wallet had so many transactions."""
        self._wallets[address.lower()] = _Wallet(count)

    def transaction(self, ident: str) -> Transaction | None:
        """Return a transaction, in a block or in the pool; None if it is unknown."""
        return self._transactions.get(ident)

    def has_landed(self, ident: str, now: float) -> bool:
        """Whether a transaction is in a block."""
        found = self._transactions.get(ident)
        return found is not None and found.block <= self.height(now)

    def remembered(self) -> Iterator[tuple[str, int, list[Transaction]]]:
        """Return each wallet with its count before the transactions that are still known, and these."""
        for address, wallet in self._wallets.items():
            known = [one for one in self._transactions.values() if one.sender == address]
            yield address, known[0].nonce if known else wallet.base + len(wallet.blocks), known

    def _forget(self, address: str) -> None:
        wallet = self._wallets[address]
        old = bisect_right(wallet.blocks, self._height - KEPT_BLOCKS)
        wallet.base += old
        del wallet.blocks[:old]
