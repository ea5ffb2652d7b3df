"""The editor of a section: nothing typed is lost, drafts are kept and dropped in order, others' edits are shown."""

import httpx
import pytest

from console.screens.incidents import drafting
from console.widgets.sheet import Sheet
from contract.postmortem import Draft
from tests.console import incident_models as models
from tests.console.driving import Running, running
from tests.console.floor_models import NOW, ago
from tests.console.test_postmortem_screen import PATH, TITLE, open_postmortem, paper_in

CAUSE = f"{PATH}/sections/root_cause"
KEY = f"postmortem:{models.IDENT}:root_cause"


async def _edit(run: Running) -> None:
    """The root cause: the first section that is empty."""
    await open_postmortem(run)
    await run.press("e")
    await run.at(f"{models.IDENT} Root Cause")
    await run.until(lambda: isinstance(run.app.screen.focused, Sheet), "the text has the focus")
    await run.until(lambda: any(path.endswith(KEY) for _, path, _ in run.paper.asked), "drafts are looked for")
    await run.pilot.pause()


def _text(run: Running) -> str:
    return run.app.screen.query_one("#section", Sheet).text


def _puts(run: Running) -> list[str]:
    return [path for method, path, _ in run.paper.asked if method == "PUT"]


def _saved(run: Running) -> list[dict[str, object]]:
    return [body for method, path, body in run.paper.asked if (method, path) == ("PUT", CAUSE)]


async def test_a_section_is_written_previewed_and_saved() -> None:
    async with running(paper_in()) as run:
        await _edit(run)
        await run.type("The *oracle* lagged")
        await run.press("enter", "enter")
        await run.type("- 40 blocks")
        await run.press("f4")
        await run.shows("PREVIEW")
        await run.shows("The oracle lagged\n")
        await run.shows("• 40 blocks")
        await run.press("f4", "f3")
        await run.at(TITLE)
        await run.shows("Saved: Root Cause, version 2.")
        await run.shows("3 of 7 sections wait")
    assert _saved(run) == [{"text": "The *oracle* lagged\n\n- 40 blocks", "base_version": 1}]


async def test_saving_the_same_text_asks_nothing() -> None:
    async with running(paper_in()) as run:
        await _edit(run)
        await run.press("ctrl+s")
        await run.shows("Nothing has changed since it was saved.")
    assert not _saved(run)


async def test_a_lost_line_in_the_middle_of_a_sentence_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.05)
    paper = paper_in()
    async with running(paper) as run:
        await _edit(run)
        await run.type("Because the orac")
        await run.shows("draft kept")
    assert paper.incidents.drafts[KEY].text == "Because the orac"
    async with running(paper) as run:
        await _edit(run)
        await run.shows("This is your draft of 03:12:09 UTC")
        assert _text(run) == "Because the orac"
        await run.type("le lagged")
        await run.press("f3")
        await run.at(TITLE)
        await run.until(lambda: not paper.incidents.drafts, "the draft is gone")
    assert _saved(run) == [{"text": "Because the oracle lagged", "base_version": 1}]


async def test_a_draft_goes_on_from_the_version_it_began_from() -> None:
    paper = paper_in()
    paper.incidents.drafts[KEY] = Draft(key=KEY, text="mine", base_version=0, updated_at=ago(hours=1))
    async with running(paper) as run:
        await _edit(run)
        await run.shows("This is your draft of 02:12:09 UTC")
        await run.press("f3")
        await run.at(TITLE)
    assert _saved(run) == [{"text": "mine", "base_version": 0}]


async def test_a_draft_can_be_dropped() -> None:
    paper = paper_in()
    paper.incidents.drafts[KEY] = Draft(key=KEY, text="mine", base_version=0, updated_at=NOW)
    async with running(paper) as run:
        await _edit(run)
        await run.shows("This is your draft")
        await run.opens("f8", "Drop what is typed")
        await run.shows("1 word that nobody has saved.")
        await run.press("enter")  # Cancel has the focus
        await run.at(f"{models.IDENT} Root Cause")
        assert _text(run) == "mine"
        await run.opens("f8", "Drop what is typed")
        await run.press("tab", "enter")
        await run.shows("What you had typed is dropped.")
        assert _text(run) == ""
        await run.until(lambda: not paper.incidents.drafts, "the draft is gone")
        await run.press("f8")
        await run.shows("This is the saved text: there is nothing to drop.")


async def test_esc_keeps_the_text_as_a_draft() -> None:
    async with running(paper_in()) as run:
        await _edit(run)
        await run.type("later")
        await run.press("escape")
        await run.at(TITLE)
        await run.shows("What you have typed is kept as a draft")
        await run.until(lambda: KEY in run.paper.incidents.drafts, "the draft is kept")
    assert not _saved(run)


