"""Lines of a timeline as they are typed: one key, kept on the server every second, sent once."""

import httpx
import pytest

from console.screens.incidents import drafting
from console.widgets.sheet import Sheet
from contract.postmortem import Draft
from tests.console.driving import running
from tests.console.floor_models import NOW
from tests.console.incident_models import IDENT
from tests.console.paper import Paper
from tests.console.test_incidents_screen import NOTES, open_record

DRAFT = f"/v1/drafts/note:{IDENT}"


async def test_a_note_is_one_key_and_a_line_and_reaches_the_timeline() -> None:
    async with running() as run:
        await open_record(run)
        await run.press("n")
        await run.type("feed is stale: qq F F")
        await run.press("enter")
        await run.hides("NOTE")
        await run.shows("feed is stale: qq F F")
    (sent,) = run.paper.posted(NOTES)
    assert sent["text"] == "feed is stale: qq F F"
    assert sent["idempotency_key"]


async def test_what_is_typed_is_kept_every_second_and_gone_on_with_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.05)
    paper = Paper()
    async with running(paper) as run:
        await open_record(run)
        await run.press("n")
        await run.type("half a sent")
        await run.shows("draft kept")
        assert paper.incidents.drafts[f"note:{IDENT}"].text == "half a sent"
    async with running(paper) as run:  # the line dropped: another console, the same person
        await open_record(run)
        await run.press("n")
        await run.until(lambda: run.app.screen.query_one("#note", Sheet).text == "half a sent", "the draft is back")
        await run.type("ence")
        await run.press("enter")
        await run.shows("half a sentence")
        await run.until(lambda: not paper.incidents.drafts, "the draft is gone")
    assert [sent["text"] for sent in paper.posted(NOTES)] == ["half a sentence"]


async def test_what_is_typed_before_the_draft_has_come_stands_below_it() -> None:
    paper = Paper()
    paper.incidents.drafts[f"note:{IDENT}"] = Draft(key=f"note:{IDENT}", text="half a sent", updated_at=NOW)
    async with running(paper) as run:
        await open_record(run)
        await run.press("n", "m", "o", "r", "e")
        await run.until(lambda: "half" in run.app.screen.query_one("#note", Sheet).text, "the draft is back")
        assert run.app.screen.query_one("#note", Sheet).text in {"half a sent\nmore", "half a sentmore"}


async def test_esc_keeps_what_was_typed_as_a_draft() -> None:
    async with running() as run:
        await open_record(run)
        await run.press("n")
        await run.type("not yet")
        await run.press("escape")
        await run.shows("What you have typed is kept as a draft")
        await run.until(lambda: f"note:{IDENT}" in run.paper.incidents.drafts, "the draft is kept")
        assert not run.paper.posted(NOTES)
        await run.press("n")
        await run.type("!")
        await run.press("enter")
        await run.shows("not yet!")


async def test_a_draft_that_cannot_be_kept_is_said_beside_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.05)
    async with running() as run:
        run.paper.refuse[f"PUT {DRAFT}"] = httpx.ConnectError("refused")
        await open_record(run)
        await run.press("n")
        await run.type("x")
        await run.shows("draft NOT kept")
        run.paper.refuse.clear()
        await run.shows("draft kept")


async def test_a_note_without_an_answer_stays_and_is_sent_again_as_the_same() -> None:
    async with running() as run:
        await open_record(run)
        run.paper.refuse[f"POST {NOTES}"] = httpx.ReadTimeout("no answer")
        await run.press("n")
        await run.type("once")
        await run.press("enter")
        await run.shows("did not answer in time")
        assert run.app.screen.query_one("#note", Sheet).text == "once"
        run.paper.refuse.clear()
        await run.press("enter")
        await run.hides("NOTE")
    first, second = run.paper.posted(NOTES)
    assert first == second


async def test_pasted_lines_all_arrive() -> None:
    from textual import events

    async with running() as run:
        await open_record(run)
        await run.press("n")
        run.app.post_message(events.Paste("first\nsecond\n\nfourth"))
        await run.until(lambda: "fourth" in run.app.screen.query_one("#note", Sheet).text, "pasted")
        await run.press("f4")
        await run.type("fifth")
        await run.press("enter")
        await run.hides("NOTE")
    assert run.paper.posted(NOTES)[0]["text"] == "first\nsecond\n\nfourth\nfifth"


async def test_a_note_that_is_not_kept_stays_until_it_is_or_is_dropped() -> None:
    async with running() as run:
        await open_record(run)
        run.paper.refuse[f"PUT {DRAFT}"] = httpx.ConnectError("refused")
        await run.press("n")
        await run.type("not yet")
        await run.press("escape")
        await run.shows("NOT kept, so it stays here; Esc tries again, F8 drops it")
        assert run.app.screen.query_one("#note", Sheet).text == "not yet"
        await run.opens("f8", "Drop what is typed")
        await run.shows("2 words that nobody has saved.")
        await run.press("tab", "enter")
        await run.hides("NOTE")
        await run.press("n")
        assert run.app.screen.query_one("#note", Sheet).text == ""
