"""What is known of one executor under one hold, pure: stored statements in, one of seven words out. Does no I/O.

Never derived from the freeze having been ordered: every word beyond REQUESTED rests on what the executor said and
signed, on what another party observed, or on every permit that could have been given being dead.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contract.observing import Fate, Looked
from contract.states import FreezeMode, HaltState


@dataclass(frozen=True, slots=True)
class Statement:
    """What an executor signed when it halted. Times are the database's, when it arrived."""

    arrived_at: datetime
    last_order_seq: int
    nonces: Mapping[str, int] = field(default_factory=dict)
    """The last nonce each wallet has used, by address in lower case."""
    in_flight: Sequence[str] = ()
    in_flight_count: int | None = 0
    """As many as were under way; more than are named when the list was cut. None: who signed does not see them."""
    open_orders: int | None = None
    paused: Mapping[str, int] = field(default_factory=dict)
    """Contracts read back as paused, by address in lower case; at which block."""
    signed: bool = True
    """False for a process without a key, which can only say so."""

    @property
    def how(self) -> str:
        """By what it is known, in a word."""
        return "signed" if self.signed else "said, unsigned"


@dataclass(frozen=True, slots=True)
class Observation:
    """What a second source saw last of one thing."""

    source: str
    looked_at: Looked
    subject: str
    """A wallet or a contract in lower case, or the executor."""
    value: int
    """Transactions on the chain, orders at the venue, or 1 for a contract that is paused and 0 for one that is not."""
    pending: int | None
    """Transactions on the chain and in the pool together; None where the source cannot see a pool."""
    unchanged_blocks: int | None
    """For how many blocks the value has been the same; None where nothing counts blocks."""
    at: datetime
    ceiling: int | None = None
    """The most used or pending at this source's first look after every permit was dead; None before such a look."""
    block: int | None = None
    """At which it was seen; None where nothing counts blocks."""

    @property
    def used(self) -> int:
        """Transactions that are on the chain or on their way there."""
        return max(self.value, self.pending or 0)


@dataclass(frozen=True, slots=True)
class Known:
    """Everything stored about one executor under one hold."""

    mode: FreezeMode
    frozen_at: datetime
    now: datetime
    permits_dead_at: datetime
    """From then on no permit is alive that was given from a state without the hold."""
    told: bool = False
    """Whether it has named the hold's epoch."""
    statement: Statement | None = None
    reported_order_seq: int = 0
    """Its newest report."""
    reported_open_orders: int | None = None
    reported_in_flight: int | None = None
    fates: Mapping[str, Fate] = field(default_factory=dict)
    observations: Sequence[Observation] = ()
    """The newest of each source and subject."""
    bounded: bool = True
    """Whether what trades asks before each send: a dead permit stops nothing else."""
    exercised: bool = True
    """False under a drill's hold that it leaves alone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, and the sentence that says by what."""

    state: HaltState
    proof: str
    open_ids: tuple[str, ...] = ()
    """What is still under way."""


def judge(known: Known, *, verify_blocks: int) -> Verdict:
    """The state of one executor under one hold; `verify_blocks` is how long a nonce has to stand still."""
    said = known.statement
    beyond = violations(known)
    if beyond:
        return Verdict(HaltState.VIOLATION, beyond[0], _open(known, said) if said else ())
    if said is None:
        return _without_statement(known)
    unsettled = _unsettled(known, said)
    if unsettled is not None:
        return unsettled
    resting = known.reported_open_orders if known.reported_open_orders is not None else said.open_orders
    if known.mode is FreezeMode.CANCEL_ALL and resting != 0:
        left = "an unknown number of" if resting is None else f"{resting:,}"
        return Verdict(HaltState.ACKED, f"{said.how} at #{said.last_order_seq:,}, {left} orders rest")
    seen = _agreeing(known, said, verify_blocks)
    if seen is None:
        return Verdict(HaltState.QUIESCED, f"{said.how}; no second source yet")
    return Verdict(HaltState.VERIFIED, seen)


def _unsettled(known: Known, said: Statement) -> Verdict | None:
    unresolved = _open(known, said)
    if said.in_flight_count is None:
        why = "signed by who sees none of its orders: what is in flight is unknown"
        return Verdict(HaltState.ACKED, why, unresolved)
    unnamed = max(0, said.in_flight_count - len(said.in_flight))
    if not unresolved and not unnamed:
        return None
    count = len(unresolved) + unnamed
    return Verdict(HaltState.ACKED, f"{said.how} at #{said.last_order_seq:,}, {count:,} in flight", unresolved)


