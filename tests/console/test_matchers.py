"""What a person types for a silence: conditions, how long, and what both start with."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.state.matchers import matchers_for, matchers_text, parse_matchers, parse_minutes
from contract.alert_work import MAX_SILENCE_MINUTES, Matcher, MatchOp
from tests.console import alert_models

_NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters='=!~",{}'), min_size=1, max_size=20
)
_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)


@given(st.lists(st.builds(Matcher, name=_NAMES, op=st.sampled_from(MatchOp), value=_VALUES), min_size=1, max_size=20))
def test_conditions_are_read_back_as_they_are_written(matchers: list[Matcher]) -> None:
    assert parse_matchers(matchers_text(matchers)) == matchers


@pytest.mark.parametrize("text", ['{a="b", c!=d}', 'a="b" c!=d', "a=b,c!=d", ' a = b ,, c != "d" '])
def test_conditions_may_be_written_in_several_ways(text: str) -> None:
    assert [(one.name, one.op, one.value) for one in parse_matchers(text)] == [
        ("a", MatchOp.IS, "b"),
        ("c", MatchOp.IS_NOT, "d"),
    ]


@pytest.mark.parametrize("text", ["", "{}", "a", "=b", 'a="b', 'a="b"c="d"', "a=b c", "a==b=", '"a"="b"'])
def test_what_is_no_condition_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=r"matchers|which alerts"):
        parse_matchers(text)


def test_there_are_at_most_as_many_conditions_as_a_silence_takes() -> None:
    with pytest.raises(ValueError, match="at most 20 matchers"):
        parse_matchers(" ".join(f"l{number}=v" for number in range(21)))


@pytest.mark.parametrize(
    ("text", "minutes"), [("90", 90), ("45m", 45), ("2h", 120), ("1h30m", 90), ("1d", 1440), (" 1W ", 10_080)]
)
def test_how_long_is_read(text: str, minutes: int) -> None:
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "0", "h", "-1h", "1.5h", "1y", "32d", "999999w", "٣h", "1h 1"])
def test_how_long_is_not_guessed_and_bounded(text: str) -> None:
    with pytest.raises(ValueError, match=r"how long|between"):
        parse_minutes(text)


@given(st.text(max_size=12))
def test_no_text_makes_a_silence_longer_than_it_may_be(text: str) -> None:
    with suppress(ValueError):
        assert 1 <= parse_minutes(text) <= MAX_SILENCE_MINUTES


def test_a_silence_starts_with_the_name_and_the_place() -> None:
    loss, rate, _, node, _ = alert_models.alerts()
    assert matchers_text(matchers_for([loss])) == 'alertname="DAILY_LOSS_LIMIT" scope="chain:arbitrum"'
    assert matchers_text(matchers_for([node])) == 'alertname="NodeDown" instance="node-7:9100" job="node"'
    assert matchers_for([]) == []
    both = matchers_for([loss, rate])
    assert [one.name for one in both] == ["alertname"], "their places differ"
    assert all(re.fullmatch(both[0].value, alert.rule) for alert in (loss, rate))


def test_an_alert_without_labels_is_meant_by_its_rule() -> None:
    bare = alert_models.alerts()[0].model_copy(update={"labels": {}})
    assert matchers_text(matchers_for([bare])) == 'alertname="DAILY_LOSS_LIMIT"'
