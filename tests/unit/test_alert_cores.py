"""The pure cores of working alerts: matchers, steps of escalation, and what the end of a silence makes of an alert."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.alerts import escalating, muting_core
from backend.alerts.matching import (
    MAX_TRIED_CHARS,
    TooLongError,
    Trial,
    Trials,
    UnusableMatcherError,
    matches,
    refuse_unusable,
)
from backend.alerts.muting_core import Standing, Standings, Turn
from backend.policy.alerting import EscalationStep
from contract.alert_work import Matcher, MatchOp, SilenceState

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def matcher(text: str) -> Matcher:
    """A matcher as it is typed without quotes."""
    found = re.fullmatch(r"(\w+)(=~|!~|!=|=)(.*)", text, re.DOTALL)
    assert found is not None
    return Matcher(name=found[1], op=MatchOp(found[2]), value=found[3])


@pytest.mark.parametrize(
    ("typed", "labels", "holds"),
    [
        ("chain=base", {"chain": "base"}, True),
        ("chain=base", {"chain": "Base"}, False),
        ("chain=base", {}, False),
        ("chain=", {}, True),
        ("chain=", {"chain": "base"}, False),
        ("chain!=base", {}, True),
        ("chain!=base", {"chain": "base"}, False),
        ("chain!=", {"chain": "base"}, True),
        ("chain!=", {}, False),
        ("chain=~ba", {"chain": "base"}, False),
        ("chain=~ba.*", {"chain": "base"}, True),
        ("chain=~base|op", {"chain": "op"}, True),
        ("chain=~base|op", {"chain": "base op"}, False),
        ("chain=~.*", {}, True),
        ("chain=~.+", {}, False),
        ("chain!~.+", {}, True),
        ("chain!~ba.*", {"chain": "base"}, False),
        ("chain!~ba.*", {"chain": "op"}, True),
        ("chain=~b.se", {"chain": "b\nse"}, False),
        (r"chain=~\d+", {"chain": "42"}, True),
        (r"chain=~\d+", {"chain": "٤٢"}, False),
        ("chain=~(?i)BASE", {"chain": "base"}, True),
        (r"host=~db-[0-9]{1,3}\.(eu|us)", {"host": "db-12.eu"}, True),
    ],
)
def test_matchers_are_read_as_alertmanager_reads_them(typed: str, labels: Mapping[str, str], *, holds: bool) -> None:
    assert matches([matcher(typed)], labels) is holds


TEXTS = st.text(alphabet="ab.", max_size=3)
MATCHERS = st.builds(Matcher, name=st.sampled_from("xyz"), op=st.sampled_from(MatchOp), value=TEXTS)
LABELS = st.dictionaries(st.sampled_from("xyz"), TEXTS)


@given(st.lists(MATCHERS, max_size=4), LABELS)
def test_a_silence_matches_what_all_its_matchers_match(matchers: list[Matcher], labels: dict[str, str]) -> None:
    def holds(one: Matcher) -> bool:
        value = labels.get(one.name, "")
        plain = value == one.value if one.op in {MatchOp.IS, MatchOp.IS_NOT} else bool(_whole(one.value, value))
        return plain is (one.op in {MatchOp.IS, MatchOp.MATCHES})

    assert matches(matchers, labels) is (bool(matchers) and all(map(holds, matchers)))
    filled = {name: labels.get(name, "") for name in "xyz"}
    assert matches(matchers, filled) is matches(matchers, labels)


def _whole(pattern: str, value: str) -> bool:
    """Letters and dots only: as long, and each letter the same."""
    return len(pattern) == len(value) and all(one in {".", other} for one, other in zip(pattern, value, strict=True))


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a)\1", "(?=a)a", "(?!a)b", "(?<=a)b", "(?P<x>a)(?P=x)", "(a)?(?(1)b|c)", "(?>a+)b", "a++",
        "(", "[", "a{2,1}", "*", "\\", "a{1001}", "((a{1,100}){1,100}){1,100}",
    ],
)  # fmt: skip
def test_what_re2_does_not_take_is_refused(pattern: str) -> None:
    with pytest.raises(UnusableMatcherError):
        refuse_unusable([Matcher(name="x", value="y"), Matcher(name="x", op=MatchOp.MATCHES, value=pattern)])


HOSTILE = [
    "(a+)+$", "(a+)+", "(a*)*b", "(a|a)*b", "(a|aa)+b", "(.*)*b", "a?" * 60 + "a" * 60 + "b", "(ab|ab){1,40}c",
    ".*.*.*.*.*.*.*.*x", ".*a.*a.*a.*a.*a.*x", "(?:x+x+)+y", "([a-z]+)*@", "(a{0,30}){0,30}b", "((a{0,100}){0,10})*b",
    "(|a)+b", "[ab]*a[ab]{200}x", "((((((((((a*)*)*)*)*)*)*)*)*)*b",
]  # fmt: skip


@pytest.mark.parametrize("pattern", HOSTILE)
def test_no_pattern_takes_long_on_any_text(pattern: str) -> None:
    """By CPU of this thread, as others share the machine. One that goes back over its text would never be done."""
    for text in ("a" * MAX_TRIED_CHARS, "ab" * (MAX_TRIED_CHARS // 2), "x" * MAX_TRIED_CHARS):
        began = time.thread_time()
        assert not matches([Matcher(name="x", op=MatchOp.MATCHES, value=pattern)], {"x": f"{text[:-1]}?"})
        assert time.thread_time() - began < 1


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab.*+?|()", max_size=8), st.text(alphabet="ab\n", max_size=6))
def test_patterns_mean_what_they_always_meant(pattern: str, text: str) -> None:
    try:
        refuse_unusable([Matcher(name="y", value="z"), Matcher(name="x", op=MatchOp.MATCHES, value=pattern)])
        expected = re.compile(pattern, re.ASCII).fullmatch(text) is not None
    except (UnusableMatcherError, re.error):
        return
    if re.search(r"[*+?][*+?]", pattern) is None:  # which the two read differently
        assert matches([Matcher(name="x", op=MatchOp.MATCHES, value=pattern)], {"x": text}) is expected


def test_a_trial_ends_and_asks_first_what_costs_nothing() -> None:
    seconds = iter(range(1_000))
    trial = Trial(seconds=3, clock=lambda: next(seconds))
    tried = [Matcher(name="x", op=MatchOp.MATCHES, value="b.*"), Matcher(name="chain", value="base")]
    assert not any(trial.matches(tried, {"x": f"b{number}", "chain": "op"}) for number in range(100))
    for number in range(3):
        assert trial.matches(tried, {"x": f"b{number}", "chain": "base"})
    assert trial.matches(tried, {"x": "b2", "chain": "base"})  # known already
    with pytest.raises(TooLongError):
        trial.matches(tried, {"x": "b3", "chain": "base"})


def test_a_slow_silence_costs_the_others_nothing_and_together_they_have_an_end() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    trials = Trials(each_s=3.0, all_s=8.0, clock=clock)
    tried = [Matcher(name="x", op=MatchOp.MATCHES, value="b.*")]

    def goes(silence: str, number: int) -> bool:
        try:
            return trials.matches(silence, tried, {"x": f"b{number}"})
        except TooLongError:
            return False

    assert [goes("slow", number) for number in range(5)] == [True, True, True, False, False]
    assert trials.slow == {"slow"}
    fast = [goes(f"{one}", number) for one in range(4) for number in range(2)]
    assert fast == [True] * 8, "what the slow one took is not held against them"
    assert not goes("one more", 0)
    assert trials.matches("exact", [Matcher(name="x", value="b")], {"x": "b"}), "this costs nothing"
    assert trials.slow == {"slow"}


def test_only_silences_that_ask_for_a_label_of_the_alert_are_looked_at() -> None:
    def silence(number: int, *typed: str) -> Standing:
        return Standing(tuple(map(matcher, typed)), {"kind": "silence", "id": str(number)})

    silences = [silence(0, "chain=~b.*"), *(silence(n, "host=~.*", f"chain=c{n}") for n in range(1, 50)),
                silence(50, "chain=")]  # fmt: skip
    found = Standings(silences).for_labels({"chain": "c7", "host": "a"})
    assert [one.id for one in found] == ["0", "7", "50"]


def test_a_pattern_of_elsewhere_that_is_not_tried_mutes_nothing() -> None:
    for op in (MatchOp.MATCHES, MatchOp.MATCHES_NOT):
        assert not matches([Matcher(name="x", op=op, value="(?=a)")], {"x": "b"})


@given(st.lists(MATCHERS, min_size=1, max_size=3))
def test_a_silence_never_covers_an_alert_without_labels(matchers: list[Matcher]) -> None:
    try:
        refuse_unusable(matchers)
    except UnusableMatcherError:
        assert matches(matchers, {})
    else:
        assert not matches(matchers, {})


STEPS = st.lists(st.integers(1, 100), max_size=5).map(
    lambda gaps: [
        EscalationStep(title=f"step {place}", after_minutes=sum(gaps[:place])) for place in range(len(gaps) + 1)
    ]
)


@given(STEPS, st.lists(st.integers(0, 60), max_size=30))
def test_looking_often_or_seldom_ends_at_the_same_step(steps: list[EscalationStep], looks: list[int]) -> None:
    """However long nobody looked: an alert is with whom the policy says it is with by now."""
    standing, now = escalating.begin(steps, NOON), NOON
    for wait in looks:
        now += timedelta(minutes=wait)
        if standing.next_at is not None and standing.next_at <= now:
            passed = escalating.after_breach(steps, standing.level, standing.next_at, now)
            assert passed is not None
            assert passed.level > standing.level
            standing = passed
        minutes = (now - NOON).total_seconds() / 60
        due = max(place for place, step in enumerate(steps) if step.after_minutes <= minutes)
        assert (standing.level, standing.to) == (due, steps[due].title)
        above = steps[due + 1] if due + 1 < len(steps) else None
        assert standing.next_to == (above.title if above else None)
        assert standing.next_at == (NOON + timedelta(minutes=above.after_minutes) if above else None)


@given(STEPS, st.integers(0, 5), st.integers(0, 1_000))
def test_passing_on_early_gives_the_next_one_the_whole_time(
    steps: list[EscalationStep], level: int, minutes: int
) -> None:
    at = NOON + timedelta(minutes=minutes)
    passed = escalating.passed_on(steps, level, at)
    if level + 1 >= len(steps):
        assert passed is None
        return
    assert passed is not None
    assert passed.level == level + 1
    if passed.next_at is not None:
        gap = steps[level + 2].after_minutes - steps[level + 1].after_minutes
        assert passed.next_at == at + timedelta(minutes=gap)


def test_without_steps_nobody_has_it() -> None:
    assert escalating.begin([], NOON) == escalating.Standing(0, None)


MUTES = st.lists(
    st.builds(
        lambda kind, ident: {"kind": kind, "id": ident},
        st.sampled_from(["silence", "inhibition"]),
        st.sampled_from("abc"),
    ),
    unique_by=lambda mute: (mute["kind"], mute["id"]),
)


@given(before=MUTES, after=MUTES, cleared=st.booleans())
def test_only_the_end_of_the_last_of_it_raises_again(
    before: list[dict[str, Any]], after: list[dict[str, Any]], *, cleared: bool
) -> None:
    turn = muting_core.turn(before, after, cleared=cleared)
    assert (turn is Turn.RAISED_AGAIN) is (bool(before) and not after and not cleared)
    assert (turn is Turn.MUTED) is (bool(after) and not before and not cleared)
    come, gone = muting_core.differences(before, after)
    assert {_key(one) for one in come} == {_key(one) for one in after} - {_key(one) for one in before}
    assert {_key(one) for one in gone} == {_key(one) for one in before} - {_key(one) for one in after}


@given(MUTES, st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=12))
def test_each_silence_counts_once_in_any_order(before: Sequence[dict[str, Any]], steps: list[tuple[bool, str]]) -> None:
    """Beginnings and ends as they may come, also twice: against a set."""
    mutes: Sequence[muting_core.Mute] = before
    model = {_key(one) for one in before}
    raised_again = 0
    for begins, ident in steps:
        mute = {"kind": muting_core.SILENCE, "id": ident}
        had, now = bool(model), {*model, _key(mute)} if begins else model - {_key(mute)}
        changed = muting_core.with_mute(mutes, mute) if begins else muting_core.without_mutes(mutes, [mute])
        raised_again += muting_core.turn(mutes, changed, cleared=False) is Turn.RAISED_AGAIN
        raised_again -= had and not now
        mutes, model = changed, now
        assert {_key(one) for one in mutes} == model
        assert len(mutes) == len(model)
    assert raised_again == 0


def _key(mute: Mapping[str, Any]) -> tuple[str, str]:
    return mute["kind"], mute["id"]


@given(st.integers(0, 10), st.integers(1, 10), st.integers(0, 30))
def test_a_silence_is_in_force_from_its_start_until_its_end(start: int, length: int, at: int) -> None:
    starts, ends, now = (NOON + timedelta(minutes=minutes) for minutes in (start, start + length, at))
    state = muting_core.state_of(starts, ends, now)
    assert (state is SilenceState.ACTIVE) is (start <= at < start + length)
    assert (state is SilenceState.PENDING) is (at < start)
