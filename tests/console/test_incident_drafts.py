"""Sentences typed into the dialogs of an incident: kept while they are typed, and put beside what others wrote."""

import re

import httpx
import pytest

from console.screens.incidents import drafting
from console.widgets.field import Field
from contract.permissions import Permission
from contract.postmortem import DRAFT_KEY, Draft, PostmortemState
from tests.console import incident_models as models
from tests.console.alert_models import Desk
from tests.console.driving import Running, running
from tests.console.floor_models import NOW
from tests.console.paper import Paper, refusal
from tests.console.test_incidents_screen import PATH, open_record

IDENT = models.IDENT
RESOLVE = f"resolve:{IDENT}"


def _field(run: Running, name: str) -> Field:
    return run.app.screen.query_one(f"#{name}", Field)


@pytest.mark.parametrize(
    ("key", "title", "before", "draft"),
    [("R", "Resolve the incident", (), "resolve"), ("r", "Roles", ("tab", "tab"), "role"),
     ("D", "Close the incident", ("shift+tab",), "close")],
)  # fmt: skip
async def test_a_sentence_in_a_dialog_outlives_a_lost_line(
    monkeypatch: pytest.MonkeyPatch, key: str, title: str, before: tuple[str, ...], draft: str
) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.05)
    paper = Paper()
    async with running(paper) as run:
        await open_record(run)
        await run.opens(key, title)
        await run.press(*before)
        await run.type("the oracle is the le")
        await run.shows("draft kept")
    assert paper.incidents.drafts[f"{draft}:{IDENT}"].text == "the oracle is the le"
    async with running(paper) as run:
        await open_record(run)
        await run.opens(key, title)
        await run.shows("the oracle is the le")


async def test_what_was_resolved_leaves_no_draft() -> None:
    paper = Paper()
    async with running(paper) as run:
        await open_record(run)
        await run.opens("R", "Resolve the incident")
        await run.type("oracle")
        await run.press("escape")
        await run.shows("Kept as a draft")
        assert paper.incidents.drafts[RESOLVE].text == "oracle"
        await run.opens("R", "Resolve the incident")
        await run.until(lambda: _field(run, "note").value == "oracle", "the draft is back")
        await run.type(" replaced")
        await run.press("tab", "tab", "tab", "enter")
        await run.shows("INC-2026-014 is resolved.")
        await run.until(lambda: not paper.incidents.drafts, "the draft is gone")
    assert [body["note"] for body in paper.posted(f"{PATH}/resolve")] == ["oracle replaced"]


async def test_a_dialog_says_that_its_text_is_not_kept_and_closes_for_whoever_insists() -> None:
    paper = Paper(refuse={f"PUT /v1/drafts/{RESOLVE}": httpx.ConnectError("refused")})
    async with running(paper) as run:
        await open_record(run)
        await run.opens("R", "Resolve the incident")
        await run.type("oracle")
        await run.press("escape")
        await run.shows("What you have typed is NOT kept; Esc again closes without it.")
        await run.press("escape")
        await run.at(IDENT)


async def test_what_was_said_when_sending_back_is_kept() -> None:
    paper = Paper()
    paper.incidents.postmortems = [models.postmortem(PostmortemState.REVIEW)]
    async with running(paper) as run:
        await open_record(run)
        await run.press("P")
        await run.shows("POST-MORTEM")
        await run.opens("B", "Send the post-mortem back")
        await run.type("no root")
        await run.press("escape")
        await run.shows("Kept as a draft")
    assert paper.incidents.drafts[f"sendback:{IDENT}"].text == "no root"


