"""What a recovery drill means between two answers, and how text from outside reaches no terminal raw."""

from datetime import timedelta

import pytest

from console.commands import drill_words
from console.state import recovery
from console.state.floor import Floor, with_recovery
from console.state.recovery import clock, clock_text, due_text, is_newer, merged, silent_s, span, to_undo
from console.widgets import recovery_drill
from console.widgets.lines import text_of
from contract.recovery_states import DrillState, NodeRole
from tests.console import recovery_models as models
from tests.console.floor_models import NOW
from tests.console.views import view

EVIL = "\x1b[2J\u202eevil\x07"


def test_the_clock_counts_while_the_outage_goes_on_and_stops_at_what_was_measured() -> None:
    runs = clock(models.running(), NOW + timedelta(seconds=5))
    assert (runs.ms, runs.runs) == (12_100, True)
    assert clock(models.passed(), NOW + timedelta(hours=5)) == recovery.Clock(42_130)
    assert clock(models.failed(), NOW) == recovery.Clock()  # it ended and nothing was measured: nothing is guessed
    assert clock(models.waiting(), NOW) == recovery.Clock()


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "00:00.0"), (59_990, "00:59.9"), (61_000, "01:01.0"), (3_723_000, "1:02:03")]
)
def test_a_clock_reads_as_people_read_it(ms: int, text: str) -> None:
    assert clock_text(ms) == text


def test_what_was_not_measured_is_no_figure() -> None:
    assert span(None) == "--"
    assert (span(0), span(962_000)) == ("0 ms", "16 min 2 s")


def test_an_abort_undoes_what_ran_the_last_first_and_nothing_twice() -> None:
    assert [step.number for step in to_undo(models.running())] == [3, 2, 1]
    assert [step.number for step in to_undo(models.failed())] == [2]  # the first is undone already
    assert to_undo(models.waiting()) == []


def test_only_a_drill_that_has_not_ended_can_have_a_silent_backend() -> None:
    later = NOW + timedelta(seconds=30)
    assert silent_s(models.running(), later) == pytest.approx(30.4)
    assert silent_s(models.running(), NOW) is None
    assert silent_s(models.passed(), later) is None


def test_what_arrives_late_does_not_take_anything_back() -> None:
    new, old = models.passed(version=30), models.running()
    assert not is_newer(old, new)
    history = models.history(new)
    assert merged(history, old) is history
    floor = with_recovery(Floor(), new, NOW)
    assert with_recovery(floor, old, NOW).recovery is new
    after = merged(models.history(old), new)
    assert (after.running, after.items[0].state) == (None, DrillState.PASSED)


def test_due_dates_are_said_in_words() -> None:
    today = NOW.date()
    assert due_text(models.schedule(1), today) == ("in 1 day", False)
    assert due_text(models.schedule(0), today) == ("due today", False)
    assert due_text(models.schedule(-3), today) == ("overdue by 3 days", True)
    assert due_text(models.schedule().model_copy(update={"due": None}), today) == ("", False)


def test_two_primaries_and_none_are_said() -> None:
    both = models.topology()
    split = both.model_copy(
        update={"nodes": [node.model_copy(update={"role": NodeRole.PRIMARY}) for node in both.nodes]}
    )
    assert recovery.topology_text(split).startswith("2 nodes say that they are primary")
    assert recovery.topology_text(models.topology(primary="", down="pg-a")).startswith("There is no primary")


def test_text_from_outside_is_cleaned() -> None:
    step = models.step(1, models.running().steps[0].state, summary=EVIL, output=EVIL)
    bad = models.unresolved().model_copy(
        update={"sentence": EVIL, "left_to_do": [EVIL], "log": [EVIL], "steps": [step], "reason": EVIL, "backend": EVIL}
    )
    rows = [*recovery_drill.left_lines(bad, view()), *recovery_drill.below(bad, NOW, view())]
    rows += [*recovery_drill.step_lines(step, NOW, view()), *recovery_drill.output_lines(step, view())]
    shown = "\n".join([*map(text_of, rows), *drill_words.drill(bad, NOW)])
    assert "evil" in shown
    assert not {"\x1b", "\u202e", "\x07"} & set(shown)
