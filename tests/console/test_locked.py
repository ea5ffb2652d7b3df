"""The lock: warned of, covering, opened by every factor with all as it was, and never in the way of a freeze."""

import asyncio
from dataclasses import dataclass, field

import httpx
import pytest

from console.locking import IdleLook
from console.widgets.field import Field
from contract.auth import WhoAmI
from contract.presence import PRESENT_HEADER
from contract.sessions import Unlocked
from tests.console import floor_models as models
from tests.console.driving import Running, running
from tests.console.paper import Paper, refusal

IDLE_S = 900
DATA = "DAILY_LOSS_LIMIT"
"""Stands on the overview, and must not on the cover."""
REFUSED = refusal(403, "session_locked", "Your session is locked.", "Unlock it.")


@dataclass
class Locking(Paper):
    """A backend that locks."""

    locked: bool = False
    slow: asyncio.Event | None = None
    """Until when an unlocking is not answered."""
    heard_of_person: int = 0
    tried: list[dict[str, object]] = field(default_factory=list)

    def transport(self) -> httpx.MockTransport:
        """What an `Api` talks to."""

        async def handle(request: httpx.Request) -> httpx.Response:
            self.heard_of_person += request.headers.get(PRESENT_HEADER) == "yes"
            if self.locked and request.url.path == "/v1/stream":
                return REFUSED
            if self.slow is not None and request.url.path == "/v1/auth/unlock":
                await self.slow.wait()
            return await self._handle(request)

        return httpx.MockTransport(handle)

    def _answer(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        if path == "/v1/auth/whoami" and self.signed_in:
            left = 0 if self.locked else IDLE_S
            person = WhoAmI(
                username="officer1", role=self.role, permissions=self.permissions, locked=self.locked,
                locks_in_seconds=left, locks_after_seconds=IDLE_S,
            )  # fmt: skip
            return httpx.Response(200, content=person.model_dump_json())
        if path == "/v1/auth/unlock" and self.signed_in:
            self.tried.append(body)
            if body["password"] != "right":
                return refusal(401, "login_failed", "Name, password or code is wrong.")
            self.locked = False
            opened = Unlocked(locks_in_seconds=IDLE_S, expires_at=models.NOW)
            return httpx.Response(200, content=opened.model_dump_json())
        if self.locked and not path.startswith(("/v1/freezes", "/v1/auth/logout")) and self.signed_in:
            return REFUSED
        return super()._answer(method, path, body)


async def _pass(run: Running, seconds: float) -> None:
    run.clock.advance(seconds=seconds)
    run.app.post_message(IdleLook())
    await run.pilot.pause()


async def _lock(run: Running, paper: Locking) -> None:
    paper.locked = True
    await _pass(run, IDLE_S)
    await run.at("Locked")


async def _unlock(run: Running, typed: str = "right") -> None:
    await run.type(typed)
    await run.press("enter")
    await run.type("123456")
    await run.press("enter")


async def test_a_minute_before_it_warns_and_any_key_keeps_it_open() -> None:
    paper = Locking()
    async with running(paper) as run:
        await run.until(lambda: run.app.idle.after is not None, "the backend's word")
        await _pass(run, IDLE_S - 61)
        assert "Nobody uses this" not in run.screen
        await _pass(run, 2)
        await run.shows("it locks in 59 s")
        assert paper.heard_of_person == 0
        await run.press("j")
        await run.until(lambda: paper.heard_of_person == 1, "the backend is told")
        await run.hides("Nobody uses this")
        await _pass(run, 60)
        assert run.title == "Overview"


async def test_the_warning_takes_no_key_from_whoever_types_and_no_error_from_sight() -> None:
    async with running(Locking()) as run:
        await run.until(lambda: run.app.idle.after is not None, "the backend's word")
        run.app.say("error", "something that nobody has read yet")
        await _pass(run, IDLE_S - 30)
        await run.shows("it locks in 30 s")
        await run.press("j")
        await run.shows("something that nobody has read yet")


async def test_it_covers_what_was_shown_and_gives_it_back() -> None:
    paper = Locking()
    async with running(paper) as run:
        await run.shows(DATA)
        await _lock(run, paper)
        await run.shows("officer1 unlocks it.")
        assert DATA not in run.screen
        assert run.app.pulse().link == "locked"
        await _unlock(run)
        await run.at("Overview")
        await run.shows(DATA)
        await run.until(lambda: run.app.pulse().link == "live", "live data again")
        assert [one["password"] for one in paper.tried] == ["right"]


async def test_what_was_typed_into_a_dialog_is_still_there() -> None:
    paper = Locking()
    async with running(paper) as run:
        await run.press("F", "F")
        await run.at("Freeze")
        await run.listens()
        await run.press("tab")
        await run.type("chain:arbitrum")
        await run.shows("This stops 12 executors now.")
        await run.press("tab", "tab", *"losses")
        dialog = run.app.screen
        await _lock(run, paper)
        assert "losses" not in run.screen
        await _unlock(run)
        await run.at("Freeze")
        assert run.app.screen is dialog
        assert dialog.query_one("#reason", Field).value == "losses"
        assert dialog.query_one("#scope", Field).value == "chain:arbitrum"


async def test_what_was_typed_elsewhere_does_not_stand_in_the_cover() -> None:
    paper = Locking()
    async with running(paper) as run:
        await run.app.lock()
        await run.press(*"losses")
        await run.at("Locked")
        assert run.app.screen.query_one("#password", Field).value == ""
        await run.app.sign_in("It has ended.")
        await run.press(*"losses")
        await run.at("Log in")
        assert run.app.screen.query_one("#user", Field).value == ""


async def test_unlocking_leaves_a_dialog_that_was_opened_meanwhile_and_its_freeze_alone() -> None:
    paper = Locking()
    async with running(paper) as run:
        await _lock(run, paper)
        api = run.app.api
        paper.slow = asyncio.Event()
        await _unlock(run)
        await run.press("f4")
        await run.at("Freeze")
        await run.listens()
        dialog = run.app.screen
        await run.press("tab")
        await run.type("chain:arbitrum")
        await run.shows("This stops 12 executors now.")
        paper.slow.set()
        await run.until(lambda: not run.app.is_locked, "unlocked")
        await run.until(lambda: run.app.pulse().link == "live", "live data again")
        assert run.app.screen is dialog
        assert dialog.query_one("#scope", Field).value == "chain:arbitrum"
        assert run.app.api is api, "what is under way with it goes on"
        await run.press("escape")
        await run.at("Overview")


async def test_a_freeze_whose_worker_dies_is_unknown_and_can_be_sent_again() -> None:
    paper = Locking()
    async with running(paper) as run:
        await run.press("F", "F")
        await run.at("Freeze")
        await run.listens()
        paper.refuse["GET /v1/freezes/preview"] = RuntimeError("the client has been closed")
        await run.press("tab")
        await run.type("chain:arbitrum")
        await run.shows("What this would stop could not be learned.")
        paper.refuse["POST /v1/freezes"] = RuntimeError("the client has been closed")
        await run.press("tab", "tab", *"losses", "tab", *"arbitrum", "tab", "tab", "enter")
        await run.shows("UNKNOWN whether it was taken.")
        await run.shows("Send again")
        paper.refuse.clear()
        await run.press("enter")
        await run.at("Freeze FRZ-0032")


async def test_a_dialog_in_which_the_session_ended_freezes_after_the_sign_in() -> None:
    paper = Locking()
    async with running(paper) as run:
        await run.press("F", "F")
        await run.at("Freeze")
        await run.listens()
        ended = refusal(401, "not_authenticated", "Your session has ended.", "Log in again.")
        paper.refuse["GET /v1/freezes/preview"] = ended
        await run.press("tab")
        await run.type("chain:arbitrum")
        await run.at("Log in")
        paper.refuse.clear()
        await run.app.signed_in("u" * 20)
        await run.at("Freeze")
        await run.shows("This stops 12 executors now.")


async def test_help_above_the_login_goes_with_it() -> None:
    async with running(Locking()) as run:
        await run.app.sign_in("It has ended.")
        await run.at("Log in")
        await run.press("f1")
        await run.at("Help")
        await run.app.signed_in("u" * 20)
        await run.at("Overview")
        assert len(run.app.screen_stack) == 2


async def test_a_word_said_during_the_warning_stays() -> None:
    async with running(Locking()) as run:
        await run.until(lambda: run.app.idle.after is not None, "the backend's word")
        run.app.say("error", "old")
        await _pass(run, IDLE_S - 30)
        await run.shows("it locks in 30 s")
        run.app.say("error", "something new")
        await run.press("j")
        await run.shows("something new")


async def test_a_backend_that_says_so_locks_at_once() -> None:
    paper = Locking()
    async with running(paper) as run:
        paper.locked = True
        paper.end_streams()
        await run.at("Locked")


async def test_a_console_that_begins_on_a_locked_session_is_covered() -> None:
    paper = Locking(locked=True)
    async with running(paper, loaded=False) as run:
        await run.at("Locked")
        await run.shows("officer1 unlocks it.")
        await _unlock(run)
        await run.at("Overview")
        await run.shows(DATA)


async def test_wrong_factors_leave_it_locked_and_say_so() -> None:
    paper = Locking()
    async with running(paper) as run:
        await _lock(run, paper)
        await _unlock(run, "wrong")
        await run.shows("Name, password or code is wrong.")
        assert run.title == "Locked"
        assert "wrong\n" not in run.screen.replace("code is wrong", "")


@pytest.mark.parametrize("keys", [("1",), ("4",), ("escape",), ("ctrl+p",), ("f2",), ("colon",), ("q",), ("F", "F")])
async def test_no_key_leads_out_of_the_cover(keys: tuple[str, ...]) -> None:
    paper = Locking()
    async with running(paper) as run:
        await _lock(run, paper)
        await run.press("tab", "tab", *keys)
        await run.pilot.pause()
        assert run.title == "Locked"
        assert DATA not in run.screen


async def test_a_locked_console_freezes_and_shows_that_it_has() -> None:
    paper = Locking()
    async with running(paper) as run:
        await _lock(run, paper)
        await run.press("f4")
        await run.at("Freeze")
        await run.listens()
        await run.press("tab")
        await run.type("chain:arbitrum")
        await run.shows("This stops 12 executors now.")
        await run.press("tab", "tab", *"losses", "tab", *"arbitrum", "tab", "tab", "enter")
        await run.at("Freeze FRZ-0032")
        assert len(paper.posted("/v1/freezes")) == 1
        await run.press("1", "colon", "ctrl+p")
        assert run.title == "Freeze FRZ-0032"
        await run.press("escape")
        await run.at("Locked")
        await run.shows("FROZEN 2")
        await _unlock(run)
        await run.at("Overview")


async def test_a_session_that_ends_while_locked_goes_to_the_login_and_then_on() -> None:
    paper = Locking()
    async with running(paper) as run:
        await _lock(run, paper)
        paper.signed_in = False
        await _unlock(run)
        await run.at("Log in")
        paper.locked = False
        await run.type("officer1")
        await run.press("enter")
        await run.type("secret")
        await run.press("enter")
        await run.type("123456")
        await run.press("enter")
        await run.at("Overview")
        await run.shows(DATA)
        assert not run.app.is_locked


async def test_who_signs_out_of_a_locked_session_and_in_again_finds_what_was_typed() -> None:
    paper = Locking()
    async with running(paper) as run:
        await run.press("F", "F")
        await run.at("Freeze")
        dialog = run.app.screen
        await run.listens()
        await run.press("tab")
        await run.type("chain:arbitrum")
        await _lock(run, paper)
        await run.press("f12")
        await run.at("Log in")
        paper.locked = False
        await run.app.signed_in("a.token.of.the.provider")  # as after SSO, which has neither password nor code here
        await run.at("Freeze")
        assert run.app.screen is dialog
        assert dialog.query_one("#scope", Field).value == "chain:arbitrum"


async def test_f12_signs_out_of_a_locked_session() -> None:
    paper = Locking()
    async with running(paper) as run:
        await _lock(run, paper)
        await run.press("f12")
        await run.at("Log in")
        await run.until(lambda: ("POST", "/v1/auth/logout", {}) in paper.asked, "the backend is told")
