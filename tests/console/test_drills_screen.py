"""Freeze drills in the console: their history, one in detail, starting one, and saving its evidence."""

import json
from pathlib import Path

import pytest

from console.state.freezing import Wanted, effect_of, unmet
from console.state.pulse import hold_texts
from console.widgets import words
from console.widgets.freezes import board_rows, board_sentence
from console.widgets.glyphs import UNICODE
from console.widgets.holds import freeze_row
from console.widgets.lines import text_of
from contract.freeze import Freeze, FreezeStatus, HaltProof, HaltState
from contract.permissions import Permission
from tests.console import drill_models
from tests.console import floor_models as models
from tests.console.driving import Running, running
from tests.console.paper import Paper
from tests.console.test_state import loaded
from tests.console.views import view


async def _history(run: Running) -> None:
    await run.press("9")
    await run.at("Freeze drills")
    await run.shows("FD-0004")


async def test_the_history_tells_times_to_halt_drill_by_drill_and_together() -> None:
    async with running() as run:
        await _history(run)
        await run.shows("time to halt  p50 0.22 s  p99 1.92 s  max 1.92 s  n=11")
        await run.shows("1 missed")
        await run.shows("p99 by drill")
        assert "FD-0003" in run.screen
        assert "MISSED" in run.screen


async def test_without_any_drill_it_says_what_one_is() -> None:
    async with running(Paper(drills=[])) as run:
        await run.press("9")
        await run.at("Freeze drills")
        await run.shows("No freeze drill has been held.")
        await run.shows("has never been tried")


async def test_one_drill_shows_every_canary_and_what_it_signed() -> None:
    async with running(size=(120, 40)) as run:
        await _history(run)
        await run.press("G", "k", "k", "enter")
        await run.at("DRILL FD-0003")
        await run.shows("1 of 3 never acknowledged")
        await run.shows("deaf-0")
        await run.shows("no signed statement")
        assert "its key is on record" in run.screen
        assert "NO KEY on record for it" in run.screen
        assert "left out" in run.screen


async def test_evidence_is_written_once(tmp_path: Path) -> None:
    target = tmp_path / "pack.json"
    async with running() as run:
        await _history(run)
        await run.press("G", "enter")
        await run.at("DRILL FD-0001")
        await run.opens("e", "Evidence")
        await run.press("tab")
        await run.type(str(target))
        await run.press("tab", "tab", "enter")
        await run.shows("bytes of evidence")
        assert json.loads(target.read_text())["drill"]["ref"] == "FD-0001"
        await run.opens("e", "Evidence")
        await run.press("tab")
        await run.type(str(target))
        await run.shows("this file exists")


async def test_nothing_is_selected_on_the_figures_above_the_list() -> None:
    async with running() as run:
        await _history(run)
        await run.press("g", "e")
        await run.shows("Select a drill first.")


async def test_a_drill_is_started_by_the_same_dialog_and_followed_until_it_is_over() -> None:
    paper = Paper()
    async with running(paper) as run:
        await _history(run)
        await run.opens("n", "DRILL: freeze canaries")
        await run.press("tab")
        await run.type("executor:bot-10")
        await run.shows("This stops 1 executor now.")
        await run.shows("nobody has to thaw it")
        await run.press("tab", "tab")
        await run.type("quarterly")
        await run.press("tab")
        await run.type("bot-10")
        await run.press("tab", "tab", "enter")
        await run.at("DRILL FD-0005")
        await run.shows("it ends by itself")
        await run.shows("4 of 4 have acknowledged")
        over = drill_models.ended(5, "0.21", minutes=0)
        paper.drills = [over, *paper.drills[1:]]
        await run.shows("1 halted, none later than 0.21 s")
    [body] = paper.posted("/v1/freezes/drills")
    assert (body["scopes"], body["reason"]) == ([{"kind": "executor", "name": "bot-10"}], "quarterly")
    assert body["idempotency_key"]
    assert paper.posted("/v1/freezes") == []


async def test_who_may_not_freeze_starts_no_drill_and_still_sees_them() -> None:
    paper = Paper(permissions=frozenset(Permission) - {Permission.FREEZE_OPERATIONS})
    async with running(paper) as run:
        await _history(run)
        await run.press("n")
        await run.shows("lacks freeze_o")


def _proof(name: str, state: HaltState, **flags: bool) -> HaltProof:
    return HaltProof(executor=name, state=state, proof="no permit bounds it; not heard of since the freeze", **flags)


@pytest.fixture
def mixed() -> Freeze:
    """A hold over an adapter that has not answered and one that takes no part."""
    proofs = [
        _proof("ft-1", HaltState.REQUESTED, bounded=False),
        _proof("vault", HaltState.DELIVERED, bounded=False, exercised=False),
    ]
    return models.freeze(covered=1, halted=0).model_copy(update={"proofs": proofs, "drill": True})


def test_what_no_permit_bounds_is_never_merely_waited_for(mixed: Freeze) -> None:
    effect = effect_of(mixed, 1.0)
    assert (effect.unproven, effect.unbounded) == (("ft-1",), ("ft-1",))
    mood, text = board_sentence(mixed, effect, None)
    assert (mood, text) == ("near", "0 of 1 halted. No answer yet from ft-1, and no permit bounds it.")
    late = board_sentence(mixed, effect_of(mixed, 60.0), None)
    assert late == ("bad", "UNKNOWN: 0 of 1 halted; no answer from ft-1, and no permit bounds it.")
    assert unmet(mixed, Wanted.ACKED) == ("ft-1",)
    rows = "\n".join(text_of(row) for row in board_rows(mixed, view(120), late=False))
    assert "✖ UNBOUNDED" in rows
    assert "· left out" in rows
    acked = _proof("ft-1", HaltState.ACKED, bounded=False)
    assert words.halted(acked, UNICODE).word == "HALTED"


def test_a_drills_hold_is_tagged_wherever_it_is_listed(mixed: Freeze) -> None:
    overview = models.overview().model_copy(update={"freezes": [mixed]})
    assert hold_texts(loaded(overview)) == ["zksync DRILL halt 0/1 halted"]
    assert "DRILL" in text_of(freeze_row(mixed, view(78)))
    assert any("DRILL: it ends by itself" in text_of(row) for row in board_rows(mixed, view(80), late=False))
    assert mixed.status is FreezeStatus.ACTIVE
