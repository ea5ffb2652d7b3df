"""The post-mortem: several people write, nothing typed is lost, and a second person signs the text that was read."""

import hashlib
from pathlib import Path

import httpx
import pytest

from console.screens.incidents import drafting
from console.widgets.press import Press
from console.widgets.sheet import Sheet
from contract.permissions import Permission
from contract.postmortem import Draft, PostmortemState
from tests.console import incident_models as models
from tests.console.driving import Running, running
from tests.console.floor_models import NOW, ago
from tests.console.paper import Paper, refusal
from tests.console.test_incidents_screen import open_record

TITLE = f"{models.IDENT} Post-mortem"
PATH = f"/v1/incidents/{models.IDENT}/postmortem"
CAUSE = f"{PATH}/sections/root_cause"
KEY = f"postmortem:{models.IDENT}:root_cause"


def _paper(state: PostmortemState = PostmortemState.DRAFT, **changed: object) -> Paper:
    paper = Paper()
    paper.incidents.postmortems = [models.postmortem(state, **changed)]
    return paper


async def _open(run: Running) -> None:
    await open_record(run)
    await run.press("P")
    await run.at(TITLE)
    await run.shows("POST-MORTEM")


async def _edit(run: Running) -> None:
    """The root cause: the first section that is empty."""
    await _open(run)
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


async def test_one_that_nobody_has_opened_is_opened_from_the_record() -> None:
    async with running() as run:
        await open_record(run)
        await run.press("P")
        await run.shows("Nobody has opened it yet: n opens it, filled in from the record.")
        await run.press("e")
        await run.shows("Nobody has opened the post-mortem yet")
        await run.opens("n", "Open the post-mortem")
        await run.shows("Root Causes, Trigger")
        await run.type("s")
        await run.shows("to do: name one of incident, sre")
        await run.press("backspace", "enter")
        await run.shows("4 of 7 sections wait")
    assert run.paper.posted(PATH) == [{"template": "incident"}]


async def test_another_template_is_chosen_when_it_is_opened() -> None:
    async with running() as run:
        await open_record(run)
        await run.press("P")
        await run.shows("Nobody has opened it yet")
        await run.opens("n", "Open the post-mortem")
        await run.press(*["backspace"] * len("incident"))
        await run.type("sre")
        await run.press("enter")
        await run.shows("POST-MORTEM")
    assert run.paper.posted(PATH) == [{"template": "sre"}]


async def test_a_section_is_written_previewed_and_saved() -> None:
    async with running(_paper()) as run:
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
    async with running(_paper()) as run:
        await _edit(run)
        await run.press("ctrl+s")
        await run.shows("Nothing has changed since it was saved.")
    assert not _saved(run)


async def test_a_lost_line_in_the_middle_of_a_sentence_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "KEEP_S", 0.05)
    paper = _paper()
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
    paper = _paper()
    paper.incidents.drafts[KEY] = Draft(key=KEY, text="mine", base_version=0, updated_at=ago(hours=1))
    async with running(paper) as run:
        await _edit(run)
        await run.shows("This is your draft of 02:12:09 UTC")
        await run.press("f3")
        await run.at(TITLE)
    assert _saved(run) == [{"text": "mine", "base_version": 0}]


async def test_a_draft_can_be_dropped() -> None:
    paper = _paper()
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
    async with running(_paper()) as run:
        await _edit(run)
        await run.type("later")
        await run.press("escape")
        await run.at(TITLE)
        await run.shows("What you have typed is kept as a draft")
        await run.until(lambda: KEY in run.paper.incidents.drafts, "the draft is kept")
    assert not _saved(run)


async def test_esc_does_not_close_a_text_that_is_not_kept() -> None:
    async with running(_paper()) as run:
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
    paper = _paper()
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
    paper = _paper()
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
    paper = _paper()
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
    paper = _paper()
    paper.incidents.merged = "theirs\nmine"
    async with running(paper) as run:
        await _edit(run)
        await run.type("mine")
        await run.press("f3")
        await run.shows("Saved together with what others have written meanwhile")
        assert _text(run) == "theirs\nmine"


async def test_contested_lines_are_shown_and_saved_once_they_are_decided() -> None:
    paper = _paper()
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
    async with running(_paper()) as run:
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
    async with running(_paper(), environ={"EDITOR": "true"}) as run:
        await _edit(run)
        await run.type("kept")
        await run.press("f9")
        await run.shows("This terminal cannot be left to an editor.")
        assert _text(run) == "kept"
    async with running(_paper()) as run:
        await _edit(run)
        await run.press("f9")
        await run.shows("Neither $VISUAL nor $EDITOR names an editor.")


async def test_only_what_was_read_is_approved() -> None:
    paper = _paper(PostmortemState.REVIEW)
    text = models.markdown(paper.incidents.postmortems[0])
    digest = hashlib.sha256(text).hexdigest()
    async with running(paper) as run:
        await _open(run)
        await run.shows("It waits for you or another person")
        await run.press("T")
        await run.shows("Read it first (r)")
        await run.press("r")
        await run.shows(f"sha256 {digest}")
        await run.press("escape")
        await run.shows("POST-MORTEM")
        await run.opens("T", "Approve the post-mortem")
        await run.shows(digest)
        await run.press("enter")  # Cancel has the focus
        await run.at(TITLE)
        assert not run.paper.posted(f"{PATH}/approve")
        await run.opens("T", "Approve the post-mortem")
        await run.press("tab", "enter")
        await run.shows(f"Approved: {models.IDENT}, version 1, sha256 {digest[:16]}.")
        await run.shows("Approved by officer1; it never changes again.")
        await run.press("e")
        await run.shows("It is approved: only a draft can be written.")
    assert run.paper.posted(f"{PATH}/approve") == [{"sha256": digest}]


