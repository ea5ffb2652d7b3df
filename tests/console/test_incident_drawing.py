"""The pure parts of the screens of incidents: Markdown, times, timelines that grow, figures."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.commands.incident_words import numbers
from console.state.incident_record import (
    Record,
    current_step,
    looked,
    next_step,
    open_action,
    parse_time,
    with_older,
)
from console.widgets import incidents as draw
from console.widgets import postmortem
from console.widgets.glyphs import ASCII, UNICODE
from console.widgets.incident_parts import chart_rows, figure_rows, size_text
from console.widgets.lines import text_of, width_of
from console.widgets.markdown import markdown_lines
from contract.base import Page
from contract.incidents import (
    Clock,
    IncidentStats,
    Interval,
    MilestoneName,
    ResponseCompliance,
    Severity,
    TimelineEntry,
)
from contract.postmortem import PostmortemState
from tests.console import incident_models as models
from tests.console.floor_models import NOW, ago
from tests.console.views import view

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=200)
MARKDOWN = st.lists(
    st.sampled_from(["# a", "- b", "  1. c", "> d", "```", "|x|y|", "|--|--|", "***", "[t](u)", "`z`", ""]) | ANY_TEXT
)


def _shown(text: str, width: int = 60) -> list[str]:
    return [text_of(row) for row in markdown_lines(text, view(width))]


def test_markdown_is_shown_as_it_is_read() -> None:
    text = """# Root cause

