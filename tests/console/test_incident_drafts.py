"""Sentences typed into the dialogs of an incident: kept while they are typed, and put beside what others wrote."""

import httpx
import pytest

from console.screens.incidents import drafting
from console.widgets.field import Field
from contract.postmortem import PostmortemState
from tests.console import incident_models as models
from tests.console.driving import Running, running
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
