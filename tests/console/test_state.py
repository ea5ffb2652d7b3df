"""Reducers and judgements: pure functions over contract models."""

import contextlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.state import floor as reducers
from console.state.alert_book import CLEARED_ROWS, PAGE_ROWS, AlertBook, current, filtered
from console.state.audit_search import Found, SearchError, changes, parse_search
from console.state.completion import closest, complete
from console.state.floor import Floor, Link, urgent
from console.state.freezing import UNKNOWN_AFTER_S, Draft, Outcome, Wanted, effect_of, unmet
from console.state.freshness import Freshness, coarse_age, due_text, exact_age, freshness, worst
from console.state.headline import headline
from console.state.pulse import hold_texts, next_look_s
from console.state.scopes import known_scopes, typed_name
from console.widgets.freezes import board_sentence
from contract.alerts import AlertCounts, AlertStatus, Severity
from contract.audit import AuditPage
from contract.base import Page
from contract.executors import ExecutorState
from contract.freeze import Freeze, FreezeStatus, HaltState
from contract.overview import Overview
from contract.risk import MeasureState
from contract.scope import Scope
from tests.console import floor_models as models
from tests.console.floor_models import NOW


def loaded(overview: Overview | None = None, *, live: bool = True) -> Floor:
    """A floor with a snapshot."""
    link = Link.LIVE if live else Link.LOST
    floor = reducers.connected(Floor(), link, NOW, heard=True)
    return reducers.load(floor, overview or models.overview(), NOW)


def calm(**changes: object) -> Overview:
    """A floor on which nothing is wrong."""
    everybody = [one.model_copy(update={"state": ExecutorState.TRADING}) for one in models.executors()]
    quiet = {"alerts": [], "alert_counts": AlertCounts(), "freezes": [], "executors": everybody}
    return models.overview(MeasureState.OK).model_copy(update={**quiet, **changes})


# ages


@pytest.mark.parametrize(
    ("age_s", "coarse", "exact"),
    [
        (0, "<1m", "0s"),
        (59.9, "<1m", "59s"),
        (60, "1m", "1m00s"),
        (3599, "59m", "59m59s"),
        (3600, "1h00", "1h00"),
        (86_400, "1d", "1d"),
    ],
)
def test_ages(age_s: float, coarse: str, exact: str) -> None:
    assert coarse_age(age_s) == coarse
    assert exact_age(age_s) == exact


@given(st.floats(min_value=0, max_value=1e7), st.floats(min_value=1, max_value=3600))
def test_freshness_only_falls(age_s: float, interval_s: float) -> None:
    order = (Freshness.LIVE, Freshness.STALE, Freshness.LOST)
    assert order.index(freshness(age_s, interval_s)) <= order.index(freshness(age_s * 2, interval_s))


def test_past_twice_the_interval_is_stale_and_never_is_worst() -> None:
    assert freshness(120, 60) is Freshness.LIVE
    assert freshness(120.1, 60) is Freshness.STALE
    assert freshness(601, 60) is Freshness.LOST
    assert worst(Freshness.LIVE, freshness(None, 60), Freshness.LOST) is Freshness.NEVER


def test_due_clock() -> None:
    assert due_text(None, NOW) == ("", False)
    assert due_text(NOW + timedelta(minutes=5), NOW) == ("5m left", False)
    assert due_text(NOW - timedelta(hours=2), NOW) == ("2h00 over", True)


# the floor


def test_a_wrong_clock_at_the_desk_does_not_change_ages() -> None:
    desk = NOW + timedelta(hours=3)
    floor = reducers.load(Floor(), models.overview(), desk)
    assert floor.now(desk) == NOW
    assert floor.risk_freshness(desk) is Freshness.LIVE


def test_alerts_are_counted_once_whether_or_not_they_were_listed() -> None:
    floor = loaded()
    assert floor.counts.total == 3
    new = models.alert("new", minutes=-1)
    floor = reducers.with_alert(floor, new, NOW)
    floor = reducers.with_alert(floor, new, NOW)
    assert floor.counts.total == 4
    unlisted = models.alert("beyond the first fifty", minutes=300)
    assert reducers.with_alert(floor, unlisted, NOW).counts.total == 4
    cleared = unlisted.model_copy(update={"status": AlertStatus.CLEARED})
    assert reducers.with_alert(floor, cleared, NOW).counts.total == 3


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(AlertStatus)), st.sampled_from(list(Severity)))))
def test_counts_equal_what_is_listed_after_any_changes(steps: list[tuple[int, AlertStatus, Severity]]) -> None:
    floor = loaded(models.overview().model_copy(update={"alerts": [], "alert_counts": AlertCounts()}))
    for number, status, severity in steps:
        alert = models.alert(f"a-{number}", severity=severity, status=status, minutes=-1)
        floor = reducers.with_alert(floor, alert, NOW)
    assert floor.counts.total == len(floor.alerts)
    for severity in Severity:
        listed = sum(alert.severity is severity for alert in floor.alerts.values())
        assert getattr(floor.counts, severity.value) == listed


