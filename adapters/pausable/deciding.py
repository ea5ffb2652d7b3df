"""What to do about one contract now, pure: what is wanted and what the chain shows in, one step out. Does no I/O.

Pausing errs towards stopping, unpausing towards leaving alone: it undoes only what this very process did, and only
while a living permit says that nothing is held.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from watchers.wire import Receipt

GWEI: Final = 10**9
FEE_STEP_PERCENT: Final = 125
"""Of the last fee at each attempt; nodes ask for at least 110 to replace a transaction."""
UNDERPRICED_STEP_PERCENT: Final = 200
"""Where a node would not have the last one: what waits in its place is of an unknown fee."""
MISSING_LOOKS: Final = 3
"""That show the nonce used and no receipt of ours, before somebody else is held to have used it."""
AGAIN_AFTER_S: Final = 30.0
"""Between transactions when the last one was of no effect: whoever undoes each cannot empty the wallet."""
WEI_PER_ETH: Final = 10**18


class Step(StrEnum):
    """What the shell does next."""

    NOTHING = "nothing"
    PAUSE = "pause"
    UNPAUSE = "unpause"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the gate says."""

    stop: bool
    """A freeze that stops covers the contract's place."""
    free: bool
    """A living permit says that nothing is held."""
    unpause: bool = False
    """Whether lifting may be done here at all."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step would take."""

    gas: int | None
    """None where it would fail."""
    refusal: str = ""
    """Why it would fail, in the contract's or the node's words."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the chain shows at one block."""

    at: float
    """Monotonic seconds."""
    block: int
    paused: bool
    nonce: int
    """The sender's next one."""
    balance_wei: int
    base_fee_wei: int
    tip_wei: int
    pause: Cost
    unpause: Cost
    receipts: Mapping[str, Receipt] = field(default_factory=dict)
    """Of the transactions under way, those in a block."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A transaction of ours that is under way, with those that replaced it."""

    step: Step
    nonce: int
    max_fee_wei: int
    tip_wei: int
    at: float
    """Monotonic seconds of the newest."""
    hashes: tuple[str, ...]
    underpriced: bool = False
    """Whether the node refused the newest because more is paid for what waits at this nonce."""
    missing: int = 0
    """Looks that showed its nonce used and no receipt."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows."""

    bump_after_s: float
    max_fee_wei: int
    """The most a unit of gas may cost."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process did."""

    sending: Sending | None = None
    paused_by_us: bool = False
    stop: bool = False
    """What was wished last."""
    sent_at: float | None = None
    """When the newest transaction for that wish was sent."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome: a step with its transaction, and what to show."""

    state: str
    why: str
    ok: bool
    step: Step = Step.NOTHING
    nonce: int = 0
    gas: int = 0
    max_fee_wei: int = 0
    tip_wei: int = 0


def settle(memory: Memory, shown: Shown) -> tuple[Memory, Mapping[str, str]]:
    """Close what is under way once its nonce is used: the memory after it, and the fate of each hash.

    Nothing is closed while the nonce is still free: any of the hashes may yet be mined.
    """
    sending = memory.sending
    if sending is None:
        return replace(memory, paused_by_us=memory.paused_by_us and shown.paused), {}
    if shown.nonce <= sending.nonce:
        return memory, {}
    mined = [ident for ident in sending.hashes if ident in shown.receipts]
    fates = {ident: "landed" if ident in mined else "replaced" for ident in sending.hashes}
    if not mined:
        missing = replace(sending, missing=sending.missing + 1)
        if missing.missing < MISSING_LOOKS:
            return replace(memory, sending=missing), {}
        return replace(memory, sending=None, sent_at=None), fates  # another used the nonce: nothing to wait for
    worked = any(shown.receipts[ident].succeeded for ident in mined)
    ours = memory.paused_by_us
    if worked:
        ours = sending.step is Step.PAUSE
    return replace(memory, sending=None, paused_by_us=ours), fates


def turned(memory: Memory, wish: Wish) -> Memory:
    """Note what is wished: a new wish waits for nothing that was sent for the one before."""
    return memory if wish.stop is memory.stop else replace(memory, stop=wish.stop, sent_at=None)


