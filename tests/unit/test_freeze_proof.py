"""The seven words of proof: which statements give which, and that none is given for less."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.freeze.proof import Known, Observation, Statement, judge, times_to_halt, violations
from contract.observing import Fate, Looked
from contract.states import FreezeMode, HaltState

FROZEN = datetime(2026, 1, 1, 3, tzinfo=UTC)
DEAD = FROZEN + timedelta(seconds=3)
NOW = FROZEN + timedelta(seconds=10)
WALLET = "0xabc"
BLOCKS = 3

SIGNED = Statement(
    arrived_at=FROZEN + timedelta(seconds=1),
    last_order_seq=40,
    nonces={WALLET: 7},
    in_flight=("a", "b"),
    in_flight_count=2,
)
NONCE = Observation(
    source="watcher", looked_at=Looked.NONCE, subject=WALLET, value=8, pending=8, unchanged_blocks=BLOCKS, at=NOW
)
EMPTY = Observation("venue", Looked.OPEN_ORDERS, "bot", value=0, pending=None, unchanged_blocks=None, at=NOW)
NOTHING = Known(mode=FreezeMode.HALT, frozen_at=FROZEN, now=FROZEN + timedelta(seconds=1), permits_dead_at=DEAD)
HALTED = replace(NOTHING, now=NOW, told=True, statement=SIGNED, reported_order_seq=40)
QUIET = replace(HALTED, fates={"a": Fate.LANDED, "b": Fate.EXPIRED})
CONTRACT = "0xc0"
STOPPED = replace(
    QUIET, statement=replace(SIGNED, nonces={}, in_flight=(), in_flight_count=0, paused={CONTRACT: 100}), bounded=False
)
PAUSED = Observation(
    "watcher", Looked.PAUSED, CONTRACT, value=1, pending=None, unchanged_blocks=BLOCKS, at=NOW, block=103
)
ADAPTER = replace(NOTHING, now=NOW, bounded=False)
SPARED = replace(ADAPTER, exercised=False)
VENUE = replace(QUIET, statement=replace(SIGNED, nonces={}, open_orders=2), mode=FreezeMode.CANCEL_ALL)


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (NOTHING, HaltState.REQUESTED),
        (replace(NOTHING, told=True), HaltState.DELIVERED),
        (replace(NOTHING, now=NOW), HaltState.EXPIRED),
        (replace(NOTHING, now=NOW, told=True), HaltState.EXPIRED),
        (HALTED, HaltState.ACKED),
        (replace(HALTED, fates={"a": Fate.LANDED}), HaltState.ACKED),
        (QUIET, HaltState.QUIESCED),
        (replace(QUIET, statement=replace(SIGNED, in_flight_count=3)), HaltState.ACKED),
        (replace(QUIET, statement=replace(SIGNED, in_flight_count=None), observations=(NONCE,)), HaltState.ACKED),
        (replace(QUIET, observations=(NONCE,)), HaltState.VERIFIED),
        (replace(QUIET, observations=(replace(NONCE, unchanged_blocks=BLOCKS - 1),)), HaltState.QUIESCED),
        (replace(QUIET, observations=(replace(NONCE, at=FROZEN),)), HaltState.QUIESCED),
        (replace(QUIET, observations=(replace(NONCE, value=7, pending=7),)), HaltState.VERIFIED),
        (replace(QUIET, observations=(replace(NONCE, value=7, pending=8),)), HaltState.QUIESCED),
        (replace(QUIET, observations=(replace(NONCE, value=6, pending=6),)), HaltState.VERIFIED),
        (replace(QUIET, observations=(replace(NONCE, value=5, pending=5),)), HaltState.QUIESCED),
        (replace(QUIET, observations=(replace(NONCE, value=0, pending=0),)), HaltState.QUIESCED),
        (replace(QUIET, observations=(replace(NONCE, pending=9),)), HaltState.VIOLATION),
        (replace(QUIET, observations=(replace(NONCE, value=9, pending=9),)), HaltState.VIOLATION),
        (replace(QUIET, observations=(EMPTY,)), HaltState.QUIESCED),
        (replace(QUIET, reported_order_seq=41), HaltState.VIOLATION),
        (replace(QUIET, mode=FreezeMode.REDUCE_ONLY, reported_order_seq=41), HaltState.QUIESCED),
        (VENUE, HaltState.ACKED),
        (replace(VENUE, reported_open_orders=0), HaltState.QUIESCED),
        (replace(VENUE, reported_open_orders=0, observations=(EMPTY,)), HaltState.VERIFIED),
        (replace(VENUE, reported_open_orders=0, observations=(replace(EMPTY, value=1),)), HaltState.QUIESCED),
        (replace(NOTHING, now=NOW, observations=(replace(NONCE, ceiling=8),)), HaltState.EXPIRED),
        (replace(NOTHING, now=NOW, observations=(replace(NONCE, value=9, ceiling=8),)), HaltState.VIOLATION),
        (replace(NOTHING, now=NOW, observations=(replace(NONCE, value=9),)), HaltState.EXPIRED),
        (ADAPTER, HaltState.REQUESTED),
        (replace(ADAPTER, told=True), HaltState.DELIVERED),
        (replace(ADAPTER, observations=(replace(NONCE, value=9, ceiling=8),)), HaltState.VIOLATION),
        (
            replace(ADAPTER, observations=(replace(NONCE, value=9, ceiling=8),), reported_in_flight=1),
            HaltState.REQUESTED,
        ),
        (
            replace(ADAPTER, observations=(replace(NONCE, value=10, ceiling=8),), reported_in_flight=1),
            HaltState.VIOLATION,
        ),
        (
            replace(NOTHING, now=NOW, observations=(replace(NONCE, value=9, ceiling=8),), reported_in_flight=1),
            HaltState.VIOLATION,
        ),
        (replace(QUIET, bounded=False, observations=(NONCE,)), HaltState.VERIFIED),
        (SPARED, HaltState.REQUESTED),
        (replace(SPARED, told=True, observations=(replace(NONCE, value=9, ceiling=8),)), HaltState.DELIVERED),
        (replace(QUIET, exercised=False), HaltState.QUIESCED),
        (STOPPED, HaltState.QUIESCED),
        (replace(STOPPED, observations=(PAUSED,)), HaltState.VERIFIED),
        (replace(STOPPED, observations=(replace(PAUSED, block=100),)), HaltState.VERIFIED),
        (replace(STOPPED, observations=(replace(PAUSED, block=99),)), HaltState.QUIESCED),
        (replace(STOPPED, observations=(replace(PAUSED, block=None),)), HaltState.QUIESCED),
        (replace(STOPPED, observations=(replace(PAUSED, unchanged_blocks=BLOCKS - 1),)), HaltState.QUIESCED),
        (replace(STOPPED, observations=(replace(PAUSED, at=FROZEN),)), HaltState.QUIESCED),
        (replace(STOPPED, observations=(replace(PAUSED, subject="0xc1"),)), HaltState.QUIESCED),
        (replace(STOPPED, observations=(replace(PAUSED, value=0),)), HaltState.VIOLATION),
        (replace(STOPPED, observations=(replace(PAUSED, value=0, block=100),)), HaltState.QUIESCED),
        (replace(STOPPED, observations=(PAUSED, replace(PAUSED, source="two", value=0))), HaltState.VIOLATION),
        (replace(QUIET, observations=(PAUSED,)), HaltState.QUIESCED),
        (replace(QUIET, observations=(replace(PAUSED, value=0),)), HaltState.QUIESCED),
        (
            replace(STOPPED, statement=replace(SIGNED, paused={CONTRACT: 100}), observations=(PAUSED,)),
            HaltState.QUIESCED,
        ),
        (
            replace(
                QUIET, statement=replace(SIGNED, paused={CONTRACT: 100, "0xc1": 100}), observations=(NONCE, PAUSED)
            ),
            HaltState.QUIESCED,
        ),
        (replace(QUIET, statement=replace(SIGNED, paused={CONTRACT: 100}), observations=(NONCE,)), HaltState.QUIESCED),
        (
            replace(QUIET, statement=replace(SIGNED, paused={CONTRACT: 100}), observations=(NONCE, PAUSED)),
            HaltState.VERIFIED,
        ),
    ],
)
def test_each_word_rests_on_its_statements(known: Known, state: HaltState) -> None:
    verdict = judge(known, verify_blocks=BLOCKS)
    assert verdict.state is state
    assert verdict.proof


def test_what_is_still_open_is_named() -> None:
    assert judge(replace(HALTED, fates={"b": Fate.REPLACED}), verify_blocks=BLOCKS).open_ids == ("a",)


@pytest.mark.parametrize(
    ("known", "proof"),
    [
        (ADAPTER, "no permit bounds it; not heard of since the freeze"),
        (replace(ADAPTER, told=True), "no permit bounds it; has not said that it obeys"),
        (SPARED, "not exercised: takes no part in drills"),
        (replace(STOPPED, observations=(PAUSED,)), "paused ×3, says watcher"),
        (replace(STOPPED, observations=(replace(PAUSED, value=0),)), "0xc0 is not paused at block 103, says watcher"),
    ],
)
def test_the_sentence_says_by_what(known: Known, proof: str) -> None:
    assert judge(known, verify_blocks=BLOCKS).proof == proof


IDS = st.sampled_from(["a", "b", "c"])
TIMES = st.integers(-5, 20).map(lambda seconds: FROZEN + timedelta(seconds=seconds))
COUNTS = st.integers(0, 12)
STATEMENTS = st.builds(
    Statement,
    arrived_at=TIMES,
    last_order_seq=st.integers(0, 50),
    nonces=st.dictionaries(st.sampled_from([WALLET, "0xdef"]), COUNTS),
    in_flight=st.lists(IDS, unique=True).map(tuple),
    in_flight_count=COUNTS,
    open_orders=st.none() | COUNTS,
    paused=st.dictionaries(st.sampled_from([CONTRACT, "0xc1"]), COUNTS),
)
OBSERVATIONS = st.builds(
    Observation,
    source=st.sampled_from(["watcher", "venue"]),
    looked_at=st.sampled_from(Looked),
    subject=st.sampled_from([WALLET, "0xdef", "bot", CONTRACT]),
    value=COUNTS,
    pending=st.none() | COUNTS,
    unchanged_blocks=st.none() | st.integers(0, 6),
    at=TIMES,
    ceiling=st.none() | COUNTS,
    block=st.none() | COUNTS,
)
ANYTHING = st.builds(
    Known,
    mode=st.sampled_from(FreezeMode),
    frozen_at=st.just(FROZEN),
    now=TIMES,
    permits_dead_at=st.just(DEAD),
    told=st.booleans(),
    statement=st.none() | STATEMENTS,
    reported_order_seq=st.integers(0, 60),
    reported_open_orders=st.none() | COUNTS,
    fates=st.dictionaries(IDS, st.sampled_from(Fate)),
    observations=st.lists(OBSERVATIONS, max_size=4).map(tuple),
    reported_in_flight=st.none() | COUNTS,
    bounded=st.booleans(),
    exercised=st.booleans(),
)


@given(known=ANYTHING)
def test_nobody_counts_as_halted_without_a_signature_or_a_dead_permit(known: Known) -> None:
    verdict = judge(known, verify_blocks=BLOCKS)
    if verdict.state.is_halted:
        dead = known.now > known.permits_dead_at
        assert known.statement is not None or (known.bounded and known.exercised and dead)
    if verdict.state in {HaltState.QUIESCED, HaltState.VERIFIED}:
        assert known.statement is not None
        assert set(known.statement.in_flight) <= set(known.fates)


@given(known=ANYTHING)
def test_verified_needs_somebody_else_who_looked_afterwards(known: Known) -> None:
    known = replace(known, fates=dict.fromkeys("abc", Fate.LANDED), reported_order_seq=0, reported_open_orders=0)
    if known.statement is None or judge(known, verify_blocks=BLOCKS).state is not HaltState.VERIFIED:
        return
    late = [seen for seen in known.observations if seen.at >= known.statement.arrived_at]
    assert late
    assert judge(replace(known, observations=()), verify_blocks=BLOCKS).state is HaltState.QUIESCED
    for wallet in known.statement.nonces:
        assert any(seen.subject == wallet and (seen.unchanged_blocks or 0) >= BLOCKS for seen in late)
    for contract, block in known.statement.paused.items():
        assert any(seen.subject == contract and seen.value == 1 and (seen.block or 0) >= block for seen in late)


@given(known=ANYTHING, seen=OBSERVATIONS)
def test_a_violation_is_never_talked_away_by_another_observation(known: Known, seen: Observation) -> None:
    if not violations(known):
        return
    more = replace(known, observations=(*known.observations, seen))
    assert judge(more, verify_blocks=BLOCKS).state is HaltState.VIOLATION


def test_times_to_halt_are_sorted_and_never_negative() -> None:
    late, early = FROZEN + timedelta(seconds=2), FROZEN - timedelta(seconds=1)
    assert times_to_halt(FROZEN, [late, None, early]) == [timedelta(0), timedelta(seconds=2)]