The **oracle** lagged
by `40` blocks ([log](https://example.invalid/log)).

1. first
2. second
   - inner

> said so

```
x = [1]   # as typed
```

| a | long |
|---|---|
| 1 | 2 |
"""
    rows = _shown(text)
    assert rows[0].startswith("Root cause ──")
    assert rows[2:4] == ["The oracle lagged by 40 blocks (log", "(https://example.invalid/log))."]
    assert [row for row in rows if row.strip()[:2] in {"1.", "2.", "• "}] == ["1. first", "2. second", "  • inner"]
    assert "│ said so" in rows
    assert "  x = [1]   # as typed" in rows
    assert rows[-2:] == ["a  long", "1  2   "]


def test_html_and_unknown_marks_are_shown_as_typed() -> None:
    assert _shown("<script>alert(1)</script>") == ["  <script>alert(1)</script>"]
    assert _shown("[red]not markup[/]") == ["[red]not markup[/]"]


@given(st.lists(MARKDOWN).map(lambda parts: "\n".join("\n".join(part) for part in parts)), st.integers(12, 90))
def test_no_markdown_breaks_the_screen(text: str, width: int) -> None:
    for row in markdown_lines(text, view(width)):
        assert width_of(row) <= width
        assert "\x1b" not in text_of(row)
        assert "\n" not in text_of(row)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("03:08", NOW.replace(minute=8, second=0)),
        ("3:12:09", NOW),
        ("03:13", NOW.replace(minute=13, second=0) - timedelta(days=1)),
        ("5m", NOW - timedelta(minutes=5)),
        ("2026-11-20T20:42", datetime(2026, 11, 20, 20, 42, tzinfo=UTC)),
    ],
)
def test_a_time_of_day_is_the_last_such_time(typed: str, meant: datetime) -> None:
    assert parse_time(typed, NOW) == meant


@pytest.mark.parametrize("typed", ["24:00", "12:60", "noon", "1:2", ""])
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        parse_time(typed, NOW)


def _page(*numbers: int, more: str | None = None) -> Page[TimelineEntry]:
    entries = [models.entry(number, ago(minutes=100 - number), f"line {number}") for number in numbers]
    return Page[TimelineEntry](items=entries, next_cursor=more)


def test_older_lines_stay_while_nothing_between_can_be_missing() -> None:
    known = with_older(looked(None, models.incident(), _page(6, 5, 4, more="4")), _page(3, 2, more="2"))
    grown = looked(known, models.incident(version=5), _page(8, 7, 6, more="6"))
    assert [one.number for one in grown.lines] == [8, 7, 6, 5, 4, 3, 2]
    assert grown.older == "2"
    gap = looked(grown, models.incident(version=6), _page(20, 19, more="19"))
    assert [one.number for one in gap.lines] == [20, 19]
    assert gap.older == "19"


def test_an_older_answer_does_not_undo_a_newer_one() -> None:
    known = looked(None, models.incident(version=5), _page(2, 1))
    assert looked(known, models.incident(version=4), _page(2, 1)).incident.version == 5


def test_lines_are_in_the_order_of_what_happened_and_then_of_recording() -> None:
    late = models.entry(3, ago(minutes=9), "said later")
    same = models.entry(4, ago(minutes=9), "of the same instant")
    known = looked(None, models.incident(), Page[TimelineEntry](items=[same, late, *_page(2, 1).items]))
    assert [one.number for one in known.lines] == [4, 3, 2, 1]


def test_a_correction_marks_the_line_it_replaces_even_if_that_was_loaded_before() -> None:
    correction = models.entry(7, NOW, "41 blocks", corrects="line-2")
    known = looked(None, models.incident(), Page[TimelineEntry](items=[correction, *_page(2, 1).items]))
    assert known.corrections == {"line-2": "line-7"}


def test_steps_and_their_actions() -> None:
    one = models.incident()
    step, found, following = current_step(one), open_action(one), next_step(one)
    assert step is not None
    assert found is not None
    where, action = found
    assert where is step
    assert following is not None
    assert (step.name, action.number, following.name) == ("Containment", 2, "Resolution")
    assert next_step(models.incident(step="Post-mortem")) is None
    assert open_action(models.incident(steps=[])) is None


def test_the_sentence_counts_from_the_first_sign_and_says_what_is_overdue() -> None:
    mood, text = draw.milestones_sentence(models.incident(), NOW, UNICODE)
    assert (mood, text) == ("near", "Detected 02:59 · acknowledged +2m00s · contained +5m36s · open for 13m")
    late = models.incident(milestones=[], clocks=[Clock(name="initial report", due_at=ago(minutes=1))])
    assert draw.milestones_sentence(late, NOW, UNICODE) == (
        "bad",
        "Declared 03:00 · open for 12m · initial report is overdue",
    )
    back = models.incident(milestones=[models.milestone(MilestoneName.ACKNOWLEDGED, ago(minutes=15))])
    assert "acknowledged -3m00s" in draw.milestones_sentence(back, NOW, UNICODE)[1]


@pytest.mark.parametrize("width", [20, 40, 78, 118])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_everything_fits_its_room(width: int, glyphs: object) -> None:
    from console.state.floor import Floor

    room = view(width, glyphs=glyphs)  # type: ignore[arg-type]  # parametrised
    known = Record(models.incident(title="漢字" * 90), {one.id: one for one in models.timeline()})
    rows = [row for row, _ in draw.record_rows(known, Floor(), room)]
    rows += [draw.list_head(room), *(draw.list_row(one, NOW, room) for one in models.incidents())]
    rows += [row for row, _ in postmortem.rows(models.postmortem(PostmortemState.REVIEW), NOW, room)]
    if width >= 78:  # what is wider is cut off where it is painted
        assert max(width_of(row) for row in rows) <= width
    if glyphs is ASCII:
        assert all(text_of(row).replace("漢", "").replace("字", "").isascii() for row in rows)


def test_figures_without_incidents_say_so_and_missing_ones_are_never_zero() -> None:
    empty = models.stats().model_copy(update={"groups": []})
    assert [text_of(row) for row in figure_rows(empty, view())] == ["No incident was declared in this time."]
    rows = [text_of(row) for row in figure_rows(models.stats(), view())]
    assert any("TTM" in row and " 2 " in row for row in rows)
    november = next(row for row in rows if row.startswith("2026-11"))
    assert november.rstrip().endswith("--")
    assert "█" not in november


def test_what_nobody_was_waited_for_is_counted_apart() -> None:
    stats = models.stats()
    whole = stats.groups[0]
    apart = [one.model_copy(update={"unmeasured": 2 * (one.interval is Interval.TTA)}) for one in whole.intervals]
    none = ResponseCompliance(severity=Severity.LOW, target_minutes=15, in_time=0, late=0, unanswered=0, unmeasured=2)
    stats = stats.model_copy(
        update={
            "groups": [whole.model_copy(update={"intervals": apart})],
            "compliance": [stats.compliance[0].model_copy(update={"unmeasured": 1}), none],
        }
    )
    for width in (80, 120):
        rows = [text_of(row) for row in figure_rows(stats, view(width))]
        assert rows[3].strip() == "2 not measured: declared by whoever saw it first"
        assert any(row.endswith("1 of 1 within 15 min, 1 not measured") for row in rows)
        assert any("LOW" in row and row.endswith("--  none within 15 min, 2 not measured") for row in rows)
    said = "\n".join(numbers(stats))
    assert "of 4, 2 not measured" in said
    assert "Not measured: answered by being declared" in said


def test_the_longest_bar_is_the_longest_month() -> None:
    stats: IncidentStats = models.stats()
    bars = {text_of(row)[:7]: text_of(row).count("█") for row in chart_rows(stats, view())[1:]}
    assert bars["2026-09"] == 40
    assert bars["2026-10"] == 16
    assert bars["2026-11"] == 0


def test_sizes() -> None:
    assert [size_text(size) for size in (999, 18_422, 10 * 1024 * 1024)] == ["999 bytes", "18.4 kB", "10.5 MB"]