def violations(known: Known) -> list[str]:
    """What went beyond the acknowledgement, or beyond the end of every permit where there is none, in plain words.

    Only under a hold that stops: one that lets positions shrink lets orders be sent.
    """
    if not known.mode.stops or (known.statement is None and not known.exercised):
        return []
    said, found = known.statement, _lifted(known)
    if said is not None and known.reported_order_seq > said.last_order_seq:
        found.append(f"order #{known.reported_order_seq:,} after it signed that #{said.last_order_seq:,} was its last")
    for seen in known.observations:
        if seen.looked_at is not Looked.NONCE:
            continue
        last = said.nonces.get(seen.subject) if said is not None else None
        if last is not None and seen.used > last + 1:
            found.append(
                f"nonce {seen.used - 1:,} of {seen.subject} seen by {seen.source}, {last:,} was the last signed"
            )
        if said is None and seen.ceiling is not None and seen.used > seen.ceiling + _own(known):
            late = "with every permit dead" if known.bounded else "while nothing says that it has stopped"
            found.append(f"nonce {seen.used - 1:,} of {seen.subject} seen by {seen.source} {late}")
    return found


def _own(known: Known) -> int:
    """Transactions that may be what stops it: who pauses a contract sends under the very hold, and tells of it."""
    return 0 if known.bounded else known.reported_in_flight or 0


def _lifted(known: Known) -> list[str]:
    """Contracts seen unpaused at a later block than that at which they were read back as paused."""
    said = known.statement
    if said is None:
        return []
    return [
        f"{seen.subject} is not paused at block {seen.block:,}, says {seen.source}"
        for seen in known.observations
        if seen.looked_at is Looked.PAUSED
        and seen.value == 0
        and seen.block is not None
        and seen.block > said.paused.get(seen.subject, seen.block)
    ]


def _heard(known: Known) -> HaltState:
    return HaltState.DELIVERED if known.told else HaltState.REQUESTED


def _without_statement(known: Known) -> Verdict:
    if not known.exercised:
        return Verdict(_heard(known), "not exercised: takes no part in drills")
    if not known.bounded:
        why = "has not said that it obeys" if known.told else "not heard of since the freeze"
        return Verdict(_heard(known), f"no permit bounds it; {why}")
    if known.permits_dead_at < known.now:
        return Verdict(HaltState.EXPIRED, "no acknowledgement; every permit it had is dead")
    if known.told:
        return Verdict(HaltState.DELIVERED, "has the order, has not said that it obeys")
    return Verdict(HaltState.REQUESTED, "not heard of since the freeze")


def _open(known: Known, said: Statement) -> tuple[str, ...]:
    return tuple(ident for ident in said.in_flight if ident not in known.fates)


def _agreeing(known: Known, said: Statement, verify_blocks: int) -> str | None:
    """The words of the second sources if they cover all that the executor claims; None while they do not."""
    fresh = [seen for seen in known.observations if seen.at >= said.arrived_at]
    wallets = set(said.nonces)
    still = {
        seen.subject: seen
        for seen in fresh
        if seen.looked_at is Looked.NONCE
        and seen.subject in wallets
        and _stands_still(seen, verify_blocks)
        and _reaches(seen, said, known.fates)
    }
    empty = [seen for seen in fresh if seen.looked_at is Looked.OPEN_ORDERS and seen.value == 0]
    paused = {seen.subject: seen for seen in fresh if _stays_paused(seen, said, verify_blocks)}
    if set(still) != wallets or set(paused) != set(said.paused):
        return None
    if not wallets and not paused and not empty:
        return None
    if known.mode is FreezeMode.CANCEL_ALL and not empty and said.open_orders:
        return None
    words = [*map(_paused_words, paused.values()), *map(_nonce_words, still.values())]
    return "; ".join([*words, *(f"no order rests, says {seen.source}" for seen in empty)])


def _stays_paused(seen: Observation, said: Statement, verify_blocks: int) -> bool:
    """Whether a contract that the executor has read back as paused was seen so at that block or later, and stays so."""
    return (
        seen.looked_at is Looked.PAUSED
        and seen.value == 1
        and seen.block is not None
        and seen.block >= said.paused.get(seen.subject, seen.block + 1)
        and (seen.unchanged_blocks or 0) >= verify_blocks
    )


def _stands_still(seen: Observation, verify_blocks: int) -> bool:
    return (seen.unchanged_blocks or 0) >= verify_blocks and seen.pending in {None, seen.value}


def _reaches(seen: Observation, said: Statement, fates: Mapping[str, Fate]) -> bool:
    """Whether the source has come as far as the executor: one that shows fewer looks at an earlier or another chain.

    The last nonce may never have landed, as a bundle's; nor the transactions that are told to have expired.
    """
    never_landed = sum(fate in {Fate.EXPIRED, Fate.CANCELLED} for fate in fates.values())
    return seen.value >= said.nonces[seen.subject] - never_landed


def _nonce_words(seen: Observation) -> str:
    last = "no transaction" if seen.value == 0 else f"nonce {seen.value - 1:,}"
    return f"{last} unchanged ×{seen.unchanged_blocks}, says {seen.source}"


def _paused_words(seen: Observation) -> str:
    return f"paused ×{seen.unchanged_blocks}, says {seen.source}"


def times_to_halt(frozen_at: datetime, halted_at: Iterable[datetime | None]) -> list[timedelta]:
    """How long each halted executor took, sorted; clocks that disagree never make it negative."""
    return sorted(max(timedelta(0), at - frozen_at) for at in halted_at if at is not None)