async def test_somebody_elses_change_is_shown_beside_ones_own_and_can_be_sent_over_it() -> None:
    told = f"Somebody else has changed the title of {IDENT} meanwhile."
    paper = Paper()
    async with running(paper) as run:
        await open_record(run)
        await run.opens("E", "Edit the incident")
        await run.type(" mine")
        paper.incidents.items[0] = models.incident(title="Theirs", type="key compromise", version=9)
        paper.refuse[f"PATCH {PATH}"] = refusal(409, "conflict", told)
        await run.press(*["tab"] * 9, "enter")
        await run.shows("title is now Theirs")
        await run.shows("Changed by others meanwhile, as below: type.")
        assert _field(run, "title").value == "Losses on arbitrum mine"
        assert _field(run, "type").value == "key compromise"
        paper.refuse.clear()
        await run.press("enter")
        await run.shows("Changed: title.")
    sent = [body for method, path, body in paper.asked if (method, path) == ("PATCH", PATH)]
    assert sent == [
        {"title": "Losses on arbitrum mine", "version": 4},
        {"title": "Losses on arbitrum mine", "version": 9},
    ]


async def test_an_old_draft_never_takes_the_place_of_what_was_saved_since_without_a_word() -> None:
    paper = Paper()
    impact = models.incident().impact.model_copy(update={"description": "forty swaps failed"})
    paper.incidents.items[0] = models.incident(impact=impact, version=9)
    key = f"edit:{IDENT}"
    paper.incidents.drafts[key] = Draft(key=key, text="two swaps fai", base_version=4, updated_at=NOW)
    async with running(paper) as run:
        await open_record(run)
        await run.opens("E", "Edit the incident")
        await run.shows("impact is now forty swaps failed")
        await run.shows("Your draft below was typed before the last change")
        assert _field(run, "description").value == "two swaps fai"
        await run.press(*["tab"] * 7)
        await run.type("led")
        await run.press("escape")
        await run.shows("Kept as a draft: Impact; open this again to go on.")
    assert (paper.incidents.drafts[key].text, paper.incidents.drafts[key].base_version) == ("two swaps failed", 9)


async def test_a_draft_of_the_version_that_is_shown_contests_nothing() -> None:
    paper = Paper()
    key = f"edit:{IDENT}"
    paper.incidents.drafts[key] = Draft(key=key, text="two swaps fai", base_version=4, updated_at=NOW)
    async with running(paper) as run:
        await open_record(run)
        await run.opens("E", "Edit the incident")
        await run.until(lambda: _field(run, "description").value == "two swaps fai", "the draft is back")
        assert "is now" not in run.screen


async def _follow_up(run: Running) -> None:
    """The dialog that changes the first of the list."""
    await open_record(run)
    await run.press("o")
    await run.shows("second RPC provider")
    await run.opens("e", "Something to be done")


async def test_a_contested_follow_up_is_shown_beside_ones_own_and_saved_over_it() -> None:
    path = f"{PATH}/follow-ups/2"
    paper = Paper()
    async with running(paper) as run:
        await _follow_up(run)
        await run.type(" soon")
        theirs = models.follow_ups()[0].model_copy(update={"text": "third RPC provider", "note": "asked", "version": 5})
        paper.incidents.follow_ups[0] = theirs
        told = refusal(409, "conflict", f"Somebody else has changed {IDENT}-2 meanwhile.")
        paper.refuse[f"PATCH {path}"] = told
        await run.press(*["tab"] * 5, "enter")
        await run.shows("what is now third RPC provider")
        await run.shows("Changed by others meanwhile, as below: note.")
        assert (_field(run, "text").value, _field(run, "note").value) == ("second RPC provider soon", "asked")
        paper.refuse.clear()
        await run.press("enter")
        await run.shows("Written down as number 2")
    sent = [body for method, asked, body in paper.asked if (method, asked) == ("PATCH", path)]
    mine = {"text": "second RPC provider soon"}
    assert sent == [{**mine, "version": 1}, {**mine, "version": 5}]


