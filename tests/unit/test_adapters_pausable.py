"""What is done about a contract: each step follows from what is wished and shown, unpausing from more than that."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.pausable.contract import Parties, WrongContractError, questions, shown
from adapters.pausable.deciding import (
    AGAIN_AFTER_S,
    GWEI,
    MISSING_LOOKS,
    Cost,
    Limits,
    Memory,
    Sending,
    Shown,
    Step,
    Wish,
    plan,
    settle,
    turned,
)
from watchers.wire import Failure, Head, MalformedError, Receipt

LIMITS = Limits(bump_after_s=15.0, max_fee_wei=100 * GWEI)
HELD, FREE, UNKNOWN = Wish(stop=True, free=False), Wish(stop=False, free=True), Wish(stop=False, free=False)
LIFTING = replace(FREE, unpause=True)
OPEN = Shown(
    at=1000.0,
    block=7,
    paused=False,
    nonce=3,
    balance_wei=10**18,
    base_fee_wei=10 * GWEI,
    tip_wei=GWEI,
    pause=Cost(50_000),
    unpause=Cost(None, "not paused"),
)
SHUT = replace(OPEN, paused=True, pause=Cost(None, "paused already"), unpause=Cost(50_000))
SENT = Sending(Step.PAUSE, nonce=3, max_fee_wei=21 * GWEI, tip_wei=GWEI, at=990.0, hashes=("0x01",))
OURS = Memory(paused_by_us=True)


@pytest.mark.parametrize(
    ("wish", "seen", "memory", "state", "step"),
    [
        (HELD, OPEN, Memory(), "pausing", Step.PAUSE),
        (HELD, SHUT, Memory(), "paused", Step.NOTHING),
        (HELD, OPEN, Memory(sending=SENT), "pausing", Step.NOTHING),
        (HELD, replace(OPEN, at=1005.0), Memory(sending=SENT), "pausing", Step.PAUSE),
        (HELD, replace(OPEN, nonce=4, at=1005.0), Memory(sending=SENT), "pausing", Step.NOTHING),
        (HELD, SHUT, Memory(sending=replace(SENT, step=Step.UNPAUSE)), "pausing", Step.NOTHING),
        (HELD, OPEN, Memory(sent_at=999.0), "pausing", Step.NOTHING),
        (HELD, OPEN, Memory(sent_at=1000.0 - AGAIN_AFTER_S), "pausing", Step.PAUSE),
        (HELD, replace(OPEN, pause=Cost(None, "not the owner")), Memory(), "cannot pause", Step.NOTHING),
        (HELD, replace(OPEN, balance_wei=10**9), Memory(), "cannot pause", Step.NOTHING),
        (HELD, replace(OPEN, base_fee_wei=101 * GWEI), Memory(), "cannot pause", Step.NOTHING),
        (FREE, OPEN, Memory(), "ready", Step.NOTHING),
        (FREE, replace(OPEN, balance_wei=0), Memory(), "cannot pause", Step.NOTHING),
        (UNKNOWN, SHUT, OURS, "left paused", Step.NOTHING),
        (FREE, SHUT, OURS, "left paused", Step.NOTHING),
        (LIFTING, SHUT, Memory(), "left paused", Step.NOTHING),
        (LIFTING, SHUT, OURS, "unpausing", Step.UNPAUSE),
        (replace(LIFTING, free=False), SHUT, OURS, "left paused", Step.NOTHING),
        (replace(LIFTING, stop=True), SHUT, OURS, "paused", Step.NOTHING),
    ],
)
def test_every_step(wish: Wish, seen: Shown, memory: Memory, state: str, step: Step) -> None:
    made = plan(wish, seen, memory, LIMITS)
    assert (made.state, made.step) == (state, step), made.why
    assert made.why


def test_each_bid_is_higher_until_the_most_it_may_pay() -> None:
    memory, seen, fees = Memory(), OPEN, []
    for _ in range(30):
        made = plan(HELD, seen, memory, LIMITS)
        if made.step is Step.NOTHING:
            break
        fees.append(made.max_fee_wei)
        sending = Sending(made.step, made.nonce, made.max_fee_wei, made.tip_wei, seen.at, ("0x01",))
        memory, seen = replace(memory, sending=sending), replace(seen, at=seen.at + LIMITS.bump_after_s)
    assert len(fees) > 3
    assert all(later * 100 >= earlier * 110 for earlier, later in pairwise(fees))
    assert fees[-1] <= LIMITS.max_fee_wei
    assert "the most it may pay is 100 gwei" in made.why


def test_a_bid_is_higher_also_where_gas_costs_nothing() -> None:
    free = replace(OPEN, base_fee_wei=0, tip_wei=0, at=1005.0)
    made = plan(HELD, free, Memory(sending=replace(SENT, max_fee_wei=0, tip_wei=0)), LIMITS)
    assert (made.step, made.max_fee_wei, made.tip_wei) == (Step.PAUSE, 1, 1)


def test_a_node_that_wants_more_is_offered_more_at_once() -> None:
    refused = replace(SENT, at=OPEN.at, underpriced=True)
    made = plan(HELD, OPEN, Memory(sending=refused), LIMITS)
    assert made.step is Step.PAUSE
    assert made.max_fee_wei > 2 * SENT.max_fee_wei


def test_little_money_still_buys_a_transaction_that_pays_little() -> None:
    made = plan(HELD, replace(OPEN, balance_wei=50_000 * 12 * GWEI), Memory(), LIMITS)
    assert (made.step, made.max_fee_wei) == (Step.PAUSE, 12 * GWEI)


@pytest.mark.parametrize(("worked", "ours"), [(True, True), (False, False)])
def test_a_used_nonce_settles_all_its_hashes(worked: bool, ours: bool) -> None:  # noqa: FBT001  a parameter of cases
    memory = Memory(sending=replace(SENT, hashes=("0x01", "0x02")))
    receipts = {"0x02": Receipt(block=8, sender="0x", succeeded=worked)}
    after, fates = settle(memory, replace(OPEN, nonce=4, receipts=receipts))
    assert fates == {"0x01": "replaced", "0x02": "landed"}
    assert (after.sending, after.paused_by_us) == (None, ours)


def test_nothing_is_settled_while_the_nonce_is_free_or_the_receipt_may_come() -> None:
    memory = Memory(sending=SENT)
    assert settle(memory, OPEN) == (memory, {})
    for _ in range(MISSING_LOOKS):  # the fate is told once
        memory, fates = settle(memory, replace(OPEN, nonce=4))
    assert fates == {"0x01": "replaced"}
    assert not memory.paused_by_us
    assert plan(HELD, replace(OPEN, nonce=4), memory, LIMITS).step is Step.PAUSE


def test_a_new_freeze_waits_for_nothing_that_was_sent_for_an_earlier_one() -> None:
    memory = turned(Memory(stop=False, sent_at=999.0), HELD)
    assert plan(HELD, OPEN, memory, LIMITS).step is Step.PAUSE
    assert turned(memory, HELD) is memory


def test_what_somebody_else_unpaused_is_no_longer_ours() -> None:
    after, _ = settle(OURS, OPEN)
    assert not after.paused_by_us


HEAD = Head(7, "0x" + "ab" * 32, 1_800_000_000, base_fee_wei=GWEI)
YES = f"0x{1:064x}"
GOOD: list[Any] = ["0x60", YES, "0x3", "0x10", "0x6000", Failure("execution reverted", "0x8dfc202b")]


def test_answers_of_a_contract() -> None:
    assert len(questions(Parties("0x1", "0x2"), HEAD, ())) == len(GOOD)
    seen = shown(HEAD, "0x1", GOOD, (), at=1.0)
    assert (seen.paused, seen.nonce, seen.pause.gas) == (True, 3, 0x6000 * 3 // 2)
    assert seen.unpause == Cost(None, "the contract refuses: the contract is not paused")
    assert shown(HEAD, Failure("no such method"), GOOD, (), at=1.0).tip_wei == GWEI


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({0: "0x"}, WrongContractError),
        ({1: "0x"}, WrongContractError),
        ({1: f"0x{2:064x}"}, WrongContractError),
        ({1: Failure("execution reverted")}, WrongContractError),
        ({1: Failure("header not found")}, MalformedError),
        ({0: Failure("rate limited")}, MalformedError),
        ({2: None}, MalformedError),
        ({3: "many"}, MalformedError),
    ],
)
def test_what_is_no_pausable_contract_is_told_from_a_node_that_does_not_say(
    changed: dict[int, Any], error: type[Exception]
) -> None:
    answers = [changed.get(place, answer) for place, answer in enumerate(GOOD)]
    with pytest.raises(error):
        shown(HEAD, "0x1", answers, (), at=1.0)


ANSWER: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, "", "0x", "0x0", "0x1", YES, "0x" + "f" * 64, [], {}, {"transactionHash": 1}, Failure("no")]
)


@settings(deadline=None)
@given(st.lists(ANSWER, min_size=7, max_size=7), st.sampled_from([HELD, FREE, UNKNOWN, LIFTING]), st.booleans())
def test_no_answers_crash_or_unpause(answers: list[Any], wish: Wish, ours: bool) -> None:  # noqa: FBT001  drawn
    try:
        seen = shown(HEAD, answers[0], answers[:6], (), at=1.0)
    except (WrongContractError, MalformedError):
        return
    made = plan(wish, seen, Memory(paused_by_us=ours), LIMITS)
    if made.step is Step.UNPAUSE:
        assert ours
        assert wish.free
        assert wish.unpause
        assert not wish.stop
    assert made.max_fee_wei <= LIMITS.max_fee_wei
