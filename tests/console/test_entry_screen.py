"""One audit entry: sealed values, the dialog that reveals them, the proof, what it leads to; saved searches."""

from datetime import timedelta

import httpx
import pytest

from console.state.audit_search import LOOK_ON_S, SearchError, changes, parse_search, saved_words
from console.state.sealed import place_of, related, sealed_fields
from contract.audit import RelatedBy, SavedSearch
from contract.permissions import Permission
from tests.console import floor_models as models
from tests.console import ledger_models as ledger
from tests.console.driving import Running, running
from tests.console.paper import Paper, refusal

SECRET = "10.4.0.7"


def _paper(**changes: object) -> Paper:
    return Paper(entries=[ledger.sealed_entry(), *models.entries()], **changes)  # type: ignore[arg-type]


async def _open(run: Running) -> None:
    await run.press("4")
    await run.shows("config.risk.changed")
    await run.press("enter")
    await run.at("Audit entry")


async def _dialog(run: Running) -> None:
    await _open(run)
    await run.opens("R", "Reveal")


async def _reveal(run: Running) -> None:
    await _dialog(run)
    await run.press("tab")
    await run.type("asked by the court")
    await run.press("tab", "tab", "enter")
    await run.at("Audit entry")


async def test_sealed_values_are_shown_as_sealed() -> None:
    async with running(_paper()) as run:
        await _open(run)
        assert run.screen.count("•••") == 3
        assert SECRET not in run.screen


async def test_the_dialog_wants_a_reason_and_enter_on_it_cancels() -> None:
    async with running(_paper()) as run:
        await _dialog(run)
        assert run.app.focused is not None
        assert run.app.focused.id == "cancel"
        assert "ip address, user agent, new contact" in run.screen
        await run.press("enter")
        await run.at("Audit entry")
        assert not run.paper.posted("/v1/audit/e-s/reveal")


async def test_a_reason_reveals_and_leaving_hides_again() -> None:
    async with running(_paper()) as run:
        await _reveal(run)
        await run.shows(SECRET)
        await run.shows("erased: nobody can read it any more")
        await run.shows("Recorded as e-900")
        assert [body["reason"] for body in run.paper.posted("/v1/audit/e-s/reveal")] == ["asked by the court"]
        await run.press("question_mark")
        await run.at("Help")
        await run.press("escape")
        await run.at("Audit entry")
        assert SECRET not in run.screen
        await run.press("escape", "enter")
        await run.at("Audit entry")
        assert SECRET not in run.screen


async def test_what_was_revealed_is_not_copied() -> None:
    async with running(_paper()) as run:
        await _reveal(run)
        await run.shows(SECRET)
        await run.press("y")
        await run.shows("characters to your clipboard")
        assert "config.risk.changed" in run.app.clipboard
        assert SECRET not in run.app.clipboard


async def test_a_dropped_line_leaves_it_unknown_whether_it_was_revealed() -> None:
    paper = _paper(refuse={"POST /v1/audit/e-s/reveal": httpx.ConnectError("gone")})
    async with running(paper) as run:
        await _dialog(run)
        await run.press("tab")
        await run.type("why")
        await run.press("tab", "tab", "enter")
        await run.shows("UNKNOWN whether it was taken")
        assert run.title == "Reveal"


async def test_who_may_not_reveal_is_told_before_any_dialog() -> None:
    allowed = frozenset(Permission) - {Permission.REVEAL_PERSONAL_DATA}
    async with running(_paper(role="auditor", permissions=allowed)) as run:
        await _open(run)
        await run.press("R")
        await run.shows("it lacks reveal_personal")
        assert run.title == "Audit entry"


async def test_an_entry_without_seals_needs_no_reveal() -> None:
    async with running() as run:
        await _open(run)
        await run.press("R")
        await run.shows("This entry has no sealed value.")


async def test_the_proof_is_asked_for_only_on_demand_and_says_what_covers_the_entry() -> None:
    async with running() as run:
        await _open(run)
        await run.shows("Not asked: p takes the proof")
        assert not [path for _, path, _ in run.paper.asked if path.endswith("/proof")]
        await run.press("p")
        await run.shows("In the signed head of 1,204,800 entries")


async def test_a_refused_proof_is_said() -> None:
    paper = Paper(refuse={"GET /v1/ledger/entries/e-0/proof": refusal(404, "not_found", "It is not in the ledger.")})
    async with running(paper) as run:
        await _open(run)
        await run.press("p")
        await run.shows("It is not in the ledger.")


async def test_a_search_whose_time_was_up_says_so_and_goes_on() -> None:
    async with running(Paper(back_to=models.NOW - timedelta(days=30))) as run:
        await run.press("4")
        await run.shows("Searched back to 2026-10-22 03:12 UTC; older entries wait: m goes on.")  # a page is full
        await run.press("m")
        await run.until(lambda: run.paper.asked[-1][2].get("cursor") == "100", "asked for more")
        await run.press("m")
        await run.hides("older entries wait")