async def test_esc_does_not_close_a_text_that_is_not_kept() -> None:
    async with running(paper_in()) as run:
        await _edit(run)
        run.paper.refuse[f"PUT /v1/drafts/{KEY}"] = httpx.ConnectError("refused")
        await run.type("later")
        await run.press("escape")
        await run.shows("NOT kept, so your text stays here. Esc tries again, F8 drops it.")
        await run.shows("draft NOT kept")
        assert _text(run) == "later"
        run.paper.refuse.clear()
        await run.press("escape")
        await run.at(TITLE)
        await run.shows("What you have typed is kept as a draft")
    assert run.paper.incidents.drafts[KEY].text == "later"


async def test_a_draft_that_cannot_be_looked_for_is_not_written_over() -> None:
    paper = paper_in()
    paper.incidents.drafts[KEY] = Draft(key=KEY, text="from before", base_version=1, updated_at=ago(hours=1))
    paper.refuse[f"GET /v1/drafts/{KEY}"] = httpx.ConnectError("refused")
    async with running(paper) as run:
        await _edit(run)
        await run.type("new")
        await run.press("escape")
        await run.shows("NOT kept, so your text stays here.")
        assert paper.incidents.drafts[KEY].text == "from before"
        paper.refuse.clear()
        await run.press("escape")
        await run.at(TITLE)
    kept = paper.incidents.drafts[KEY].text
    assert kept.startswith("from before")
    assert kept.endswith("new")


async def test_a_draft_is_dropped_after_the_last_text_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.05)
    paper = paper_in()
    paper.hold(f"PUT /v1/drafts/{KEY}")
    async with running(paper) as run:
        await _edit(run)
        await run.type("mine")
        await run.until(lambda: any(path.endswith(KEY) for path in _puts(run)), "a text is on its way")
        await run.opens("f8", "Drop what is typed")
        await run.press("tab", "enter")
        await run.shows("What you had typed is dropped.")
        assert not [path for method, path, _ in paper.asked if method == "DELETE"]
        paper.let_go()
        await run.until(lambda: any(method == "DELETE" for method, _, _ in paper.asked), "the draft is dropped")
        await run.until(lambda: not paper.incidents.drafts, "nothing brings it back")


async def test_nothing_can_be_typed_that_a_save_on_its_way_does_not_hold() -> None:
    paper = paper_in()
    paper.hold(f"PUT {CAUSE}")
    async with running(paper) as run:
        await _edit(run)
        await run.type("mine")
        await run.press("f3")
        await run.shows("saving")
        await run.type(" and more")
        await run.press("escape")
        await run.shows("The section is being saved: wait for the answer.")
        assert _text(run) == "mine"
        paper.let_go()
        await run.at(TITLE)
    assert [one["text"] for one in _saved(run)] == ["mine"]


async def test_others_lines_are_merged_and_shown() -> None:
    paper = paper_in()
    paper.incidents.merged = "theirs\nmine"
    async with running(paper) as run:
        await _edit(run)
        await run.type("mine")
        await run.press("f3")
        await run.shows("Saved together with what others have written meanwhile")
        assert _text(run) == "theirs\nmine"


async def test_contested_lines_are_shown_and_saved_once_they_are_decided() -> None:
    paper = paper_in()
    paper.incidents.conflict = models.contested("mine", "theirs")
    async with running(paper) as run:
        await _edit(run)
        await run.type("mine")
        await run.press("f3")
        await run.shows("NOT saved: ana wrote the same lines. Keep what is right, then F3.")
        await run.shows(">>>>>>> saved text")
        await run.press("f7", "backspace")
        await run.type("both")
        await run.press("f3")
        await run.at(TITLE)
    assert _saved(run) == [{"text": "mine", "base_version": 1}, {"text": "both", "base_version": 2}]


async def test_a_refused_save_leaves_the_text() -> None:
    async with running(paper_in()) as run:
        await _edit(run)
        run.paper.refuse[f"PUT {CAUSE}"] = httpx.ConnectError("refused")
        await run.type("kept")
        await run.press("f3")
        await run.shows("ERROR")
        assert _text(run) == "kept"
        run.paper.refuse.clear()
        await run.press("f3")
        await run.at(TITLE)


async def test_without_a_terminal_of_its_own_the_editor_is_refused() -> None:
    async with running(paper_in(), environ={"EDITOR": "true"}) as run:
        await _edit(run)
        await run.type("kept")
        await run.press("f9")
        await run.shows("This terminal cannot be left to an editor.")
        assert _text(run) == "kept"
    async with running(paper_in()) as run:
        await _edit(run)
        await run.press("f9")
        await run.shows("Neither $VISUAL nor $EDITOR names an editor.")