async def test_a_writer_cannot_even_try_to_approve() -> None:
    async with running(_paper(PostmortemState.REVIEW, submitted_by="officer1")) as run:
        await _open(run)
        await run.shows("It waits for somebody who has not written it")
        await run.press("r")
        await run.shows("sha256")
        await run.press("escape")
        await run.shows("POST-MORTEM")
        await run.press("T")
        await run.shows("You wrote or submitted it: somebody else has to approve it.")


@pytest.mark.parametrize(
    ("state", "offered", "refused"),
    [
        (PostmortemState.DRAFT, "e edit", {"T": "It cannot be approved: nobody has submitted it (s).",
                                           "B": "It cannot be sent back: nobody has submitted it (s)."}),
        (PostmortemState.REVIEW, "T approve", {"s": "It is in review already: T approves it"}),
        (PostmortemState.APPROVED, "n open", dict.fromkeys("TBs", "ana has approved it: it never changes again")),
    ],
    ids=str,
)  # fmt: skip
async def test_only_what_works_is_offered_and_the_rest_says_why(
    state: PostmortemState, offered: str, refused: dict[str, str]
) -> None:
    approved = {"approved_by": "ana", "approved_at": NOW} if state is PostmortemState.APPROVED else {}
    async with running(_paper(state, **approved)) as run:
        await _open(run)
        keys = run.screen.splitlines()[-1]
        assert offered in keys
        for key, why in refused.items():
            assert f" {key} " not in keys
            run.app.say("", "")
            await run.press(key)
            await run.shows(f"REFUSED {why}")
    assert not run.paper.acts_below(PATH)


async def test_a_text_that_changed_after_it_was_read_is_refused_in_the_servers_words() -> None:
    paper = _paper(PostmortemState.REVIEW)
    paper.refuse[f"POST {PATH}/approve"] = refusal(409, "conflict", "The text is not the one that you have read.")
    async with running(paper) as run:
        await _open(run)
        await run.press("r")
        await run.shows("sha256")
        await run.press("escape")
        await run.opens("T", "Approve the post-mortem")
        await run.press("tab", "enter")
        await run.shows("REFUSED The text is not the one that you have read.")


async def test_it_is_submitted_sent_back_and_says_why() -> None:
    async with running(_paper()) as run:
        await _open(run)
        await run.press("s")
        await run.shows("Submitted: somebody who has not written it has to approve it (T).")
        await run.opens("B", "Send the post-mortem back")
        await run.type("no root cause")
        await run.press("tab", "tab", "enter")
        await run.shows("It was sent back: no root cause")
    assert run.paper.posted(f"{PATH}/send-back") == [{"why": "no root cause"}]


async def test_why_it_cannot_be_submitted_is_read_in_full() -> None:
    why = "Nobody has written: Lessons Learned. No record knows these. " + "Where nothing is to be said, say so. " * 3
    paper = _paper()
    paper.refuse[f"POST {PATH}/submit"] = refusal(409, "conflict", f"{why}The end.")
    async with running(paper) as run:
        await _open(run)
        await run.press("s")
        await run.shows("REFUSED Nobody has written: Lessons Learned.")
        await run.shows("The end.")
        await run.press("e")
        await run.at(f"{models.IDENT} Root Cause")
        await run.press("escape")
        await run.at(TITLE)
        await run.hides("REFUSED")


async def test_an_approved_one_is_amended_as_the_next_version_and_both_can_be_seen() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    async with running(_paper(PostmortemState.APPROVED, approved_by="ana", approved_at=NOW, sha256=digest)) as run:
        await _open(run)
        await run.shows(f"sha256 {digest}")
        await run.opens("n", "Amend the post-mortem")
        await run.press("tab", "enter")
        await run.shows("Version 2 is open.")
        await run.shows("version 2 of 2")
        await run.press("v")
        await run.shows("Approved by ana; it never changes again.")
        await run.press("v")
        await run.shows("version 2 of 2")


async def test_who_may_take_nothing_out_reads_it_all_the_same_and_approves_nothing() -> None:
    paper = _paper(PostmortemState.REVIEW)
    paper.refuse[f"GET /v1/incidents/{models.IDENT}/export"] = refusal(403, "not_allowed", "Your role exports nothing.")
    async with running(paper) as run:
        await _open(run)
        await run.press("r")
        await run.shows("Root Cause ──")
        assert "sha256" not in run.screen
        await run.press("escape")
        await run.shows("POST-MORTEM")
        await run.press("T")
        await run.shows("Read it first (r)")


async def test_an_export_goes_into_a_new_private_file(tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    async with running(_paper()) as run:
        await _open(run)
        await run.opens("x", "Export the incident")
        await run.type(str(target.with_suffix(".doc")))
        await run.shows("to do: let the name end in .md")
        await run.press(*["backspace"] * 3)
        await run.type("md")
        await run.press("tab", "tab", "enter")
        await run.shows("Wrote")
    assert target.read_bytes() == models.markdown(run.paper.incidents.postmortems[0])
    assert target.stat().st_mode & 0o077 == 0


async def test_an_auditor_reads_and_writes_nothing() -> None:
    allowed = frozenset(Permission) - {Permission.HANDLE_INCIDENTS, Permission.APPROVE_POSTMORTEMS}
    paper = _paper()
    paper.role, paper.permissions = "external_auditor", allowed
    async with running(paper) as run:
        await _open(run)
        for key in ("e", "s", "B", "n"):
            await run.press(key)
            await run.shows("REFUSED Your role external_auditor may not do this")
        await run.press("r")
        await run.shows("sha256")
    assert not run.paper.acts_below(PATH)
