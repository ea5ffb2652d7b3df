"""The verification screen: starts, watches, comes back, and says plainly how it ended."""

from datetime import timedelta

from console.state.verification import Runs, headline, progress
from console.widgets.lines import text_of
from console.widgets.verification import progress_rows
from contract.permissions import Permission
from tests.console import ledger_models as ledger
from tests.console.driving import Running, running
from tests.console.floor_models import NOW, ago
from tests.console.paper import Paper, refusal
from tests.console.views import view

PATH = "/v1/ledger/verifications"


async def _open(run: Running) -> None:
    await run.press("colon")
    await run.type("verify")
    await run.press("enter")
    await run.at("Verification")
    await run.hides("Asking how")


def _looks(paper: Paper) -> int:
    return sum((method, path) == ("GET", PATH) for method, path, _ in paper.asked)


async def test_the_audit_screen_leads_to_it_and_escape_back() -> None:
    async with running() as run:
        await run.press("4")
        await run.shows("config.risk.changed")
        await run.press("v")
        await run.at("Verification")
        await run.shows("Everything checked out: 1,204,331 entries, 2m ago by officer1.")
        await run.press("escape")
        await run.at("Audit")


async def test_one_is_started_watched_and_its_verdicts_shown() -> None:
    async with running() as run:
        await _open(run)
        assert not run.paper.posted(PATH)
        await run.press("V")
        await run.shows("UNDER WAY from the first entry by officer1")
        assert [body["full"] for body in run.paper.posted(PATH)] == [True]
        run.paper.verifications[0] = ledger.running(403_000)
        run.clock.advance(seconds=1)
        await run.shows("403,000 of 1,204,331 entries")
        run.paper.verifications = [ledger.verification("run-2", minutes=0), *ledger.history()]
        await run.hides("UNDER WAY")
        await run.shows("Everything checked out: 1,204,331 entries, <1m ago by officer1.")


async def test_only_what_is_new_is_verified_unless_all_is_asked_for() -> None:
    async with running() as run:
        await _open(run)
        await run.press("v")
        await run.shows("UNDER WAY what was new")
        assert [body["full"] for body in run.paper.posted(PATH)] == [False]


async def test_it_goes_on_while_nobody_looks_and_is_found_again() -> None:
    async with running() as run:
        await _open(run)
        await run.press("V")
        await run.shows("UNDER WAY")
        await run.press("escape")
        await run.at("Overview")
        looks = _looks(run.paper)
        run.paper.verifications[0] = ledger.running(900_000)
        await run.pilot.pause(0.05)
        assert _looks(run.paper) == looks
        await _open(run)
        await run.shows("900,000 of 1,204,331 entries")


async def test_somebody_elses_is_joined_and_said() -> None:
    async with running(Paper(verifications=[ledger.running(by="ana"), *ledger.history()])) as run:
        await _open(run)
        await run.press("v")
        await run.shows("One was already under way: this is it.")
        await run.shows("by ana")


async def test_a_failed_verdict_cannot_be_overlooked() -> None:
    async with running(Paper(verifications=[ledger.failed(), *ledger.history()])) as run:
        await _open(run)
        await run.shows("✖ The ledger is not what was written: 4 findings, 2m ago by officer1.")
        await run.shows("✖ VERIFICATION FAILED: CONTENT, PROJECTION")
        await run.shows("7y #812,004")
        await run.shows("and 1 more")
        await run.press("escape")
        await run.press("4")
        await run.shows("✖ The ledger is not what was written")


async def test_an_earlier_one_is_shown_on_enter_while_the_sentence_stays() -> None:
    async with running(Paper(verifications=[ledger.failed(), *ledger.history()])) as run:
        await _open(run)
        await run.press("G", "k", "enter")
        await run.shows("812 entries read, what was new")
        assert "VERIFICATION FAILED" in run.screen
        await run.press("G", "enter")
        await run.shows("It could not be carried out: the database went away")


async def test_a_lost_backend_leaves_what_was_known_with_its_age_and_the_look_is_repeated() -> None:
    async with running(Paper(verifications=[ledger.running(), *ledger.history()])) as run:
        await _open(run)
        await run.shows("403,000")
        run.paper.drop()
        await run.shows("what you see is from then")
        run.clock.advance(seconds=40)
        run.app.repaint()
        await run.shows("Nothing heard for 40s")
        assert "403,000" in run.screen
        run.paper.up = True
        run.paper.verifications[0] = ledger.running(700_000, seconds=-40)
        await run.shows("700,000")


async def test_nothing_verified_yet_is_not_called_good() -> None:
    async with running(Paper(verifications=[])) as run:
        await _open(run)
        await run.shows("Nobody has verified this ledger yet.")
        assert "●" not in run.screen.splitlines()[1]


async def test_without_the_permission_nothing_is_asked() -> None:
    allowed = frozenset(Permission) - {Permission.VIEW_AUDIT_LOGS}
    async with running(Paper(role="trader", permissions=allowed)) as run:
        await run.press("5")
        await run.shows("it lacks view_audit_logs")
        assert run.title == "Overview"
        assert not _looks(run.paper)


async def test_a_refused_start_says_why() -> None:
    paper = Paper(refuse={f"POST {PATH}": refusal(503, "unavailable", "No verifier runs.", "Start a backend.")})
    async with running(paper) as run:
        await _open(run)
        await run.press("v")
        await run.shows("No verifier runs. Start a backend.")


def test_pace_and_time_left_come_from_what_this_console_saw() -> None:
    first = ledger.running(400_000, seconds=10)
    runs = Runs().with_all([first], NOW)
    assert progress(first, runs.pace).rate is None
    later = ledger.running(604_331, seconds=0)
    runs = runs.with_all([later], NOW)
    at = progress(later, runs.pace)
    assert at.rate == 20_433.1
    assert at.left is not None
    assert timedelta(seconds=29) < at.left < timedelta(seconds=30)
    shown = "\n".join(text_of(row) for row in progress_rows(later, runs.pace, NOW, view()))
    assert "604,331 of 1,204,331 entries, 20,433 a second, 29s left" in shown
    assert runs.with_all([ledger.verification()], NOW).pace is None


def test_sentences_say_what_is_known_and_no_more() -> None:
    def said(*items: object) -> tuple[str, str]:
        return headline(Runs().with_all(list(items), NOW), NOW)  # type: ignore[arg-type]

    assert headline(Runs(), NOW)[0] == ""
    assert said()[0] == "near"
    partly = ledger.verification(verdicts={**ledger.verification().verdicts, "external": ledger.report("not_checked")})
    mood, text = said(partly)
    assert mood == ""
    assert text.startswith("No finding, but external not checked: 1,204,331 entries, 2m ago")
    assert said(ledger.failed())[0] == "bad"
    assert said(ledger.history()[2])[0] == "near"
    waiting = ledger.running().model_copy(update={"state": "waiting", "seen_at": ago(seconds=42)})
    assert said(waiting) == ("near", "Waiting for 42s: no backend has begun the verification.")
    assert said(ledger.running(seconds=90))[0] == "near"
