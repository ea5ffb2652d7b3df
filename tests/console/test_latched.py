"""What people see of a freeze that the database has not taken: that it holds, where, and what is missing."""

import json
import threading

import pytest

from console.commands.status import as_lines
from console.state import floor as reducers
from console.state.floor import Floor, Link
from console.state.freezing import Outcome, Wanted, effect_of, latched_text, unmet
from console.state.headline import headline
from console.state.pulse import hold_texts
from console.widgets.freezes import board_rows, board_sentence
from console.widgets.holds import freeze_row
from console.widgets.lines import text_of
from contract.errors import ExitCode
from contract.freeze import Freeze, FreezeStatus, LatchedFreezes
from contract.risk import MeasureState
from contract.scope import Scope
from tests.console import floor_models as models
from tests.console.driving import running
from tests.console.floor_models import NOW
from tests.console.paper import Paper
from tests.console.views import view
from tests.support.commands import Commands
from tests.support.latching import lock_held
from tests.support.people import OFFICER


def latched(*, kept: bool = True, revoked: int = 3) -> Freeze:
    made = models.freeze(status=FreezeStatus.LATCHED, covered=0, halted=0)
    return made.model_copy(update={"ref": "LATCHED", "epoch": 0, "kept": kept, "revoked": revoked})


def test_on_the_wire_it_has_no_ref_and_reads_as_latched() -> None:
    wire = latched().model_dump_json()
    assert json.loads(wire)["ref"] is None
    assert Freeze.model_validate_json(wire) == latched()
    assert json.loads(models.freeze().model_dump_json())["ref"] == "FRZ-0031"


def test_it_is_never_shown_as_done() -> None:
    assert effect_of(latched(), 3_600.0).outcome is Outcome.WAITING
    assert unmet(latched(), Wanted.ACKED) == unmet(latched(), Wanted.VERIFIED) == ("not in the database yet",)
    mood, text = board_sentence(latched(), effect_of(latched(), 1.0), None)
    assert mood == "near"
    assert text == "LATCHED: in force at this backend, kept by it, waiting for the database."
    told = "\n".join(text_of(row) for row in board_rows(latched(), view(120), late=False))
    assert "of 3 connected executors are revoked" in told
    assert "nobody gets another until the database has it" in told


@pytest.mark.parametrize(("revoked", "told"), [(0, "0 connected executors are"), (1, "1 connected executor is")])
def test_one_that_would_be_lost_says_so(revoked: int, told: str) -> None:
    text = latched_text(latched(kept=False, revoked=revoked))
    assert "NOT KEPT" in text
    assert told in text
    assert board_sentence(latched(kept=False), effect_of(latched(), 1.0), None)[0] == "bad"


def floor_with(*holds: Freeze, link: Link = Link.LIVE) -> Floor:
    """A floor that knows of some freezes, told by the backend alone."""
    known = reducers.load(Floor(), models.overview().model_copy(update={"freezes": [models.freeze()]}), NOW)
    told = LatchedFreezes(items=list(holds))
    return reducers.connected(reducers.with_latched(known, told, NOW), link, NOW, heard=True)


def other(ident: str = "freeze-9", scope: str = "chain:base") -> Freeze:
    return latched().model_copy(update={"id": ident, "scope": Scope.parse(scope), "created_at": NOW})


def test_what_is_latched_stands_beside_the_holds_and_goes_with_the_next_word() -> None:
    floor = floor_with(other(), other("freeze-10", "chain:mantle"))
    assert set(floor.freezes) == {"freeze-1", "freeze-9", "freeze-10"}
    floor = reducers.with_freeze(floor, models.freeze("freeze-9"), NOW)
    floor = reducers.with_latched(floor, LatchedFreezes(items=[other()]), NOW)
    assert floor.freezes["freeze-9"].status is FreezeStatus.ACTIVE, "what the database has is no longer latched"
    assert set(reducers.with_latched(floor, LatchedFreezes(items=[]), NOW).freezes) == {"freeze-1", "freeze-9"}


def test_banner_list_and_sentence_say_latched() -> None:
    floor = floor_with(other())
    assert hold_texts(floor) == ["base halt LATCHED, waiting for the database", "zksync halt 4/4 halted"]
    assert "▲ LATCHED, waiting for the database" in text_of(freeze_row(other(), view(120)))
    narrow = text_of(freeze_row(other(), view(78))).rstrip()
    assert ("LATCHED" in narrow, narrow.endswith("▲ waits for database"), len(narrow) <= 78) == (True, True, True)
    said = headline(floor, NOW)
    assert said.mood == "bad"
    assert said.text == "LATCHED: freeze of base waits for the database; no permit until then."
    lost = headline(floor_with(other(), link=Link.LOST), NOW).text
    assert lost == "LATCHED: freeze of base waits for the database; this is the floor as of 03:12:09 UTC."


