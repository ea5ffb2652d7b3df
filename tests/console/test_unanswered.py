"""A console that begins says what became of freezes that nobody had answered, until somebody has read it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from console.client.unanswered import Notes
from console.commands.base import Call
from contract.errors import ErrorCode, ErrorEnvelope, ExitCode
from contract.freeze import Freeze, FreezeRequest, FreezeStatus, SentFreeze
from contract.scope import Scope
from tests.console import floor_models as models
from tests.console.driving import Running, running
from tests.console.paper import Paper
from tests.support.commands import Commands
from tests.support.floor import Floor
from tests.support.people import ADMIN, OFFICER

URL, TOKEN, KEY, OTHER = "http://127.0.0.1:8420", "t" * 20, "0a" * 16, "0b" * 16
PATH = f"/v1/freezes/sent/{KEY}"


def notes(state: Path, *, url: str = URL, token: str = TOKEN, age_s: float = 60.0) -> Notes:
    return Notes(str(state / "watchfloor"), url, token, now=lambda: models.NOW - timedelta(seconds=age_s))


async def noted(state: Path, key: str = KEY, scope: str = "chain:base", *, age_s: float = 60.0) -> None:
    request = FreezeRequest(scope=Scope.parse(scope), reason="losses", idempotency_key=key)
    await notes(state, age_s=age_s).put(request)


def refusal(code: ErrorCode, status: int) -> httpx.Response:
    body = ErrorEnvelope(code=code, message="No.", request_id="r-1")
    return httpx.Response(status, content=body.model_dump_json())


def taken(**changed: object) -> httpx.Response:
    freeze: Freeze = models.freeze().model_copy(update={"ref": "FRZ-0007"} | changed)
    return httpx.Response(200, content=SentFreeze(taken=True, freeze=freeze).model_dump_json())


def not_taken() -> httpx.Response:
    return httpx.Response(200, content=SentFreeze(taken=False).model_dump_json())


def console(paper: Paper, state: Path, *, loaded: bool = True) -> AbstractAsyncContextManager[Running]:
    return running(paper, environ={"XDG_STATE_HOME": str(state)}, size=(120, 30), loaded=loaded)


def kept(state: Path) -> list[str]:
    return [note.key for note in notes(state).all()]


async def test_one_that_was_taken_is_told_until_it_is_read(tmp_path: Path) -> None:
    await noted(tmp_path)
    paper = Paper(refuse={f"GET {PATH}": taken()})
    async with console(paper, tmp_path) as run:
        await run.shows("TAKEN: the freeze of chain:base sent at")
        await run.shows("is FRZ-0007, in force.")
        assert kept(tmp_path) == [KEY]
        await run.press("escape")
        await run.hides("TAKEN")
        await run.until(lambda: kept(tmp_path) == [], "it is forgotten")


@pytest.mark.parametrize(
    ("changed", "standing"),
    [
        ({"status": FreezeStatus.THAWED, "thawed_by": "ophelia"}, "FRZ-0007, thawed since by ophelia"),
        ({"status": FreezeStatus.LATCHED}, "is latched, in force"),
    ],
)
async def test_it_is_told_how_it_stands(tmp_path: Path, changed: dict[str, object], standing: str) -> None:
    await noted(tmp_path)
    async with console(Paper(refuse={f"GET {PATH}": taken(**changed)}), tmp_path) as run:
        await run.shows(standing)


async def test_one_that_was_not_taken_stays_on_the_screen_and_comes_first(tmp_path: Path) -> None:
    await noted(tmp_path)
    await noted(tmp_path, OTHER, "chain:zksync")
    paper = Paper(refuse={
        f"GET {PATH}": taken(), f"GET /v1/freezes/sent/{OTHER}": not_taken(),
    })  # fmt: skip
    async with console(paper, tmp_path) as run:
        await run.shows("ERROR NOT TAKEN: the freeze of chain:zksync sent at")
        await run.press("2")
        await run.at("Alerts")
        await run.shows("ERROR NOT TAKEN: the freeze of chain:zksync sent at")
        assert sorted(kept(tmp_path)) == [KEY, OTHER]
        await run.press("escape")
        await run.hides("NOT TAKEN")
        await run.until(lambda: kept(tmp_path) == [], "both are forgotten")


async def test_other_messages_leave_it_there_and_only_esc_puts_it_away(tmp_path: Path) -> None:
    await noted(tmp_path)
    async with console(Paper(refuse={f"GET {PATH}": not_taken()}), tmp_path) as run:
        await run.shows("NOT TAKEN: the freeze of chain:base")
        run.app.say("done", "something else")
        await run.shows("something else")
        assert "NOT TAKEN" in run.screen
        run.app.say("", "")
        await run.hides("something else")
        assert "NOT TAKEN" in run.screen
        run.app.say("error", "first")
        await run.press("escape")
        await run.hides("first")
        assert "NOT TAKEN" in run.screen
        assert kept(tmp_path) == [KEY]
        await run.press("escape")
        await run.hides("NOT TAKEN")


async def test_esc_on_a_locked_console_forgets_nothing(tmp_path: Path) -> None:
    await noted(tmp_path)
    async with console(Paper(refuse={f"GET {PATH}": not_taken()}), tmp_path) as run:
        await run.shows("NOT TAKEN: the freeze of chain:base")
        await run.app.lock()
        await run.at("Locked")
        await run.press("escape", "escape")
        await run.shows("NOT TAKEN: the freeze of chain:base")
        assert not run.app.put_verdicts_away(1)
        assert kept(tmp_path) == [KEY]


async def test_at_the_login_nobody_elses_is_shown_or_forgotten(tmp_path: Path) -> None:
    await noted(tmp_path)
    async with console(Paper(refuse={f"GET {PATH}": not_taken()}), tmp_path) as run:
        await run.shows("NOT TAKEN: the freeze of chain:base")
        await run.app.sign_in("Your session has ended.")
        await run.at("Log in")
        assert "NOT TAKEN" not in run.screen
        await run.app.signed_in("u" * 20)
        await run.at("Overview")
        await run.press("escape")
        assert "NOT TAKEN" not in run.screen
        assert kept(tmp_path) == [KEY]


async def test_one_that_cannot_be_told_holds_back_no_other(tmp_path: Path) -> None:
    await noted(tmp_path)
    await noted(tmp_path, OTHER, "chain:zksync")
    paper = Paper(refuse={
        f"GET {PATH}": not_taken(), f"GET /v1/freezes/sent/{OTHER}": refusal(ErrorCode.UNAVAILABLE, 503),
    })  # fmt: skip
    async with console(paper, tmp_path) as run:
        await run.shows("NOT TAKEN: the freeze of chain:base")
        await run.shows("UNKNOWN if taken: the freeze of chain:zksync")


async def test_a_backend_that_does_not_know_the_question_leaves_it_unknown(tmp_path: Path) -> None:
    await noted(tmp_path)
    async with console(Paper(refuse={f"GET {PATH}": refusal(ErrorCode.NOT_FOUND, 404)}), tmp_path) as run:
        await run.shows("UNKNOWN if taken: the freeze of chain:base")


async def test_whoever_may_not_ask_is_told_and_it_is_not_asked_again(tmp_path: Path) -> None:
    await noted(tmp_path)
    async with console(Paper(refuse={f"GET {PATH}": refusal(ErrorCode.NOT_ALLOWED, 403)}), tmp_path) as run:
        await run.shows("UNKNOWN if taken: the freeze of chain:base")
        assert "Asking again" not in run.screen
        await run.until(lambda: not [one for one in run.app.workers if one.name == "unanswered"], "it has ended")


async def test_a_console_that_ends_before_anybody_has_read_it_says_it_again(tmp_path: Path) -> None:
    await noted(tmp_path)
    for _ in range(2):
        async with console(Paper(refuse={f"GET {PATH}": taken()}), tmp_path) as run:
            await run.shows("TAKEN: the freeze of chain:base")


async def test_a_young_one_that_is_not_there_is_unknown_until_it_is_old_enough(tmp_path: Path) -> None:
    await noted(tmp_path, age_s=1.0)
    paper = Paper(refuse={f"GET {PATH}": not_taken()})
    async with console(paper, tmp_path) as run:
        await run.shows("UNKNOWN if taken: the freeze of chain:base")
        await run.press("escape")
        await run.hides("UNKNOWN")
        asked = len(run.paper.asked)
        await run.until(lambda: len(run.paper.asked) > asked + 1, "asked again")
        assert "UNKNOWN" not in run.screen
        assert kept(tmp_path) == [KEY]
        run.clock.advance(seconds=30)
        await run.shows("NOT TAKEN: the freeze of chain:base")


async def test_while_it_cannot_be_told_it_is_asked_again(tmp_path: Path) -> None:
    await noted(tmp_path)
    paper = Paper(refuse={f"GET {PATH}": refusal(ErrorCode.UNAVAILABLE, 503)})
    async with console(paper, tmp_path) as run:
        await run.shows("UNKNOWN if taken: the freeze of chain:base")
        paper.refuse[f"GET {PATH}"] = taken()
        await run.shows("TAKEN: the freeze of chain:base")


async def test_without_notes_nothing_is_asked(tmp_path: Path) -> None:
    async with console(Paper(), tmp_path) as run:
        await run.pilot.pause()
        assert not [path for _, path, _ in run.paper.asked if "/sent/" in path]


def test_the_command_line_says_it_too_and_once(run: Commands, floor: Floor) -> None:
    state = run.state / "watchfloor"
    for who, scope in ((OFFICER, "chain:base"), (ADMIN, "chain:arbitrum")):
        note = Notes(str(state), floor.url, floor.token(who), now=lambda: models.NOW)
        key = OTHER if who is ADMIN else KEY
        asyncio.run(note.put(FreezeRequest(scope=Scope.parse(scope), reason="x", idempotency_key=key)))
    ran = run(OFFICER, "freezes", "unanswered")
    assert (ran.code, "NOT TAKEN: the freeze of chain:base sent at" in ran.out) == (ExitCode.CHECK_FAILED, True)
    assert "arbitrum" not in ran.out
    again = run(OFFICER, "freezes", "unanswered", "--json")
    assert (again.code, again.body["items"]) == (ExitCode.OK, [])
    theirs = run(ADMIN, "freezes", "unanswered", "--json").body["items"]
    assert [(one["scope"], one["fate"], one["freeze"]) for one in theirs] == [("chain:arbitrum", "not taken", None)]


def test_the_command_line_forgets_only_what_it_has_printed(
    run: Commands, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Notes(str(run.state / "watchfloor"), floor.url, floor.token(OFFICER), now=lambda: models.NOW)
    asyncio.run(kept.put(FreezeRequest(scope=Scope.parse("chain:base"), reason="x", idempotency_key=KEY)))
    with monkeypatch.context() as broken:
        broken.setattr(Call, "answer", _fail)
        assert "NOT TAKEN" not in run(OFFICER, "freezes", "unanswered").out
    assert [note.key for note in kept.all()] == [KEY]
    assert run(OFFICER, "freezes", "unanswered").code == ExitCode.CHECK_FAILED
    assert kept.all() == []


def _fail(*_: object) -> None:
    raise RuntimeError


def test_a_freeze_from_the_command_line_leaves_no_note_once_it_is_answered(run: Commands) -> None:
    made = run(OFFICER, "freeze", "--scope", "chain:base", "--reason", "losses", "--json")
    assert made.code == ExitCode.OK
    assert list(run.state.rglob("unanswered/*")) == []
    lost = run(OFFICER, "freeze", "--scope", "chain:base", "--reason", "losses", url="http://127.0.0.1:9")
    assert lost.code == ExitCode.UNREACHABLE
    assert len(list(run.state.rglob("unanswered/*"))) == 1
