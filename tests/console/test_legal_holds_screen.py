"""Legal holds: the list with its age, placing one, lifting one by two people; what it keeps is shown first."""

import httpx
import pytest

from console.screens.reading import watched
from console.widgets.press import Press
from contract.permissions import Permission
from tests.console import ledger_models as ledger
from tests.console.driving import Running, running
from tests.console.paper import Paper, refusal

PATH = "/v1/privacy/legal-holds"


async def _open(run: Running) -> None:
    await run.press("8")
    await run.at("Legal holds")
    await run.shows("jane.doe")


async def test_what_waits_for_a_second_person_stands_first_and_lifted_ones_only_when_asked() -> None:
    async with running() as run:
        await _open(run)
        await run.shows("2 legal holds are in force; 1 waits for a second person to lift.")
        assert run.screen.index("the venue has withdrawn") < run.screen.index("jane.doe")
        assert "the audit is over" not in run.screen
        await run.press("a")
        await run.shows("the audit is over")
        await run.press("a")
        await run.hides("the audit is over")


async def test_a_legal_hold_is_placed_on_a_person_or_on_a_log_and_a_time() -> None:
    async with running() as run:
        await _open(run)
        await run.opens("n", "Place a legal hold")
        await run.press("tab", "tab")
        await run.type("90d")
        await run.press("tab")
        await run.type("2026-02-31")
        await run.shows("to do: write the first time as 7d or 2026-03-09")
        await run.press(*["backspace"] * 2)
        await run.type("01")
        await run.press("tab")
        await run.type("2026-01-01")
        await run.shows("to do: let it begin before it ends")
        await run.press(*["backspace"] * 10, "tab")
        await run.type("a case")
        await run.press("tab", "tab", "enter")
        await run.shows("In force: log 90d is kept until two people lift it.")
    wanted = {"subject": None, "log": "90d", "since": "2026-02-01T00:00:00Z", "until": None, "reason": "a case"}
    assert run.paper.acts_below(PATH) == [(PATH, wanted)]


async def test_a_person_and_a_log_at_once_cannot_be_sent() -> None:
    async with running() as run:
        await _open(run)
        await run.opens("n", "Place a legal hold")
        await run.press("tab")
        await run.type("bob")
        await run.press("tab")
        await run.type("90d")
        await run.shows("to do: name a person or a log, not both")
        assert not run.app.screen.query_one("#send", Press).is_on


async def test_one_asks_to_lift_after_seeing_what_is_kept_and_the_other_lifts() -> None:
    async with running() as run:
        await _open(run)
        await run.press("g", *["j"] * 5, "t")
        await run.at("Lift a legal hold")
        await run.shows("9,000 entries")
        await run.shows("812 sealed values")
        await run.listens()
        await run.press("tab")
        await run.type("the case is closed")
        await run.press("tab", "tab", "enter")
        await run.shows("Asked: another person has to lift the legal hold on jane.doe (T).")
        asked = next(one for one in run.paper.legal_holds if one.id == "hold-1")
        theirs = asked.model_copy(update={"lift_requested_by": "ana"})
        run.paper.legal_holds = [theirs if one.id == "hold-1" else one for one in run.paper.legal_holds]
        await run.press("a")
        await run.shows("lift asked by ana, <1m ago: the case is closed")
        await run.press("g", "T")
        await run.at("Lift a legal hold")
        await run.shows("9,000 entries")
        await run.listens()
        await run.press("tab", "enter")
        await run.shows("is no longer kept by this legal hold.")
    ids = [path for path, _ in run.paper.acts_below(PATH)]
    assert ids == [f"{PATH}/hold-1/lift", f"{PATH}/hold-1/lift/approve"]


async def test_enter_on_the_dialog_cancels() -> None:
    async with running() as run:
        await _open(run)
        await run.opens("T", "Lift a legal hold")
        await run.shows("9,000 entries")
        await run.press("enter")
        await run.at("Legal holds")
        assert not run.paper.acts_below(PATH)


async def test_who_asked_cannot_even_try_to_lift() -> None:
    async with running() as run:
        run.paper.legal_holds = [
            one.model_copy(update={"lift_requested_by": "officer1"}) if one.lift_requested_by else one
            for one in run.paper.legal_holds
        ]
        await _open(run)
        await run.press("T")
        await run.at("Lift a legal hold")
        await run.shows("You asked for this yourself: another person has to lift it.")
        await run.shows("to do: leave it to another person")
        assert not run.app.screen.query_one("#send", Press).is_on


async def test_own_approval_is_refused_in_the_servers_words() -> None:
    refused = refusal(403, "second_person_required", "Whoever asked cannot approve it.")
    async with running(Paper(refuse={f"POST {PATH}/hold-2/lift/approve": refused})) as run:
        await _open(run)
        await run.opens("T", "Lift a legal hold")
        await run.shows("9,000 entries")
        await run.press("tab", "enter")
        await run.shows("REFUSED Whoever asked cannot approve it.")
        assert run.title == "Lift a legal hold"


async def test_a_lost_line_leaves_the_list_dimmed_with_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "LOOK_S", 0.1)
    async with running() as run:
        await _open(run)
        run.paper.refuse[f"GET {PATH}"] = httpx.ConnectError("refused")
        await run.shows("what you see is from then")
        assert "jane.doe" in run.screen
        run.paper.refuse.clear()
        await run.shows("2 legal holds are in force")


async def test_what_was_never_learned_is_not_called_none() -> None:
    paper = Paper(refuse={f"GET {PATH}": refusal(503, "unavailable", "The database is not answering.")})
    async with running(paper) as run:
        await run.press("8")
        await run.shows("Nothing is known: The database is not answering.")
        assert "No legal hold" not in run.screen


async def test_the_selection_stays_on_its_legal_hold_when_another_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "LOOK_S", 0.1)
    async with running() as run:
        await _open(run)
        await run.press("g", *["j"] * 5)
        run.paper.legal_holds = [ledger.legal_hold("hold-7", subject="bob"), *run.paper.legal_holds]
        await run.shows("bob")
        await run.press("t")
        await run.at("Lift a legal hold")
        await run.shows("keeps   jane.doe")


async def test_number_keys_lead_from_page_to_page_and_back_to_the_screen_below() -> None:
    async with running() as run:
        await _open(run)
        await run.press("7")
        await run.at("Erasures")
        await run.press("8")
        await run.at("Legal holds")
        await run.press("escape")
        await run.at("Overview")


async def test_without_the_permission_nothing_is_asked() -> None:
    allowed = frozenset(Permission) - {Permission.ERASE_PERSONAL_DATA}
    async with running(Paper(role="auditor", permissions=allowed)) as run:
        await run.press("8")
        await run.shows("it lacks erase_personal")
        assert PATH not in [path for _, path, _ in run.paper.asked]