def test_journals_of_others_are_said_when_nothing_is_worse() -> None:
    calm = models.overview(MeasureState.OK).model_copy(update={"alerts": [], "freezes": [], "journals_elsewhere": 1})
    floor = reducers.connected(reducers.load(Floor(), calm, NOW), Link.LIVE, NOW, heard=True)
    said = headline(floor, NOW)
    assert (said.mood, said.text) == (
        "near",
        "A journal beside this backend's: freezes wait there for a database.",
    )
    status = {
        "alert_counts": dict.fromkeys(("critical", "high", "medium", "low"), 0),
        "freezes": 2, "latched": 1, "journals_elsewhere": 3, "executors_total": 4, "executors_trading": 0,
        "executors_silent": 0, "server_time": NOW.isoformat(), "assessed_at": None,
    }  # fmt: skip
    lines = as_lines(status)
    assert lines[1:3] == [
        "  1 freeze LATCHED, waiting for the database: no permit until then",
        "  freezes wait in 3 journals beside this backend's",
    ]
    assert not any(
        "LATCHED" in line or "journal" in line for line in as_lines(status | {"latched": 0, "journals_elsewhere": 0})
    )


async def test_a_console_hears_of_it_and_forgets_it_with_the_next_word() -> None:
    async with running() as run:
        run.paper.tell_latched(other())
        await run.shows("base halt LATCHED, waiting for the database")
        await run.press("2")
        await run.at("Alerts")
        await run.shows("FROZEN 2")
        run.paper.tell_latched()
        await run.shows("FROZEN 1")


async def test_without_a_database_the_console_shows_what_the_backend_has_latched() -> None:
    paper = Paper()
    async with running(paper) as run:
        paper.freezes["freeze-9"] = other()
        paper.database_up = False
        paper.end_streams()
        await run.shows("base halt LATCHED, waiting for the database")
        assert run.app.pulse().link == "lost"
        del paper.freezes["freeze-9"]  # not kept, and the backend has died
        paper.database_up = True
        await run.until(lambda: run.app.pulse().link == "live", "the line is back")
        await run.shows("FROZEN 1")


async def test_its_board_is_read_from_the_backend_that_latched_it() -> None:
    paper = Paper(freezes={"freeze-9": other()}, overview=models.overview().model_copy(update={"freezes": [other()]}))
    async with running(paper) as run:
        await run.press("3")
        await run.at("Operations")
        await run.press("tab", "enter")
        await run.shows("LATCHED: in force at this backend, kept by it, waiting for the database.")


def test_lists_show_it(run: Commands) -> None:
    with lock_held(run.floor.database_url):
        assert run(OFFICER, "freeze", "--scope", "chain:listed", "--reason", "x").code == ExitCode.OK
        ran = run(OFFICER, "freezes", "list")
        assert any("LATCHED  chain:listed  halt  waiting for the database" in line for line in ran.out.splitlines())
        body = run(OFFICER, "freezes", "list", "--json").body
        assert (body["partial"], body["journals_elsewhere"]) == (None, 0)
        assert "1 freeze LATCHED, waiting for the database" in run(OFFICER, "status").out


def test_the_command_says_latched_and_waits_for_the_database_if_asked(run: Commands) -> None:
    with lock_held(run.floor.database_url):
        ran = run(OFFICER, "freeze", "--scope", "chain:nowhere", "--reason", "x", "--json")
        assert ran.code == ExitCode.OK
        assert (ran.body["outcome"], ran.body["status"], ran.body["ref"]) == ("latched", "latched", None)
        assert ran.body["not_confirmed"] == ["not in the database yet"]
        plain = run(OFFICER, "freeze", "--scope", "chain:nowhere", "--reason", "x", "--wait", "acked", "--timeout", "1")
        assert plain.code == ExitCode.TIMED_OUT
        assert "LATCHED" in plain.out
        assert "kept by this backend, waiting for the database" in " ".join(plain.out.split())
    with lock_held(run.floor.database_url) as other:
        release = threading.Timer(3.0, other.rollback)
        release.start()
        waited = run(OFFICER, "freeze", "--scope", "chain:nowhere", "--reason", "y", "--wait", "acked", "--json")
        release.join()
    assert (waited.code, waited.body["outcome"], waited.body["status"]) == (ExitCode.OK, "done", "active")
    assert waited.body["ref"].startswith("FRZ-")


async def test_who_latched_it_sees_it_everywhere_at_once() -> None:
    async with running() as run:
        await run.app.show_board(other())
        await run.at("Freeze LATCHED")
        await run.press("escape")
        await run.at("Overview")
        await run.shows("base halt LATCHED, waiting for the database")
        run.paper.end_streams()
        await run.shows("FROZEN 1")
        await run.hides("LATCHED")