def test_urgent_puts_unseen_before_seen_and_severe_before_old() -> None:
    order = [alert.id for alert in urgent({alert.id: alert for alert in reversed(models.alerts())})]
    assert order == ["alert-1", "alert-2", "alert-3"]


def test_a_thawed_freeze_leaves_the_board() -> None:
    floor = loaded()
    assert hold_texts(floor) == ["zksync halt 4/4 halted"]
    floor = reducers.with_freeze(floor, models.freeze(status=FreezeStatus.THAWED), NOW)
    assert hold_texts(floor) == []


def test_a_new_executor_counts_as_one_more() -> None:
    floor = loaded()
    new = models.executors()[0].model_copy(update={"name": "late"})
    assert reducers.with_executors(floor, [new], NOW).executors_total == 43
    assert reducers.with_executors(floor, models.executors(), NOW).executors_total == 42


def test_lost_lines_age_what_came_by_them() -> None:
    polled = reducers.connected(loaded(), Link.POLLING, NOW, heard=True)
    assert polled.feed_freshness(NOW + timedelta(seconds=59)) is Freshness.LIVE
    assert polled.feed_freshness(NOW + timedelta(seconds=61)) is Freshness.STALE
    assert polled.feed_freshness(NOW + timedelta(seconds=301)) is Freshness.LOST
    lost = loaded(live=False)
    assert lost.feed_freshness(NOW) is lost.risk_freshness(NOW) is Freshness.STALE
    assert lost.feed_freshness(NOW + timedelta(seconds=301)) is Freshness.LOST
    assert loaded().feed_freshness(NOW + timedelta(hours=1)) is Freshness.LIVE
    assert Floor().feed_freshness(NOW) is Freshness.NEVER


def test_the_next_look_is_at_the_minute_unless_something_is_wrong() -> None:
    late = NOW + timedelta(seconds=20)
    assert next_look_s(loaded(), late) == pytest.approx(31.02)
    assert next_look_s(loaded(live=False), late) == pytest.approx(1.02, abs=0.03)
    assert next_look_s(loaded(), NOW) == pytest.approx(5.02)


# the headline


@pytest.mark.parametrize(
    ("floor", "mood", "text"),
    [
        (Floor(), "unknown", "Connecting"),
        (loaded(live=False), "bad", "Backend unreachable for 0s"),
        (loaded(models.overview(MeasureState.CROSSED)), "bad", "Daily loss is 11.4 ETH, over the limit"),
        (loaded(), "bad", "Critical, unseen"),
        (loaded(calm(freezes=[models.freeze(halted=3)])), "bad", "only 3 of 4 executors have halted"),
        (loaded(calm(freezes=[models.freeze()])), "frozen", "Trading is stopped on zksync: all 4"),
        (
            loaded(calm(freezes=[models.freeze(status=FreezeStatus.THAW_REQUESTED)])),
            "frozen",
            "Trading is stopped on zksync; FRZ-0031 waits for a second person.",
        ),
        (loaded(calm(risk=models.risk(MeasureState.UNKNOWN))), "unknown", "Not known: daily loss"),
        (loaded(calm(risk=models.risk(MeasureState.NEAR))), "near", "at this pace the limit is hit 04:05 UTC"),
        (loaded(calm(alerts=[models.alerts()[1]])), "near", "1 alert has not been seen"),
        (loaded(calm()), "ok", "All quiet"),
        (loaded(calm(executors=[], executors_total=0)), "unknown", "no executor has registered"),
    ],
)
def test_headline_says_what_matters_most(floor: Floor, mood: str, text: str) -> None:
    found = headline(floor, NOW)
    assert (found.mood, text in found.text) == (mood, True), found


def test_a_silent_executor_is_named() -> None:
    executors = [one.model_copy(update={"state": ExecutorState.TRADING}) for one in models.executors()]
    executors[6] = executors[6].model_copy(update={"state": ExecutorState.SILENT})
    found = headline(loaded(calm(executors=executors)), NOW)
    assert found.text.startswith("bot-07 is silent")


