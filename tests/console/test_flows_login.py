"""Signing in and out, through the real application."""

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from backend.auth.hardware.challenge import challenge
from console import opening
from console.client import session
from console.client.session import DEFAULT_URL
from contract.auth import LoginAnswer
from contract.hardware import SK_ED25519
from contract.permissions import Permission
from contract.sshwire import encode64
from tests.console.driving import Running, running
from tests.console.paper import Paper, refusal
from tests.support.hardware import statement
from tests.support.people import AUDITOR, OFFICER
from tests.support.touches import agents, key_of

VIEWER = frozenset(Permission) - {Permission.FREEZE_OPERATIONS, Permission.ACKNOWLEDGE_ALERTS, Permission.APPROVE_THAW}


@pytest.fixture
def demo_users(tmp_path: Path) -> dict[str, str]:
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    users = {"ana": {"password": "one", "totp_secret": secret, "role": "mev_admin"}}
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"users": users}))
    return {"WATCHFLOOR_DEMO_USERS_FILE": str(path), "XDG_STATE_HOME": str(tmp_path)}


async def test_login_goes_to_the_overview_and_keeps_the_session(demo_users: dict[str, str], tmp_path: Path) -> None:
    async with running(token=None, environ=demo_users) as run:
        await run.shows("This is a demonstration")
        await run.press("f3", "enter")
        await run.shows("DAILY_LOSS_LIMIT")
        sent = run.paper.posted("/v1/auth/login")[0]
        assert (sent["username"], sent["password"]) == ("ana", "one")
        assert len(str(sent["totp"])) == 6
        assert "t" * 20 in (tmp_path / "watchfloor" / "sessions.json").read_text()


async def test_a_place_for_sessions_that_hangs_keeps_nobody_out(
    demo_users: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(opening, "KEEP_LIMIT_S", 0.05)
    monkeypatch.setattr(session, "save", lambda *_: over.wait(60))
    try:
        async with running(token=None, environ=demo_users) as run:
            await run.shows("This is a demonstration")
            await run.press("f3", "enter")
            await run.shows("Signed in for this run only")
            assert not over.is_set()
    finally:
        over.set()


async def test_login_without_a_demonstration_offers_nobody() -> None:
    async with running(token=None) as run:
        await run.at("Log in")
        assert "demonstration" not in run.screen


async def test_refused_login_stays_on_the_screen_until_the_next_try() -> None:
    paper = Paper(refuse={"POST /v1/auth/login": refusal(401, "login_failed", "Wrong name, password or code.")})
    async with running(paper, token=None) as run:
        await run.at("Log in")
        await run.type("ana")
        await run.press("enter")
        await run.type("wrong")
        await run.press("enter")
        await run.type("123456")
        await run.press("enter")
        await run.shows("Wrong name, password or code.")
        await run.press("tab", "tab", "x")
        assert "Wrong name, password or code." in run.screen
        assert "wrong" not in run.screen


async def test_an_ended_session_goes_to_the_login_and_back_to_where_it_was(demo_users: dict[str, str]) -> None:
    async with running(environ=demo_users) as run:
        await run.press("3")
        await run.at("Operations")
        run.paper.signed_in = False
        await run.press("F", "F")
        await run.at("Freeze")
        await asyncio.sleep(0.4)
        await run.press("tab")
        await run.type("global")
        await run.at("Log in")
        await run.shows("Your session has ended.")
        await run.press("f3", "enter")
        await run.at("Freeze")
        await run.press("escape")
        await run.at("Operations")


# the hardware key


def _challenge(user: str, origin: str) -> httpx.Response:
    key = key_of(OFFICER.name)
    stated = statement(user=user, origin=origin, expires_at=datetime.now(UTC) + timedelta(minutes=1))
    asked = challenge(stated, [key.public(SK_ED25519)], needs_verification=False)
    return httpx.Response(202, content=asked.model_dump_json())


async def _type_in(run: Running) -> None:
    await run.at("Log in")
    for text in ("ana", "one", "123456"):
        await run.type(text)
        await run.press("enter")


async def test_the_console_has_the_key_answer_and_goes_on(tmp_path: Path) -> None:
    token = LoginAnswer(token="k" * 20, expires_at=datetime.now(UTC) + timedelta(hours=8))
    paper = Paper(
        refuse={
            "POST /v1/auth/login": _challenge("ana", DEFAULT_URL),
            "POST /v1/auth/login/hardware": httpx.Response(200, content=token.model_dump_json()),
        }
    )
    environ = {"SSH_AUTH_SOCK": str(agents() / OFFICER.name), "XDG_STATE_HOME": str(tmp_path)}
    async with running(paper, token=None, environ=environ) as run:
        await _type_in(run)
        await run.shows("DAILY_LOSS_LIMIT")
        (sent,) = run.paper.posted("/v1/auth/login/hardware")
        assert sent["key"] == encode64(key_of(OFFICER.name).key.blob(SK_ED25519))
        assert run.paper.posted("/v1/auth/login")[0]["origin"] == DEFAULT_URL
        assert "k" * 20 in (tmp_path / "watchfloor" / "sessions.json").read_text()


@pytest.mark.parametrize(
    ("user", "origin", "agent", "told"),
    [
        ("ana", DEFAULT_URL, "", "There is no SSH agent"),
        ("ana", DEFAULT_URL, "/nowhere/agent", "No SSH agent answers"),
        ("ana", DEFAULT_URL, AUDITOR.name, "is not enrolled for this account"),
        ("ana", "https://elsewhere.example", OFFICER.name, "nothing was signed"),
        ("somebody-else", DEFAULT_URL, OFFICER.name, "about something else"),
    ],
)
async def test_what_keeps_the_key_from_answering_is_said(
    user: str, origin: str, agent: str, told: str, tmp_path: Path
) -> None:
    socket = str(agents() / agent) if agent and "/" not in agent else agent
    environ = {"SSH_AUTH_SOCK": socket, "XDG_STATE_HOME": str(tmp_path)}
    paper = Paper(refuse={"POST /v1/auth/login": _challenge(user, origin)})
    async with running(paper, token=None, environ=environ) as run:
        await _type_in(run)
        await run.shows(told)
        await run.at("Log in")
        assert not run.paper.posted("/v1/auth/login/hardware")


# live data


async def test_after_logging_out_nothing_of_the_floor_is_left_on_the_screen() -> None:
    async with running() as run:
        await run.press("f12")
        await run.at("Log in")
        await run.shows("signed out")
        assert "FROZEN" not in run.screen
        assert run.app.floor is None
