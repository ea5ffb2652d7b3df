"""The list of sessions: one's own, everybody's, and ending one."""

from dataclasses import dataclass, field
from datetime import timedelta

import httpx

from contract.auth import Factor
from contract.base import Page
from contract.permissions import Permission
from contract.sessions import SessionInfo, SessionsEnded, SessionState
from tests.console import floor_models as models
from tests.console.driving import Running, running
from tests.console.paper import Paper


def info(ident: str, account: str = "officer1", *, own: bool = False, state: str = "open") -> SessionInfo:
    """A session."""
    return SessionInfo(
        id=ident, account=account, role="compliance_officer", state=SessionState(state), own=own,
        created_at=models.NOW - timedelta(hours=2), last_used_at=models.NOW - timedelta(minutes=20),
        expires_at=models.NOW + timedelta(hours=6), factors=[Factor.PASSWORD, Factor.TOTP], ip_address="10.0.0.7",
    )  # fmt: skip


@dataclass
class Signed(Paper):
    """A backend that knows who is signed in."""

    own: list[SessionInfo] = field(default_factory=lambda: [info("s-1", own=True), info("s-2", state="locked")])
    others: list[SessionInfo] = field(default_factory=lambda: [info("s-3", "mallory")])
    ended: list[str] = field(default_factory=list)

    def _answer(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        if method == "DELETE" and "sessions" in path:
            self.ended.append(path)
            ident = path.rsplit("/", 1)[-1]
            self.own, self.others = ([one for one in known if one.id != ident] for known in (self.own, self.others))
            return httpx.Response(200, content=SessionsEnded(sessions_ended=1).model_dump_json())
        if path.endswith("/sessions"):
            shown = self.own + (self.others if "access" in path else [])
            return httpx.Response(200, content=Page[SessionInfo](items=shown).model_dump_json())
        return super()._answer(method, path, body)


async def _open(run: Running) -> None:
    await run.press("0")
    await run.at("Sessions")
    await run.shows("2 sessions of yours, 1 locked.")


async def test_ones_own_sessions_are_listed_and_one_of_them_is_ended() -> None:
    paper = Signed()
    async with running(paper) as run:
        await _open(run)
        assert "this one" in run.screen
        assert "from 10.0.0.7" in run.screen
        await run.press("x")
        await run.shows("That is this session")
        await run.press("G", "x")
        await run.shows("1 session of yours.")
        assert paper.ended == ["/v1/sessions/s-2"]


async def test_who_manages_people_ends_a_strangers() -> None:
    paper = Signed()
    async with running(paper) as run:
        await _open(run)
        assert "mallory" not in run.screen
        await run.press("a")
        await run.shows("3 sessions of 2 people")
        await run.press("G", "x")
        await run.hides("mallory")
        assert paper.ended == ["/v1/access/sessions/s-3"]


async def test_nobody_else_sees_other_peoples() -> None:
    paper = Signed(permissions=frozenset(Permission) - {Permission.MANAGE_USERS})
    async with running(paper) as run:
        await _open(run)
        await run.press("a")
        await run.shows("it lacks manage_u")
        assert ("GET", "/v1/access/sessions", {}) not in paper.asked
