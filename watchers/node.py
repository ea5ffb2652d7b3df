"""What one node has shown of one chain, pure: questions out, answers in, what they prove out. Does no I/O.

Blocks are counted here, from those that were seen and made since watching began: a node that lags, stands still, goes
back or changes its chain shows nothing that could verify a halt. A fate is never guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from contract.observing import Fate
from watchers.wire import (
    Call,
    Head,
    MalformedError,
    Outcome,
    Sent,
    head,
    is_address,
    is_hash,
    paused_call,
    quantity,
    receipt,
    transaction,
    yes_or_no,
)

MAX_ID: Final = 2**63 - 1
"""Of a chain; larger ones are not in use."""
_CONTRACT: Final = "contract "
"""Before the address of a contract, which may be a wallet as well."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at on one chain."""

    wallets: tuple[str, ...] = ()
    """Addresses in lower case."""
    in_flight: tuple[str, ...] = ()
    """Hashes of transactions, spelled as their executors spell them."""
    contracts: tuple[str, ...] = ()
    """Addresses of what is said to be paused, in lower case."""

    @classmethod
    def of(cls, wallets: Sequence[str], in_flight: Sequence[str], contracts: Sequence[str] = ()) -> "Wanted":
        """Take what can be looked at on an EVM chain; names of other kinds are left out.

        Without a wallet there is nothing to look at: a fate is told only of a watched wallet's transaction.
        """
        addresses = _addresses(wallets)
        hashes = tuple(sorted({one for one in in_flight if is_hash(one)})) if addresses else ()
        return cls(addresses, hashes, _addresses(contracts))

    def __bool__(self) -> bool:
        return bool(self.wallets or self.contracts)


def _addresses(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({name.lower() for name in names if is_address(name)}))


@dataclass(frozen=True, slots=True)
class Rules:
    """How much is needed before something counts."""

    stale_after_s: int
    """A newest block that is older, or that much in the future, proves nothing."""
    depth: int
    """Blocks a transaction has to be in the chain, or missing from it, before its fate is told."""
    pool: bool = True
    """Whether the node can see transactions that wait."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One wallet or one contract at one block."""

    value: int
    pending: int | None
    blocks: int
    """Seen with this value and made since watching began; 0 where the look could verify nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look showed."""

    chain_id: int
    head: Head
    doubt: str = ""
    """Why it can verify nothing; empty if it can."""
    wallets: Mapping[str, Seen] = field(default_factory=dict)
    fates: Mapping[str, Fate] = field(default_factory=dict)
    contracts: Mapping[str, Seen] = field(default_factory=dict)
    """1 for one that is paused, 0 for one that is not."""


@dataclass(slots=True)
class _Streak:
    since: float
    value: int
    blocks: int = 0


