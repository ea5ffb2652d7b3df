"""The numbers of incidents and their clocks: what each is, what is missing, and what never becomes 0."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import WatchfloorError
from backend.incidents import changed, checking, clocks, cursors, metrics
from backend.incidents.clocks import Standing, months_after
from backend.incidents.metrics import Measured
from backend.incidents.numbering import incident_id, parse_incident_id
from backend.policy.incidents import ReportRules
from contract.incidents import INCIDENT_ID, Interval, MilestoneName
from contract.states import Severity

T: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
M = MilestoneName
REPORTS: Final = ReportRules(enabled=True)


def measured(severity: Severity = Severity.HIGH, declared_at: datetime = T, **after_minutes: float) -> Measured:
    reached = {M(name): T + timedelta(minutes=minutes) for name, minutes in after_minutes.items()}
    return Measured(declared_at, severity, reached)


@pytest.mark.parametrize(
    ("interval", "minutes"), [(Interval.TTD, 5), (Interval.TTA, 3), (Interval.TTM, 30), (Interval.TTR, 60)]
)
def test_each_interval_runs_between_its_own_two_milestones(interval: Interval, minutes: int) -> None:
    one = measured(started=0, detected=5, notified=7, acknowledged=10, mitigated=30, resolved=60)
    assert metrics.interval_s(one.milestones, interval) == minutes * 60


def test_without_a_notification_the_answer_is_counted_from_detection() -> None:
    assert metrics.interval_s(measured(detected=5, acknowledged=10).milestones, Interval.TTA) == 300


def test_an_answer_before_anybody_was_sent_anything_is_counted_from_detection() -> None:
    early = measured(detected=5, acknowledged=10, notified=12)
    assert metrics.interval_s(early.milestones, Interval.TTA) == 300
    assert metrics.asked_at(early.milestones, T) == T + timedelta(minutes=5)
    [high] = [one for one in metrics.compliance([early], dict.fromkeys(Severity, 4), T) if one.late]
    assert high.severity is Severity.HIGH, "being told later does not make a late answer one in time"


def test_whoever_sees_it_first_answers_nobody() -> None:
    some = [
        measured(detected=0, acknowledged=0),
        measured(detected=0, acknowledged=0, notified=4),
        measured(detected=-10, acknowledged=0),
        measured(detected=0),
    ]
    stat = metrics.interval_stat(some, Interval.TTA)
    assert (stat.n, stat.missing, stat.unmeasured, stat.median_s) == (1, 1, 2, 600.0)
    assert metrics.interval_stat(some, Interval.TTD).unmeasured == 0
    high = metrics.compliance(some, dict.fromkeys(Severity, 15), T + timedelta(hours=1))[1]
    assert (high.in_time, high.late, high.unanswered, high.unmeasured) == (1, 0, 1, 2)


def test_what_is_unknown_or_runs_backwards_is_missing_and_never_0() -> None:
    some = [measured(started=0, detected=4), measured(detected=4), measured(started=9, detected=4)]
    stat = metrics.interval_stat(some, Interval.TTD)
    assert (stat.n, stat.missing, stat.median_s, stat.p90_s, stat.max_s) == (1, 2, 240.0, 240.0, 240.0)
    nothing = metrics.interval_stat([], Interval.TTD)
    assert (nothing.n, nothing.missing, nothing.median_s) == (0, 0, None)


@given(st.lists(st.floats(0, 1e9), min_size=1), st.integers(1, 100))
def test_a_percentile_is_one_of_the_values_and_enough_are_not_above_it(values: list[float], percent: int) -> None:
    found = metrics.nearest_rank(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    below = [value for value in values if value < found]
    assert len(below) * 100 < percent * len(values)


def test_incidents_are_grouped_by_month_and_severity() -> None:
    some = [
        measured(Severity.LOW, started=0, resolved=1),
        measured(Severity.HIGH),
        measured(Severity.HIGH, declared_at=T + timedelta(days=1)),
    ]
    found = {(one.month, one.severity): one.incidents for one in metrics.groups(some)}
    assert found == {
        (None, None): 3, (None, Severity.HIGH): 2, (None, Severity.LOW): 1,
        ("2026-01", None): 2, ("2026-02", None): 1,
        ("2026-01", Severity.HIGH): 1, ("2026-01", Severity.LOW): 1, ("2026-02", Severity.HIGH): 1,
    }  # fmt: skip
    assert metrics.groups([])[0].incidents == 0


def test_an_answer_counts_by_when_people_were_told_and_time_that_runs_counts_nowhere() -> None:
    some = [
        measured(detected=0, notified=10, acknowledged=69),
        measured(detected=0, acknowledged=61),
        measured(detected=0),
        measured(detected=0, notified=100),
    ]
    now = T + timedelta(minutes=90)
    high = metrics.compliance(some, dict.fromkeys(Severity, 60), now)[1]
    assert (high.severity, high.in_time, high.late, high.unanswered) == (Severity.HIGH, 1, 1, 1)


def standing(**changes: object) -> Standing:
    usual = {"declared_at": T, "milestones": {}, "response_minutes": 15, "classified_at": T, "reported": {}}
    return Standing(**(usual | changes))  # type: ignore[arg-type]


def test_the_response_clock_runs_whether_reports_are_due_or_not() -> None:
    one = standing(milestones={M.DETECTED: T - timedelta(minutes=5), M.ACKNOWLEDGED: T})
    [response] = clocks.clocks(one, ReportRules())
    assert (response.due_at, response.done_at) == (T + timedelta(minutes=10), T)


@pytest.mark.parametrize(
    ("aware_hours_before", "due_after_hours"),
    [(0, 4), (10, 4), (22, 2), (24, 0), (25, 4), (500, 4)],
    ids=["at once", "same day", "day nearly over", "to the minute", "classified after a day", "weeks later"],
)
def test_the_initial_report_is_due_four_hours_after_classification_and_within_the_day(
    aware_hours_before: int, due_after_hours: int
) -> None:
    aware = {M.DETECTED: T - timedelta(hours=aware_hours_before)}
    found = clocks.clocks(standing(milestones=aware), REPORTS)
    assert [one.name for one in found] == ["response", "initial"]
    assert found[1].due_at == T + timedelta(hours=due_after_hours)


def test_later_reports_run_from_when_the_ones_before_were_sent() -> None:
    sent = {"initial": T + timedelta(hours=1), "intermediate": T + timedelta(hours=20)}
    initial, intermediate, final = clocks.clocks(standing(reported=sent), REPORTS)[1:]
    assert (initial.done_at, intermediate.due_at) == (sent["initial"], T + timedelta(hours=73))
    assert (final.due_at, final.done_at) == (datetime(2026, 3, 1, 8, tzinfo=UTC), None)


def test_a_month_later_is_the_last_day_of_a_shorter_month() -> None:
    assert months_after(T, 1) == datetime(2026, 2, 28, 12, tzinfo=UTC)
    assert months_after(datetime(2026, 12, 5, tzinfo=UTC), 1) == datetime(2027, 1, 5, tzinfo=UTC)


def test_an_incident_that_is_not_major_is_reported_to_nobody() -> None:
    assert [one.name for one in clocks.clocks(standing(classified_at=None), REPORTS)] == ["response"]


@given(st.integers(1000, 9999), st.integers(1, 999_999))
def test_ids_are_read_as_they_are_written(year: int, number: int) -> None:
    ident = incident_id(year, number)
    assert INCIDENT_ID.match(ident)
    assert parse_incident_id(ident) == parse_incident_id(f" {ident.lower()} ") == ident
    assert parse_incident_id(f"{year}-{number}") == ident


@pytest.mark.parametrize(
    "text", ["", "INC-26-1", "INC-2026-", "INC-2026-1; drop", "INC-2026-1234567", "INC-2026-0", "٢٠٢٦-١"]
)
def test_what_is_no_id_is_none(text: str) -> None:
    assert parse_incident_id(text) is None


@given(st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)), st.integers(1, 9))
def test_only_facts_that_changed_after_what_was_seen_are_overtaken(versions: dict[str, int], seen: int) -> None:
    wanted = dict.fromkeys("abc")
    late = changed.overtaken(versions, wanted, seen)
    assert late == [fact for fact in "abc" if versions.get(fact, 1) > seen]
    assert changed.overtaken(versions, wanted, None) == []


@given(st.text(max_size=400))
def test_no_text_is_taken_for_a_position_that_it_is_not(text: str) -> None:
    with pytest.raises(WatchfloorError):
        cursors.decode(text, int)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 2**31 - 1))
def test_a_position_is_read_as_it_was_written(at: datetime, number: int) -> None:
    assert cursors.decode(cursors.encode(at, number), int) == (at, number)


@given(st.datetimes(timezones=st.timezones()))
def test_any_instant_is_taken_or_refused(at: datetime) -> None:
    with suppress(WatchfloorError):
        assert checking.instant(at, T) == min(at.astimezone(UTC), T)


def test_a_clock_that_is_a_little_ahead_names_now() -> None:
    assert checking.instant(T + timedelta(seconds=59), T) == T
    with pytest.raises(WatchfloorError, match="has not come yet"):
        checking.instant(T + timedelta(seconds=61), T)


def test_nothing_precedes_the_start() -> None:
    known = {M.STARTED: T, M.DETECTED: T + timedelta(minutes=5)}
    checking.in_order(M.RESOLVED, T, known)
    checking.in_order(M.STARTED, T + timedelta(minutes=5), known)
    with pytest.raises(WatchfloorError, match="before it started"):
        checking.in_order(M.RESOLVED, T - timedelta(seconds=1), known)
    with pytest.raises(WatchfloorError, match="started after it was detected"):
        checking.in_order(M.STARTED, T + timedelta(minutes=6), known)