def test_old_risk_is_never_calm() -> None:
    found = headline(loaded(calm()), NOW + timedelta(minutes=5))
    assert found.mood == "unknown"


# lists


def test_the_book_believes_what_was_said_last() -> None:
    book = AlertBook().with_page(Page(items=models.alerts(), next_cursor="c"))
    assert book.next_page == ("open", "c", PAGE_ROWS)
    seen = models.alert(status=AlertStatus.ACKNOWLEDGED, minutes=1)
    assert current(book, {seen.id: seen}, {})["alert-1"].status is AlertStatus.ACKNOWLEDGED
    cleared = models.alert(status=AlertStatus.CLEARED, minutes=0)
    assert list(current(book, {seen.id: seen}, {cleared.id: cleared}))[-1] == "alert-1"
    done = book.with_page(Page(items=[])).with_page(Page(items=[])).with_page(Page(items=[]))
    assert done.next_page is None


def test_filter_wants_every_word_in_any_case() -> None:
    alerts = {alert.id: alert for alert in models.alerts()}
    assert filtered(alerts, "GAS strategy:liq") == ["alert-3"]
    assert filtered(alerts, "gas arbitrum") == []
    assert filtered(alerts, "  ") == list(alerts)


def test_search_reads_words_and_filters() -> None:
    assert parse_search("user:ana result:denied 'max loss' resource:risk/limit since:2h", NOW) == {
        "user": "ana",
        "result": "denied",
        "q": '"max loss"',
        "resource_type": "risk",
        "resource_id": "limit",
        "since": (NOW - timedelta(hours=2)).isoformat(),
    }
    assert parse_search("it's", NOW) == {"q": "it's"}


@pytest.mark.parametrize("text", ["actor:x", "result:maybe", "since:soon"])
def test_search_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(SearchError):
        parse_search(text, NOW)


@given(st.text(max_size=60))
def test_any_text_is_a_search_or_refused(text: str) -> None:
    with contextlib.suppress(SearchError):
        where = parse_search(text, datetime(2026, 1, 1, tzinfo=UTC))
        assert all(isinstance(value, str) for value in where.values())


def test_of_the_cleared_alerts_only_the_newest_page_is_loaded() -> None:
    book = AlertBook().with_page(Page(items=[])).with_page(Page(items=[]))
    assert book.next_page == ("cleared", None, CLEARED_ROWS)
    gone = [models.alert(f"a-{n}", status=AlertStatus.CLEARED, minutes=n) for n in range(CLEARED_ROWS)]
    book = book.with_page(Page(items=gone, next_cursor="more"))
    assert book.next_page is None
    fresh = models.alert("now", status=AlertStatus.CLEARED, minutes=0)
    shown = current(book, {}, {fresh.id: fresh})
    assert len(shown) == CLEARED_ROWS


def test_pages_join_without_repeating() -> None:
    first = Found().with_page(AuditPage(items=models.entries(3), next_cursor="c"), NOW)
    both = first.with_page(AuditPage(items=models.entries(5)), NOW)
    assert [entry.id for entry in both.entries] == [f"e-{number}" for number in range(5)]
    assert both.complete
    assert first.count == "3+"
    assert both.count == "5"


def test_an_entry_says_what_changed() -> None:
    assert changes(models.entry()) == [("limit", "8", "10")]


# scopes, commands, freezing


def test_scopes_that_exist_can_be_picked() -> None:
    names = [str(scope) for scope in known_scopes(loaded())]
    assert names[:3] == ["global", "chain:arbitrum", "chain:base"]
    assert "strategy:arbitrage" in names
    assert len(names) == 1 + 4 + 3 + 42 + 42


def test_a_long_name_is_confirmed_by_its_end() -> None:
    assert typed_name(Scope.parse("chain:arbitrum")) == "arbitrum"
    assert typed_name(Scope.parse("global")) == "global"
    assert typed_name(Scope.parse("strategy:arbitrage+chain:base")) == "base"
    assert typed_name(Scope.parse(f"wallet:{models.WALLET}")) == models.WALLET[-6:]


def test_completion_goes_from_names_to_arguments() -> None:
    known = ["alerts", "audit", "freeze"]
    assert complete("a", known, lambda _: []) == ["alerts", "audit"]
    assert complete("freeze arb", known, lambda _: ["global", "chain:arbitrum"]) == ["freeze chain:arbitrum"]
    assert closest("al", known) == "alerts"
    assert closest("a", known) is None
    assert closest("", known) is None


