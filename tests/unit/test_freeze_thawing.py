"""What a thaw is bound to: its digest, what touches a hold, its stages and its clock."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.freeze import thawing
from backend.freeze.thawing import AlertMark, Subject
from contract.scope import Scope

NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)
LOSS = AlertMark(id="a1", severity="critical", rule="DAILY_LOSS_LIMIT")
GAS = AlertMark(id="a2", severity="medium", rule="GAS_SPEND_LIMIT")
SUBJECT = Subject(
    freeze=str(UUID(int=1)),
    epoch=4,
    scope="chain:arbitrum",
    mode="halt",
    other_holds=frozenset({"FRZ-0002"}),
    executors=frozenset({"bot-1", "bot-2"}),
    alerts=frozenset({LOSS}),
)
NAMES = st.lists(st.from_regex(r"bot-[0-9]{1,3}", fullmatch=True), unique=True, max_size=60)


@dataclass(frozen=True)
class Bot:
    name: str = "bot-1"
    chain: str = "arbitrum"
    strategy: str = "arbitrage"
    wallet: str = "0xab"


CHANGED: list[tuple[Subject, str]] = [
    (replace(SUBJECT, freeze=str(UUID(int=2))), "the hold itself is another"),
    (replace(SUBJECT, epoch=5), "the hold itself is another"),
    (replace(SUBJECT, scope="global"), "the hold itself is another"),
    (replace(SUBJECT, mode="reduce-only"), "the hold itself is another"),
    (replace(SUBJECT, other_holds=frozenset({"FRZ-0002", "FRZ-0003"})), "hold added: FRZ-0003"),
    (replace(SUBJECT, other_holds=frozenset()), "hold gone: FRZ-0002"),
    (replace(SUBJECT, executors=SUBJECT.executors | {"bot-9"}), "executor joined: bot-9"),
    (replace(SUBJECT, executors=frozenset({"bot-1"})), "executor left: bot-2"),
    (replace(SUBJECT, alerts=frozenset({LOSS, GAS})), "new alert: medium GAS_SPEND_LIMIT"),
    (replace(SUBJECT, alerts=frozenset()), "alert over: critical DAILY_LOSS_LIMIT"),
    (replace(SUBJECT, alerts=frozenset({replace(LOSS, severity="high")})), "alert changed: high DAILY_LOSS_LIMIT"),
]


@pytest.mark.parametrize(("after", "words"), CHANGED)
def test_whatever_changes_changes_the_digest_and_is_said_in_words(after: Subject, words: str) -> None:
    assert after.digest != SUBJECT.digest
    assert thawing.changes(SUBJECT, after) == [words]


def test_many_changes_of_a_kind_are_counted() -> None:
    after = replace(SUBJECT, executors=SUBJECT.executors | {f"new-{n}" for n in range(9)})
    assert thawing.changes(SUBJECT, after) == ["executor joined: new-0, new-1, new-2 and 6 more"]


def test_a_subject_is_read_as_it_was_stored() -> None:
    assert Subject.of_plain(SUBJECT.plain()) == SUBJECT
    assert Subject.of_plain(SUBJECT.plain()).digest == SUBJECT.digest
    assert len(SUBJECT.digest) == 64


SUBJECTS = st.builds(
    Subject,
    freeze=st.just(SUBJECT.freeze),
    epoch=st.integers(1, 3),
    scope=st.sampled_from(["global", "chain:a"]),
    mode=st.just("halt"),
    other_holds=st.frozensets(st.sampled_from(["FRZ-1", "FRZ-2", "FRZ-1,FRZ-2"])),
    executors=st.frozensets(st.sampled_from(["a", "b", 'a","b', "é"])),
    alerts=st.sampled_from([(), (GAS,), (LOSS,), (LOSS, GAS), (replace(LOSS, severity="high"), GAS)]).map(frozenset),
)


@given(one=SUBJECTS, other=SUBJECTS)
def test_digests_agree_exactly_if_nothing_differs(one: Subject, other: Subject) -> None:
    assert (one.digest == other.digest) is (one == other)
    if one == other:
        assert thawing.changes(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("global", "wallet:0xff", True),
        ("chain:arbitrum", "global", True),
        ("chain:arbitrum", "chain:ARBITRUM", True),
        ("chain:arbitrum", "chain:base", False),
        ("chain:arbitrum", "chain:arbitrum+strategy:liquidation", True),
        ("chain:base+strategy:arbitrage", "chain:base", True),
        ("chain:base+strategy:arbitrage", "chain:base+strategy:liquidation", False),
        ("chain:arbitrum", "executor:bot-1", True),
        ("chain:arbitrum", "executor:bot-2", False),
        ("chain:arbitrum", "strategy:arbitrage", True),
        ("chain:arbitrum", "strategy:liquidation", False),
        ("strategy:arbitrage", "wallet:0xAB", True),
    ],
)
def test_what_touches_a_hold(one: str, other: str, *, expected: bool) -> None:
    places = [Bot(), Bot(name="bot-2", chain="base", strategy="liquidation", wallet="0xcd")]
    assert thawing.touches(Scope.parse(one), Scope.parse(other), places) is expected
    assert thawing.touches(Scope.parse(other), Scope.parse(one), places) is expected


@given(names=NAMES, percent=st.integers(1, 100), number=st.integers(1, 9))
def test_the_first_stage_is_a_share_in_an_order_that_nobody_chooses(
    names: list[str], percent: int, number: int
) -> None:
    first = thawing.first_stage(UUID(int=number), names, percent)
    assert len(first) == -(-len(names) * percent // 100)
    assert bool(first) is bool(names)
    assert set(first) <= set(names)
    assert first == thawing.first_stage(UUID(int=number), sorted(names, reverse=True), percent)
    stages = thawing.stages(names, first)
    assert sorted(name for stage in stages for name in stage) == sorted(names)
    assert all(stages)


def test_another_freeze_lets_others_go_first() -> None:
    names = [f"bot-{n}" for n in range(50)]
    assert len({thawing.first_stage(UUID(int=n), names, 10) for n in range(10)}) == 10


def test_only_a_grave_alert_that_nobody_had_seen_breaks_a_thaw_off() -> None:
    new = AlertMark(id="a3", severity="critical", rule="DAILY_LOSS_LIMIT")
    violation = AlertMark(id="a4", severity="low", rule="HALT_VIOLATION")
    assert thawing.breaks_off(SUBJECT, [LOSS, GAS]) is None
    assert thawing.breaks_off(SUBJECT, [LOSS, GAS, new]) == new
    assert thawing.breaks_off(SUBJECT, [violation]) == violation


def test_waits_are_whole_seconds_rounded_up() -> None:
    assert thawing.seconds_left(NOW + timedelta(milliseconds=4_001), NOW) == 5
    assert thawing.seconds_left(NOW + timedelta(seconds=4), NOW) == 4
    assert thawing.seconds_left(NOW, NOW) == 0
    assert thawing.seconds_left(NOW - timedelta(seconds=9), NOW) == 0


def test_time_in_which_nobody_looked_is_not_watched() -> None:
    until = NOW + timedelta(seconds=30)
    watched = thawing.watched_until(until, looked_at=NOW, now=NOW + timedelta(seconds=1))
    assert watched == until
    away = thawing.watched_until(until, looked_at=NOW, now=NOW + timedelta(hours=2))
    assert away == until + timedelta(hours=2)


def test_a_clock_that_is_put_back_leaves_as_much_to_watch_as_there_was() -> None:
    until = NOW + timedelta(seconds=30)
    back = thawing.watched_until(until, looked_at=NOW, now=NOW - timedelta(hours=1))
    assert back == until - timedelta(hours=1)
    assert thawing.watched_until(back, looked_at=NOW - timedelta(hours=1), now=NOW) == until


def test_a_halt_before_a_broken_off_thaw_counts_from_the_freeze() -> None:
    frozen, again = NOW, NOW + timedelta(minutes=5)
    assert thawing.held_from(frozen, again, frozen + timedelta(seconds=1)) == frozen
    assert thawing.held_from(frozen, again, again + timedelta(seconds=1)) == again
