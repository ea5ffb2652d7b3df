"""The rules of holds: adding up, thawing by two, and what is known of an executor."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.freeze import core
from contract.executors import ExecutorState
from contract.freeze import FreezeMode, FreezeStatus
from contract.scope import Scope

NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)
LIFE = timedelta(seconds=2)
ACTIVE = core.ThawState(status=FreezeStatus.ACTIVE, requested_by=None, lifted_by=None, version=1)
PEOPLE = st.sampled_from(["ada", "Ada", "ben", "cleo"])


@dataclass(frozen=True)
class Bot:
    name: str = "bot-1"
    chain: str = "arbitrum"
    strategy: str = "arbitrage"
    wallet: str = "0xab"
    last_seen_at: datetime = NOW
    permit_until: datetime | None = NOW + LIFE
    idle_ms: int | None = None


def hold(number: int, scope: str = "global", mode: FreezeMode = FreezeMode.HALT) -> core.Hold:
    return core.Hold(UUID(int=number), number, number, Scope.parse(scope), mode, NOW)


def shown(bot: Bot, *holds: core.Hold, acked: tuple[core.Hold, ...] = ()) -> ExecutorState:
    return core.executor_state(
        bot,
        holds=holds,
        acknowledged=frozenset(each.id for each in acked),
        now=NOW,
        permit_life=LIFE,
        wedged_after=timedelta(seconds=5),
    )


def test_holds_add_up_to_the_strictest() -> None:
    halt, reduce = hold(1), hold(2, mode=FreezeMode.REDUCE_ONLY)
    assert core.effective_mode([]) is None
    assert core.effective_mode([reduce, reduce]) is FreezeMode.REDUCE_ONLY
    assert core.effective_mode([reduce, halt]) is FreezeMode.HALT


@given(
    scopes=st.lists(st.sampled_from(["global", "chain:arbitrum", "chain:base", "strategy:ARBITRAGE", "wallet:0xAB"])),
    lifted=st.integers(0, 10),
)
def test_lifting_one_hold_never_lifts_another(scopes: list[str], lifted: int) -> None:
    holds = [hold(number, scope) for number, scope in enumerate(scopes)]
    before = core.covering(holds, Bot())
    after = core.covering([each for each in holds if each.number != lifted], Bot())
    assert set(after) == {each for each in before if each.number != lifted}
    assert (core.effective_mode(after) is None) == (not after)


@pytest.mark.parametrize("text", ["FRZ-0031", "frz-31", " FRZ-31 ", str(UUID(int=5))])
def test_ids_and_refs_are_read(text: str) -> None:
    assert core.parse_ident(text) in {31, UUID(int=5)}


@pytest.mark.parametrize("text", ["", "31", "FRZ-", "FRZ-1234567890", "FRZ-1x", "nonsense"])
def test_anything_else_is_no_freeze(text: str) -> None:
    assert core.parse_ident(text) is None


STEPS = st.lists(st.tuples(st.sampled_from(["ask", "approve", "withdraw"]), PEOPLE), max_size=12)


@given(steps=STEPS)
def test_no_sequence_of_steps_lets_one_person_lift_a_hold(steps: list[tuple[str, str]]) -> None:
    state, asked = ACTIVE, ""
    for step, who in steps:
        match step:
            case "ask":
                after = core.request_thaw(state, by=who)
            case "approve":
                after = core.approve_thaw(state, by=who, seen_version=None)
            case _:
                after = core.withdraw_thaw(state)
        if isinstance(after, core.Refusal):
            continue
        assert after.version == state.version + 1
        assert state.status is not FreezeStatus.THAWED
        if after.status is FreezeStatus.THAWING:
            assert step == "approve"
            assert asked.casefold() != who.casefold()
        asked = after.requested_by or ""
        state = after


def test_the_requester_needs_a_second_person_and_others_do_not_hear_so() -> None:
    asked = core.request_thaw(ACTIVE, by="ada")
    assert isinstance(asked, core.ThawState)
    own = core.approve_thaw(asked, by="ADA", seen_version=None)
    assert isinstance(own, core.Refusal)
    assert own.needs_second_person
    stale = core.approve_thaw(asked, by="ben", seen_version=1)
    assert isinstance(stale, core.Refusal)
    assert not stale.needs_second_person
    lifted = core.approve_thaw(asked, by="ben", seen_version=2)
    assert lifted == replace(asked, status=FreezeStatus.THAWING, lifted_by="ben", version=3)
    assert core.finish_thaw(lifted) == replace(lifted, status=FreezeStatus.THAWED, version=4)
    assert core.put_back(lifted) == replace(ACTIVE, version=4)


def test_a_stricter_hold_does_what_a_weaker_one_asks() -> None:
    assert core.at_least_as_strict(FreezeMode.HALT, FreezeMode.REDUCE_ONLY)
    assert core.at_least_as_strict(FreezeMode.REDUCE_ONLY, FreezeMode.REDUCE_ONLY)
    assert not core.at_least_as_strict(FreezeMode.REDUCE_ONLY, FreezeMode.HALT)


def test_an_executor_is_shown_by_what_it_said_itself() -> None:
    halt, reduce, elsewhere = hold(1), hold(2, mode=FreezeMode.REDUCE_ONLY), hold(3, "chain:base")
    assert shown(Bot()) is ExecutorState.TRADING
    assert shown(Bot(), elsewhere) is ExecutorState.TRADING
    assert shown(Bot(), halt) is ExecutorState.FREEZING
    assert shown(Bot(), halt, acked=(halt,)) is ExecutorState.FROZEN
    assert shown(Bot(), reduce, acked=(reduce,)) is ExecutorState.REDUCING
    assert shown(Bot(), halt, reduce, acked=(reduce,)) is ExecutorState.FREEZING
    assert shown(Bot(), halt, reduce, acked=(halt,)) is ExecutorState.FROZEN
    assert shown(Bot(idle_ms=4_999), halt) is ExecutorState.FREEZING
    assert shown(Bot(idle_ms=5_000), halt) is ExecutorState.WEDGED
    assert shown(Bot(idle_ms=5_000), halt, acked=(halt,)) is ExecutorState.FROZEN
    assert shown(Bot(idle_ms=5_000)) is ExecutorState.TRADING
    dead = Bot(last_seen_at=NOW - LIFE - core.REPORT_EVERY - timedelta(milliseconds=1))
    assert shown(dead, halt, acked=(halt,)) is ExecutorState.SILENT


def test_spans_are_exact_and_never_negative() -> None:
    assert core.seconds_between(NOW, NOW + timedelta(milliseconds=182)) == Decimal("0.182")
    assert core.seconds_between(NOW, NOW - timedelta(seconds=1)) == 0