def test_the_draft_asks_for_one_thing_after_the_other() -> None:
    from contract.freeze import BlastRadius

    blast = BlastRadius(
        scope=Scope.parse("chain:base"),
        executors=8,
        trading=8,
        open_orders=1,
        in_flight=0,
        position_eth=Decimal(1),
        already_frozen=0,
        executor_names=[],
        computed_at=NOW,
    )
    assert Draft().missing == "choose what to freeze"
    assert "write global" in Draft(scope_text="chain").missing
    assert "waiting" in Draft(scope_text="chain:base").missing
    assert "waiting" in Draft(scope_text="chain:basE2", blast=blast).missing
    assert Draft(scope_text="chain:base", blast=blast).missing == "say why"
    assert Draft(scope_text="chain:base", blast=blast, reason="x").missing == "type base to confirm"
    assert Draft(scope_text="chain:base", blast=blast, reason="x", typed=" Base ").missing == ""
    assert Draft(scope_text="chain:base", blast=blast, reason=" ", typed="base").missing == "say why"


def test_a_freeze_is_done_only_when_every_executor_has_answered() -> None:
    assert effect_of(models.freeze(), 1).outcome is Outcome.DONE
    waiting = effect_of(models.freeze(halted=3), 1)
    assert (waiting.outcome, waiting.unproven) == (Outcome.WAITING, ("bot-42",))
    assert effect_of(models.freeze(halted=3), UNKNOWN_AFTER_S).outcome is Outcome.UNKNOWN


def test_a_freeze_stays_open_while_something_is_in_flight_and_fails_when_somebody_goes_on() -> None:
    under_way = effect_of(models.freeze(still_open=1), 1)
    assert (under_way.outcome, under_way.still_open) == (Outcome.DONE, ("bot-39",))
    assert effect_of(models.freeze().model_copy(update={"violations": 1}), 1).outcome is Outcome.FAILED
    proofs = models.freeze().proofs
    gone_on = [proofs[0].model_copy(update={"state": HaltState.VIOLATION}), *proofs[1:]]
    assert effect_of(models.freeze().model_copy(update={"proofs": gone_on}), 1).gone_on == ("bot-39",)


def test_waiting_for_verified_takes_nothing_less() -> None:
    assert unmet(models.freeze(), Wanted.ACKED) == ()
    assert unmet(models.freeze(), Wanted.VERIFIED) == ("bot-39", "bot-40", "bot-41", "bot-42")
    assert unmet(models.freeze(verified=3), Wanted.VERIFIED) == ("bot-42",)
    assert unmet(models.freeze(verified=4), Wanted.VERIFIED) == ()
    without = models.freeze(verified=3).model_copy(update={"proofs": []})
    assert unmet(without, Wanted.VERIFIED) == ("1 not named",)


@pytest.mark.parametrize(
    ("freeze", "says"),
    [
        (models.freeze(), "4 of 4 halted in 0.12 s. By their own word: no second source agrees yet."),
        (models.freeze(verified=1), "A second source agrees for 1; the rest is their own word."),
        (models.freeze(verified=4), "A second source agrees for each of them."),
        (models.freeze(still_open=2), "4 of 4 halted in 0.12 s; bot-39, bot-40 still had something under way."),
        (models.freeze(halted=3), "3 of 4 halted in 0.11 s. No answer yet from bot-42; its permit dies in 1.2 s."),
    ],
)
def test_the_boards_sentence_says_who_has_halted_and_by_whose_word(freeze: Freeze, says: str) -> None:
    dies = NOW + timedelta(seconds=1.2)
    late = [one if one.acked_at else one.model_copy(update={"permit_dead_at": dies}) for one in freeze.proofs]
    freeze = freeze.model_copy(update={"proofs": late})
    assert says in board_sentence(freeze, effect_of(freeze, 1), NOW)[1]


def test_the_servers_clock_is_taken_from_whoever_was_least_late() -> None:
    late = reducers.load(Floor(), models.overview(), NOW + timedelta(seconds=3))
    assert late.now(NOW) == NOW - timedelta(seconds=3)
    at = NOW + timedelta(seconds=10)
    better = reducers.with_beat(late, at, at + timedelta(seconds=0.2))
    assert better.skew == timedelta(seconds=-0.2)
    assert reducers.with_beat(better, at, at + timedelta(seconds=5)) is better
