"""Deliveries in any order and any number: what is known in the end depends on what was said, not on when it came."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from backend.alerts.alertmanager.occurrences import Fate, Heard, Known, Verdict, judge

_BEGAN = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def _at(minutes: float) -> datetime:
    return _BEGAN + timedelta(minutes=minutes)


def _fires(start: float, current: float | None = None) -> Heard:
    return Heard(f"o{start}", _at(start), firing=True, ends_at=None, current=None if current is None else _at(current))


def _over(start: float, end: float) -> Heard:
    return Heard(f"o{start}", _at(start), firing=False, ends_at=_at(end))


@dataclass
class Shelf:
    """What is stored of one fingerprint, changed as `taking` changes it."""

    kept: dict[str, Known] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)

    def hear(self, heard: Heard) -> Verdict:
        live = [one for one in self.kept.values() if one.live]
        assert len(live) <= 1
        latest = max((one.starts_at for one in self.kept.values()), default=None)
        verdict = judge(heard, self.kept.get(heard.occurrence), live[0] if live else None, latest)
        if verdict.clears is not None:
            self.kept[verdict.clears] = replace(self.kept[verdict.clears], live=False)
        self._apply(verdict, heard)
        return verdict

    def _apply(self, verdict: Verdict, heard: Heard) -> None:
        match verdict.fate:
            case Fate.RAISED | Fate.PAST:
                assert verdict.about not in self.kept
                raised = verdict.fate is Fate.RAISED
                self.kept[verdict.about] = Known(heard.occurrence, heard.starts_at, heard.ends_at, live=raised)
            case Fate.RAISED_AGAIN:
                self.kept[verdict.about] = replace(self.kept[verdict.about], live=True, ends_at=None)
            case Fate.CLEARED | Fate.ENDED:
                self.kept[verdict.about] = replace(self.kept[verdict.about], live=False, ends_at=heard.ends_at)
            case Fate.SEEN | Fate.OLD_NEWS:
                assert verdict.about in self.kept
        self.told.append((verdict.fate, verdict.about))

    def shown(self) -> list[tuple[str, datetime | None, bool]]:
        return sorted((one.occurrence, one.ends_at, one.live) for one in self.kept.values())


def _after(heard: Iterable[Heard]) -> Shelf:
    shelf = Shelf()
    for one in heard:
        shelf.hear(one)
    return shelf


@st.composite
def _told(draw: st.DrawFn) -> tuple[list[Heard], list[Heard]]:
    """What an Alertmanager sends of one fingerprint in order, and the same as the network brings it."""
    sent: list[Heard] = []
    minute = 0.0
    for last in [*[False] * draw(st.integers(0, 3)), True]:
        start = minute + draw(st.integers(0, 5))
        end = start + draw(st.integers(1, 5))
        minute = end
        if draw(st.booleans()) or last:
            sent.append(_fires(start))
        if draw(st.booleans()) or not sent:
            sent.append(_over(start, end))
    repeated = [one for one in sent for _ in range(draw(st.integers(1, 3)))]
    return sent, draw(st.permutations(repeated))


@settings(max_examples=1_000, deadline=None)
@given(_told())
def test_the_order_and_number_of_deliveries_do_not_matter(told: tuple[Sequence[Heard], Sequence[Heard]]) -> None:
    sent, brought = told
    shelf = _after(brought)
    assert shelf.shown() == _after(sent).shown()
    assert {one.occurrence for one in sent} == shelf.kept.keys(), "every occurrence is kept once"
    over = {one.occurrence for one in sent if not one.firing}
    newest = max(sent, key=lambda one: one.starts_at).occurrence
    assert [one.occurrence for one in shelf.kept.values() if one.live] == [newest for _ in range(newest not in over)]
    raised = [about for fate, about in shelf.told if fate == Fate.RAISED]
    assert len(raised) == len(set(raised)), "nobody is told twice of one occurrence"


def test_it_fires_again_with_the_same_labels() -> None:
    shelf = _after([_fires(0), _over(0, 2)])
    assert shelf.hear(_fires(5)).fate is Fate.RAISED
    assert shelf.hear(_fires(5)).fate is Fate.SEEN


def test_a_firing_that_comes_after_its_end_raises_nothing() -> None:
    shelf = _after([_over(0, 2)])
    assert shelf.hear(_fires(0)).fate is Fate.OLD_NEWS
    assert not any(one.live for one in shelf.kept.values())


def test_what_fires_again_under_its_old_beginning_is_believed_of_the_api_only() -> None:
    """Prometheus cut off from its Alertmanager for a while: that resolves by itself, and then goes on as it was."""
    shelf = _after([_fires(0), _over(0, 5)])
    assert shelf.hear(_fires(0)).fate is Fate.OLD_NEWS
    assert shelf.hear(_fires(0, current=4)).fate is Fate.OLD_NEWS
    assert shelf.hear(_fires(0, current=6)).fate is Fate.RAISED_AGAIN
    assert shelf.hear(_over(0, 9)).fate is Fate.CLEARED


def test_one_that_was_given_up_comes_back() -> None:
    """An Alertmanager that was restarted knows no alert until Prometheus tells it again."""
    shelf = _after([_fires(0)])
    shelf.kept["o0"] = replace(shelf.kept["o0"], live=False)
    assert shelf.hear(_fires(0)).fate is Fate.RAISED_AGAIN
    shelf.kept["o0"] = replace(shelf.kept["o0"], live=False)
    assert shelf.hear(_over(0, 3)).fate is Fate.ENDED
    assert shelf.hear(_fires(0)).fate is Fate.OLD_NEWS


def test_a_beginning_that_moves_back_is_the_same_occurrence() -> None:
    """Two Prometheuses: the Alertmanager that hears of the one that began earlier later takes its beginning."""
    shelf = _after([_fires(3)])
    assert shelf.hear(_fires(1, current=4)) == Verdict(Fate.SEEN, "o3")
    assert shelf.hear(_over(1, 6)) == Verdict(Fate.PAST, "o1", "o3")
    assert not any(one.live for one in shelf.kept.values())