class Node:
    """The memory of one node: the last block seen, and for how many each wallet has stood still."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._last: Head | None = None
        self._streaks: dict[str, _Streak] = {}
        self._sent: dict[str, Sent] = {}
        self._missing: dict[str, int] = {}

    @property
    def head(self) -> Head | None:
        """The newest block seen."""
        return self._last

    @staticmethod
    def opening() -> list[Call]:
        """Ask which chain it is and how far the node knows it."""
        return [Call("eth_chainId"), Call("eth_getBlockByNumber", ("latest", False))]

    @staticmethod
    def opened(answers: Sequence[Outcome]) -> tuple[int, Head]:
        """Read that.

        Raises:
            MalformedError: the node does not say.
        """
        return quantity(answers[0], limit=MAX_ID), head(answers[1])

    def questions(self, wanted: Wanted, newest: Head) -> list[Call]:
        """Ask about everything at that very block, so that no node behind the same address answers from another."""
        calls = [Call("eth_getBlockByNumber", (hex(self._last.number if self._last else newest.number), False))]
        for wallet in wanted.wallets:
            calls.append(Call("eth_getTransactionCount", (wallet, hex(newest.number))))
            if self._rules.pool:
                calls.append(Call("eth_getTransactionCount", (wallet, "pending")))
        calls += [paused_call(contract, newest) for contract in wanted.contracts]
        for ident in wanted.in_flight:
            calls += [Call("eth_getTransactionReceipt", (ident,)), Call("eth_getTransactionByHash", (ident,))]
        return calls

    def looked(self, wanted: Wanted, opened: tuple[int, Head], answers: Sequence[Outcome], *, now: float) -> Look:
        """Take in the answers to `questions`; `now` in Unix seconds."""
        chain_id, newest = opened
        rest = iter(answers)
        doubt = self._continuity(newest, next(rest)) or self._staleness(newest, now)
        if doubt:
            self._streaks.clear()
            self._missing.clear()
        is_new = self._last is None or newest.number > self._last.number
        wallets: dict[str, Seen] = {}
        for wallet in wanted.wallets:
            mined, waiting = next(rest), next(rest) if self._rules.pool else None
            self._see(wallets, wallet, mined, waiting, newest=newest, counts=is_new and not doubt, now=now)
        contracts: dict[str, Seen] = {}
        for contract in wanted.contracts:
            self._see_contract(contracts, contract, next(rest), newest=newest, counts=is_new and not doubt, now=now)
        fates: dict[str, Fate] = {}
        for ident in wanted.in_flight:
            found = self._fate(ident, next(rest), next(rest), wallets, newest, counts=is_new and not doubt)
            if found is not None and not doubt:
                fates[ident] = found
        self._forget(wanted)
        self._last = newest
        return Look(chain_id, newest, doubt, wallets, fates, contracts)

    def _continuity(self, newest: Head, earlier: Outcome) -> str:
        """Why the chain is not the one of the last look; empty if it is."""
        last = self._last
        if last is None:
            return ""
        if newest.number < last.number:
            return f"went back from block {last.number:,} to {newest.number:,}"
        try:
            same = head(earlier).hash == last.hash and (newest.number > last.number or newest.hash == last.hash)
        except MalformedError:
            same = False
        return "" if same else f"block {last.number:,} is no longer the one that was seen"

    def _staleness(self, newest: Head, now: float) -> str:
        age = int(now) - newest.at
        if age > self._rules.stale_after_s:
            return f"the newest block is {age:,} s old"
        return f"the newest block is {-age:,} s in the future" if -age > self._rules.stale_after_s else ""

    def _see(
        self,
        into: dict[str, Seen],
        wallet: str,
        mined: Outcome,
        waiting: Outcome,
        *,
        newest: Head,
        counts: bool,
        now: float,
    ) -> None:
        try:
            value = quantity(mined)
        except MalformedError:
            self._streaks.pop(wallet, None)  # nobody knows what it was at this block
            return
        streak = self._stands(wallet, value, newest=newest, counts=counts, now=now)
        try:
            pending = quantity(waiting) if self._rules.pool else None
        except MalformedError:
            into[wallet] = Seen(value, None, 0)
            return
        into[wallet] = Seen(value, pending, streak.blocks)

    def _see_contract(
        self, into: dict[str, Seen], contract: str, answer: Outcome, *, newest: Head, counts: bool, now: float
    ) -> None:
        mark = f"{_CONTRACT}{contract}"
        try:
            value = int(yes_or_no(answer))
        except MalformedError:
            self._streaks.pop(mark, None)
            return
        into[contract] = Seen(value, None, self._stands(mark, value, newest=newest, counts=counts, now=now).blocks)

    def _stands(self, mark: str, value: int, *, newest: Head, counts: bool, now: float) -> _Streak:
        """For how many blocks it has been so."""
        streak = self._streaks.get(mark)
        if streak is None or streak.value != value:
            streak = self._streaks[mark] = _Streak(streak.since if streak else now, value)
        elif counts and newest.at >= streak.since:
            streak.blocks += 1
        return streak

    def _fate(
        self,
        ident: str,
        included: Outcome,
        known: Outcome,
        wallets: Mapping[str, Seen],
        newest: Head,
        *,
        counts: bool,
    ) -> Fate | None:
        try:
            landed, sent = receipt(included, ident), transaction(known, ident)
        except MalformedError:
            self._missing.pop(ident, None)
            return None
        if sent is not None and sent.sender in wallets:
            self._sent[ident] = sent
        if landed is not None:
            self._missing.pop(ident, None)
            deep = newest.number - landed.block + 1 >= self._rules.depth
            return Fate.LANDED if deep and landed.sender in wallets else None
        before = self._sent.get(ident)
        wallet = wallets.get(before.sender) if before else None
        if sent is not None or before is None or wallet is None or wallet.value <= before.nonce:
            self._missing.pop(ident, None)
            return None
        self._missing[ident] = self._missing.get(ident, 0) + int(counts)
        return Fate.REPLACED if self._missing[ident] >= self._rules.depth else None

    def _forget(self, wanted: Wanted) -> None:
        marks = {*wanted.wallets, *(f"{_CONTRACT}{contract}" for contract in wanted.contracts)}
        for mark in set(self._streaks) - marks:
            del self._streaks[mark]
        for ident in set(self._sent) - set(wanted.in_flight):
            self._sent.pop(ident)
            self._missing.pop(ident, None)
