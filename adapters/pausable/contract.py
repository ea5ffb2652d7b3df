"""The questions a `Pausable` contract and its chain are asked, and what the answers show, pure. Does no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.pausable.deciding import GWEI, Cost, Shown
from watchers.wire import (
    Call,
    Failure,
    Head,
    MalformedError,
    Outcome,
    Receipt,
    data,
    head,
    paused_call,
    quantity,
    receipt,
    yes_or_no,
)

PAUSE: Final = "0x8456cb59"
UNPAUSE: Final = "0x3f4ba83a"
"""Selectors of `pause()` and `unpause()`."""
GAS_MARGIN_PERCENT: Final = 150
"""Of the node's estimate: what it meets in its block may differ from what it met when asked."""
MAX_GAS: Final = 2_000_000
"""Pausing takes some thirty thousand; a contract that asks for a hundred times that is not one to be paused blindly."""
MAX_WEI: Final = 2**128
USUAL_TIP_WEI: Final = GWEI
"""Where a node gives none."""
_KNOWN_REFUSALS: Final = {
    "0x118cdaa7": "it is not the owner",
    "0xe2517d3f": "it does not hold the role",
    "0x068ca9d8": "it has no authority from the access manager",
    "0xd93c0665": "the contract is paused already",
    "0x8dfc202b": "the contract is not paused",
}
"""Selectors of OpenZeppelin's errors."""


class WrongContractError(Exception):
    """There is no `Pausable` contract at the address."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Who asks what of which contract."""

    contract: str
    sender: str


def opening() -> list[Call]:
    """Ask which chain it is and how far the node knows it."""
    return [Call("eth_chainId"), Call("eth_getBlockByNumber", ("latest", False)), Call("eth_maxPriorityFeePerGas")]


def questions(parties: Parties, newest: Head, hashes: Sequence[str]) -> list[Call]:
    """Ask everything about the contract at that block, and what would become of pausing and of unpausing it there.

    Not in the pending block, which nodes take by themselves: with a transaction of ours in it, pausing fails there.
    """
    at = hex(newest.number)
    act = {"from": parties.sender, "to": parties.contract}
    return [
        Call("eth_getCode", (parties.contract, at)),
        paused_call(parties.contract, newest),
        Call("eth_getTransactionCount", (parties.sender, at)),
        Call("eth_getBalance", (parties.sender, at)),
        Call("eth_estimateGas", (act | {"data": PAUSE}, at)),
        Call("eth_estimateGas", (act | {"data": UNPAUSE}, at)),
        *(Call("eth_getTransactionReceipt", (ident,)) for ident in hashes),
    ]


def shown(newest: Head, tip: Outcome, answers: Sequence[Outcome], hashes: Sequence[str], *, at: float) -> Shown:
    """Read the answers; `at` in monotonic seconds.

    Raises:
        WrongContractError: no code there, or none that answers `paused()` with yes or no.
        MalformedError: the node does not say.
    """
    code, paused, nonce, balance, pausing, unpausing, *receipts = answers
    if newest.base_fee_wei is None:
        raise WrongContractError("the chain has no base fee (EIP-1559): this adapter does not know its fees")
    return Shown(
        at=at,
        block=newest.number,
        paused=_paused(code, paused),
        nonce=quantity(nonce),
        balance_wei=quantity(balance, limit=MAX_WEI),
        base_fee_wei=newest.base_fee_wei,
        tip_wei=_tip(tip),
        pause=_cost(pausing),
        unpause=_cost(unpausing),
        receipts=_receipts(hashes, receipts),
    )


def _paused(code: Outcome, answer: Outcome) -> bool:
    if data(code) == "0x":
        raise WrongContractError("there is no contract at the address")
    if isinstance(answer, Failure) and "revert" not in answer.message.lower():
        raise MalformedError(answer.message)
    try:
        return yes_or_no(answer)
    except MalformedError as error:
        raise WrongContractError(f"the contract does not answer paused(): {error}") from error


def _cost(estimate: Outcome) -> Cost:
    if isinstance(estimate, Failure):
        known = _KNOWN_REFUSALS.get(estimate.data[:10])
        return Cost(None, f"the contract refuses: {known or estimate.message}")
    gas = quantity(estimate) * GAS_MARGIN_PERCENT // 100
    return Cost(gas) if gas <= MAX_GAS else Cost(None, f"it would take {gas:,} gas, more than {MAX_GAS:,}")


def _tip(answer: Outcome) -> int:
    try:
        return quantity(answer, limit=MAX_WEI)
    except MalformedError:
        return USUAL_TIP_WEI


def _receipts(hashes: Sequence[str], answers: Sequence[Outcome]) -> Mapping[str, Receipt]:
    found = {}
    for ident, answer in zip(hashes, answers, strict=True):
        try:
            one = receipt(answer, ident)
        except MalformedError:
            continue
        if one is not None:
            found[ident] = one
    return found


def read_opening(answers: Sequence[Outcome]) -> tuple[int, Head]:
    """Read which chain it is and how far the node knows it.

    Raises:
        MalformedError: the node does not say.
    """
    return quantity(answers[0]), head(answers[1])