def plan(wish: Wish, shown: Shown, memory: Memory, limits: Limits) -> Plan:
    """Decide what to do now."""
    if wish.stop:
        return _held(shown, memory, limits)
    if not shown.paused:
        return _ready(shown)
    if not wish.free:
        why = "no permit says that nothing is held"
    elif not wish.unpause:
        why = "no freeze covers it; unpausing is for whoever may"
    elif not memory.paused_by_us:
        why = "not by this process: it does not unpause what it did not pause"
    else:
        return _send(Step.UNPAUSE, "unpausing", shown, memory, limits)
    return Plan("left paused", why, ok=True)


def _held(shown: Shown, memory: Memory, limits: Limits) -> Plan:
    if not shown.paused:
        return _send(Step.PAUSE, "pausing", shown, memory, limits)
    if memory.sending is not None and memory.sending.step is Step.UNPAUSE:
        return Plan("pausing", "an unpausing of ours is still under way", ok=False)
    return Plan("paused", f"paused() is true at block {shown.block:,}", ok=True)


def _ready(shown: Shown) -> Plan:
    """Nothing is held: whether it could be paused if it had to be."""
    if shown.pause.gas is None:
        return Plan("cannot pause", shown.pause.refusal, ok=False)
    lacking = _lacking(shown, shown.pause.gas, shown.base_fee_wei + shown.tip_wei)
    return Plan("cannot pause", lacking, ok=False) if lacking else Plan("ready", "not paused", ok=True)


def _send(step: Step, state: str, shown: Shown, memory: Memory, limits: Limits) -> Plan:
    sending = memory.sending
    if sending is not None and shown.nonce > sending.nonce:
        return Plan(state, "its nonce is used; waiting for the receipt", ok=False)
    if sending is None and memory.sent_at is not None and shown.at - memory.sent_at < AGAIN_AFTER_S:
        return Plan(state, "the last transaction changed nothing, or was undone; waiting before the next", ok=False)
    waits = sending is not None and not sending.underpriced and shown.at - sending.at < limits.bump_after_s
    if sending is not None and sending.step is step and waits:
        return Plan(state, f"waiting for {sending.hashes[-1]}", ok=False)
    cost = shown.pause if step is Step.PAUSE else shown.unpause
    if cost.gas is None:
        return Plan(f"cannot {step.value}", cost.refusal, ok=False)
    unpriced = Plan(state, "", ok=False, step=step, nonce=shown.nonce, gas=cost.gas)
    return _priced(unpriced, shown, sending, limits)


def _priced(sent: Plan, shown: Shown, sending: Sending | None, limits: Limits) -> Plan:
    """One transaction at the sender's next nonce: whatever waits there, also of an earlier process, is replaced."""
    tip, fee = shown.tip_wei, 2 * shown.base_fee_wei + shown.tip_wei
    if sending is not None:
        tip = max(tip, _stepped(sending, sending.tip_wei))
        fee = max(fee, _stepped(sending, sending.max_fee_wei), tip)
    fee = min(fee, limits.max_fee_wei)
    if sending is not None and fee * 100 < sending.max_fee_wei * FEE_STEP_PERCENT:
        return Plan(sent.state, f"not mined, and the most it may pay is {_gwei(limits.max_fee_wei)} gwei", ok=False)
    failed = f"cannot {sent.step.value}"
    if fee < shown.base_fee_wei:
        why = f"gas costs {_gwei(shown.base_fee_wei)} gwei and the most it may pay is {_gwei(limits.max_fee_wei)}"
        return Plan(failed, why, ok=False)
    if sending is None:  # better a transaction that pays little than none
        fee = min(fee, max(shown.balance_wei // sent.gas, shown.base_fee_wei + 1))
    lacking = _lacking(shown, sent.gas, fee)
    if lacking:
        return Plan(failed, lacking, ok=False)
    return replace(sent, why=f"sending at {_gwei(fee)} gwei", max_fee_wei=fee, tip_wei=min(tip, fee))


def _lacking(shown: Shown, gas: int, fee_wei: int) -> str:
    needed = gas * fee_wei
    if shown.balance_wei >= needed:
        return ""
    return f"out of gas money: the sender has {_eth(shown.balance_wei)} ETH and needs {_eth(needed)}"


def _stepped(sending: Sending, wei: int) -> int:
    return wei * (UNDERPRICED_STEP_PERCENT if sending.underpriced else FEE_STEP_PERCENT) // 100 + 1


def _gwei(wei: int) -> str:
    return f"{wei // GWEI:,}.{wei % GWEI:09d}".rstrip("0").rstrip(".")


def _eth(wei: int) -> str:
    return f"{wei // WEI_PER_ETH:,}.{wei % WEI_PER_ETH:018d}".rstrip("0").rstrip(".")
