"""The post-mortem: what each state offers, and a second person signs the text that was read."""

import hashlib
from pathlib import Path

import pytest

from contract.permissions import Permission
from contract.postmortem import PostmortemState
from tests.console import incident_models as models
from tests.console.driving import Running, running
from tests.console.floor_models import NOW
from tests.console.paper import Paper, refusal
from tests.console.test_incidents_screen import open_record

TITLE = f"{models.IDENT} Post-mortem"
PATH = f"/v1/incidents/{models.IDENT}/postmortem"


def paper_in(state: PostmortemState = PostmortemState.DRAFT, **changed: object) -> Paper:
    """A backend with a post-mortem in a state."""
    paper = Paper()
    paper.incidents.postmortems = [models.postmortem(state, **changed)]
    return paper


async def open_postmortem(run: Running) -> None:
    """The post-mortem of the incident that goes on, loaded."""
    await open_record(run)
    await run.press("P")
    await run.at(TITLE)
    await run.shows("POST-MORTEM")


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


async def test_only_what_was_read_is_approved() -> None:
    paper = paper_in(PostmortemState.REVIEW)
    text = models.markdown(paper.incidents.postmortems[0])
    digest = hashlib.sha256(text).hexdigest()
    async with running(paper) as run:
        await open_postmortem(run)
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
    async with running(paper_in(PostmortemState.REVIEW, submitted_by="officer1")) as run:
        await open_postmortem(run)
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
    async with running(paper_in(state, **approved)) as run:
        await open_postmortem(run)
        keys = run.screen.splitlines()[-1]
        assert offered in keys
        for key, why in refused.items():
            assert f" {key} " not in keys
            run.app.say("", "")
            await run.press(key)
            await run.shows(f"REFUSED {why}")
    assert not run.paper.acts_below(PATH)


async def test_a_text_that_changed_after_it_was_read_is_refused_in_the_servers_words() -> None:
    paper = paper_in(PostmortemState.REVIEW)
    paper.refuse[f"POST {PATH}/approve"] = refusal(409, "conflict", "The text is not the one that you have read.")
    async with running(paper) as run:
        await open_postmortem(run)
        await run.press("r")
        await run.shows("sha256")
        await run.press("escape")
        await run.opens("T", "Approve the post-mortem")
        await run.press("tab", "enter")
        await run.shows("REFUSED The text is not the one that you have read.")


async def test_it_is_submitted_sent_back_and_says_why() -> None:
    async with running(paper_in()) as run:
        await open_postmortem(run)
        await run.press("s")
        await run.shows("Submitted: somebody who has not written it has to approve it (T).")
        await run.opens("B", "Send the post-mortem back")
        await run.type("no root cause")
        await run.press("tab", "tab", "enter")
        await run.shows("It was sent back: no root cause")
    assert run.paper.posted(f"{PATH}/send-back") == [{"why": "no root cause"}]


async def test_why_it_cannot_be_submitted_is_read_in_full() -> None:
    why = "Nobody has written: Lessons Learned. No record knows these. " + "Where nothing is to be said, say so. " * 3
    paper = paper_in()
    paper.refuse[f"POST {PATH}/submit"] = refusal(409, "conflict", f"{why}The end.")
    async with running(paper) as run:
        await open_postmortem(run)
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
    async with running(paper_in(PostmortemState.APPROVED, approved_by="ana", approved_at=NOW, sha256=digest)) as run:
        await open_postmortem(run)
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
    paper = paper_in(PostmortemState.REVIEW)
    paper.refuse[f"GET /v1/incidents/{models.IDENT}/export"] = refusal(403, "not_allowed", "Your role exports nothing.")
    async with running(paper) as run:
        await open_postmortem(run)
        await run.press("r")
        await run.shows("Root Cause ──")
        assert "sha256" not in run.screen
        await run.press("escape")
        await run.shows("POST-MORTEM")
        await run.press("T")
        await run.shows("Read it first (r)")


async def test_an_export_goes_into_a_new_private_file(tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    async with running(paper_in()) as run:
        await open_postmortem(run)
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
    paper = paper_in()
    paper.role, paper.permissions = "external_auditor", allowed
    async with running(paper) as run:
        await open_postmortem(run)
        for key in ("e", "s", "B", "n"):
            await run.press(key)
            await run.shows("REFUSED Your role external_auditor may not do this")
        await run.press("r")
        await run.shows("sha256")
    assert not run.paper.acts_below(PATH)