def _pages(paper: Paper) -> list[dict[str, object]]:
    return [body for _, path, body in paper.asked if path == "/v1/audit"]


async def test_a_search_whose_time_was_up_goes_on_by_itself_until_a_page_is_full() -> None:
    async with running(Paper(back_to=models.NOW - timedelta(days=30), time_rows=9)) as run:
        await run.press("4")
        await run.shows("older entries wait: m goes on.")
        asked = [int(str(body.get("cursor") or 0)) for body in _pages(run.paper)]
        assert asked == list(range(0, 100, 9)), "pages of nine until there are a hundred"


async def test_it_goes_on_for_a_while_only() -> None:
    paper = Paper(back_to=models.NOW - timedelta(days=30), time_rows=0)
    async with running(paper) as run:
        await run.press("4")
        await run.until(lambda: len(_pages(paper)) > 3, "it goes on by itself")
        assert "Esc stops." in run.screen
        run.clock.at += timedelta(seconds=LOOK_ON_S)
        await run.shows("older entries wait: m goes on.")
        known = len(_pages(paper))
        await run.press("m")
        await run.until(lambda: len(_pages(paper)) > known + 2, "m takes it up again")


async def test_escape_stops_a_search_and_keeps_what_was_found() -> None:
    paper = Paper(back_to=models.NOW - timedelta(days=30), time_rows=0)
    async with running(paper) as run:
        await run.press("4")
        await run.until(lambda: len(_pages(paper)) > 3, "it goes on by itself")
        await run.press("escape")
        await run.shows("Searched back to 2026-10-22 03:12 UTC; older entries wait: m goes on.")
        assert run.title == "Audit"
        await run.pilot.pause(0.2)
        known = len(_pages(paper))
        await run.pilot.pause(0.2)
        assert len(_pages(paper)) == known


async def test_a_search_is_saved_found_again_and_deleted() -> None:
    async with running() as run:
        await run.press("4")
        await run.shows("config.risk.changed")
        await run.press("w")
        await run.shows("There is nothing to save")
        await run.press("s")
        await run.type("result:denied freeze")
        await run.press("enter")
        await run.until(lambda: run.paper.asked[-1][2].get("result") == "denied")
        await run.press("w")
        await run.type("refusals")
        await run.press("enter")
        await run.shows("Saved: s saved:refusals finds it again.")
        assert run.paper.saved["refusals"].filters == {"result": "denied", "q": "freeze"}
        await run.press("s")
        await run.press(*["backspace"] * len("result:denied freeze"))
        await run.type("sav")
        await run.shows("saved:refusals")
        await run.press("tab", "enter")
        await run.until(lambda: run.paper.asked[-1][2].get("q") == "freeze")
        await run.press("W")
        await run.type("refusals")
        await run.press("enter")
        await run.shows("Deleted the saved search refusals.")
        assert not run.paper.saved


def test_a_saved_search_is_narrowed_by_what_stands_beside_it() -> None:
    saved = {"night shift": {"user": "ana", "from": "2026-11-01T00:00:00Z", "q": "halt"}}
    found = parse_search('saved:"night shift" result:denied arbitrum', models.NOW, saved)
    assert found == {"user": "ana", "since": "2026-11-01T00:00:00Z", "result": "denied", "q": "halt arbitrum"}
    assert saved_words(saved) == ["saved:'night shift'"]
    with pytest.raises(SearchError, match="yours are night shift"):
        parse_search("saved:day", models.NOW, saved)
    with pytest.raises(SearchError, match="you have none"):
        parse_search("saved:day", models.NOW)


def test_saved_searches_travel_whole() -> None:
    one = SavedSearch(name="x", filters={"q": "a b"}, saved_at=models.NOW)
    assert SavedSearch.model_validate_json(one.model_dump_json()) == one


def test_what_an_entry_leads_to_is_only_what_it_names() -> None:
    entry = ledger.sealed_entry()
    assert related(entry) == [
        (RelatedBy.ACTOR, "admin1"),
        (RelatedBy.REQUEST, "req-77"),
        (RelatedBy.RESOURCE, "risk/max_daily_loss"),
    ]
    bare = entry.model_copy(
        update={"user_id": None, "resource_id": None, "metadata": {"incident": "INC-1"}, "seq": None}
    )
    assert related(bare) == [(RelatedBy.INCIDENT, "INC-1")]
    assert place_of(bare) == "7y, not in the ledger yet"
    assert sealed_fields(entry) == ["ip_address", "user_agent", "new_contact"]
    assert sealed_fields(models.entry()) == []


def test_values_read_as_words_and_what_was_not_given_is_left_out() -> None:
    given = {
        "log": None,
        "further_page": False,
        "filters": {"event_type": "freeze.*"},
        "subjects": ["a", "b"],
        "to": [],
    }
    entry = models.entry("e-1").model_copy(update={"old_value": None, "new_value": given})
    assert changes(entry) == [
        ("further_page", "", "no"),
        ("filters", "", "event_type: freeze.*"),
        ("subjects", "", "a, b"),
        ("to", "", "nothing"),
    ]