async def test_both_sentences_of_a_follow_up_outlive_a_lost_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.05)
    paper = Paper()
    key = f"followup:{IDENT}:2"
    async with running(paper) as run:
        await _follow_up(run)
        await run.type(" soon")
        await run.press("tab", "tab", "tab")
        await run.type("the ven")
        await run.until(lambda: paper.incidents.drafts.get(key, None) is not None, "it is kept")
        await run.until(lambda: paper.incidents.drafts[key].text.endswith("the ven"), "all of it is kept")
    async with running(paper) as run:
        await _follow_up(run)
        await run.until(lambda: _field(run, "note").value == "the ven", "the note is back")
        assert _field(run, "text").value == "second RPC provider soon"


async def test_what_is_typed_into_a_new_follow_up_and_a_declaration_outlives_a_lost_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.05)
    paper = Paper()
    for times in range(2):
        async with running(paper) as run:
            await open_record(run)
            await run.press("o")
            await run.shows("second RPC provider")
            await run.opens("n", "Something to be done")
            if times:
                await run.until(lambda: _field(run, "text").value == "rehearse the fai", "it is back")
            else:
                await run.type("rehearse the fai")
                await run.shows("draft kept")
    for times in range(2):
        async with running(paper) as run:
            await run.press("I")
            await run.at("Incidents")
            await run.opens("i", "Declare an incident")
            if times:
                await run.until(lambda: _field(run, "title").value == "orders time o", "it is back")
                await run.press("enter")
                await run.at("INC-2026-015")
            else:
                await run.type("orders time o")
                await run.shows("draft kept")
    assert list(paper.incidents.drafts) == [f"followup:{IDENT}:new"], "what was declared leaves no draft"


async def test_leaving_says_what_is_kept_and_what_is_not() -> None:
    async with running() as run:
        await run.press("I")
        await run.at("Incidents")
        await run.opens("i", "Declare an incident")
        await run.type("orders")
        await run.press("tab", *["backspace"] * 6)
        await run.type("low")
        await run.press("escape")
        await run.shows("Kept as a draft: Title; open this again to go on. Not kept: Severity.")


async def test_without_the_permission_that_drafts_need_nothing_is_said_to_be_kept() -> None:
    allowed = frozenset(Permission) - {Permission.HANDLE_INCIDENTS}
    desk = Desk(permissions=allowed)
    async with running(desk) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.opens("n", "Note")
        await run.type("half a sent")
        await run.press("escape")
        await run.at("Alerts")
        assert "draft" not in run.screen
    assert not [path for _, path, _ in desk.asked if path.startswith("/v1/drafts")]


@pytest.mark.parametrize(
    ("way", "title", "before", "draft"),
    [
        (("n",), "Note", (), "alert:note:alert-1"),
        (("space", "space", "A"), "Acknowledge", (), "alert:acknowledge:several"),
        (("r",), "Assign", ("tab",), "alert:assign:alert-1"),
        (("s",), "Silence", ("tab",) * 3, "silence:"),
    ],
)
async def test_a_sentence_about_alerts_outlives_a_lost_line(
    monkeypatch: pytest.MonkeyPatch, way: tuple[str, ...], title: str, before: tuple[str, ...], draft: str
) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.05)
    desk = Desk()
    for times in range(2):
        async with running(desk) as run:
            await run.press("2")
            await run.at("Alerts")
            await run.shows("RelaySilent")
            await run.press(*way[:-1])
            await run.opens(way[-1], title)
            if times:
                await run.shows("the relay mo")
            else:
                await run.press(*before)
                await run.type("the relay mo")
                await run.shows("draft kept")
    (kept,) = desk.incidents.drafts.values()
    assert kept.text == "the relay mo"
    assert kept.key.startswith(draft)
    assert re.fullmatch(DRAFT_KEY, kept.key)


async def test_what_was_noted_leaves_no_draft() -> None:
    desk = Desk()
    async with running(desk) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.shows("RelaySilent")
        await run.opens("n", "Note")
        await run.type("seen before")
        await run.press("enter")
        await run.shows("Noted on 1 alert.")
        await run.until(lambda: not desk.incidents.drafts, "the draft is gone")
