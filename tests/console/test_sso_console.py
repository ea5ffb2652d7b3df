"""Signing in through SSO from the console and the command line, with a backend on paper."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from backend.auth.hardware.challenge import challenge
from console.client import oidc
from console.client.api import Api
from console.client.errors import ApiError, NotUnderstood
from console.client.session import DEFAULT_URL
from console.client.touch import Touch, signer
from contract.auth import LoginAnswer
from contract.hardware import SK_ED25519
from contract.sso import SsoStarted, SsoStep
from tests.console.driving import running
from tests.console.paper import Paper, refusal
from tests.support.hardware import statement
from tests.support.people import OFFICER
from tests.support.touches import agents, key_of

TOKEN = "t" * 20
LATER = datetime.now(UTC) + timedelta(hours=8)
STARTED = SsoStarted(
    ticket="ticket-1",
    user_code="ABCD-EFGH",
    page="https://id.example/device",
    expires_at=LATER,
    ask_every_s=1,
)
SIGNED_IN = SsoStep(username="nora", answer=LoginAnswer(token=TOKEN, expires_at=LATER))
WAITING = SsoStep(ask_again_s=1)


class _Backend:
    """Says one thing after another when it is asked what came of a sign-in."""

    def __init__(self, *steps: SsoStep | httpx.Response) -> None:
        self.steps = list(steps)
        self.asked: list[dict[str, object]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if request.url.path == "/v1/auth/login/sso":
            return httpx.Response(200, content=STARTED.model_dump_json())
        if request.url.path == "/v1/auth/login/hardware":
            return httpx.Response(200, content=LoginAnswer(token=TOKEN, expires_at=LATER).model_dump_json())
        self.asked.append(json.loads(request.content))
        step = self.steps.pop(0)
        return step if isinstance(step, httpx.Response) else httpx.Response(200, content=step.model_dump_json())


async def _log_in(
    backend: _Backend, told: Callable[[str], None] = lambda _: None
) -> tuple[str, LoginAnswer, list[float]]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    environ = {"SSH_AUTH_SOCK": str(agents() / OFFICER.name)}
    async with Api(DEFAULT_URL, None, transport=httpx.MockTransport(backend)) as api:
        touch = Touch(lambda: signer(environ, None), told)
        name, answer = await oidc.log_in(api, lambda started: told(oidc.told(started)), touch, sleep=sleep)
    return name, answer, slept


async def test_it_asks_as_often_as_it_is_told_until_the_person_is_done() -> None:
    said: list[str] = []
    backend = _Backend(WAITING, SsoStep(ask_again_s=7), SsoStep(ask_again_s=9_999), SIGNED_IN)
    name, answer, slept = await _log_in(backend, said.append)
    assert (name, answer.token, slept) == ("nora", TOKEN, [1, 1, 7, 60])
    assert backend.asked[0] == {"ticket": "ticket-1", "origin": DEFAULT_URL}
    assert said == ["Open https://id.example/device and enter ABCD-EFGH, only if you began this sign-in yourself."]


async def test_a_provider_that_is_away_for_a_moment_is_asked_again_and_one_that_stays_away_is_told() -> None:
    away = refusal(503, "unavailable", "The provider of SSO does not help now.")
    assert (await _log_in(_Backend(away, WAITING, *[away] * 4, SIGNED_IN)))[0] == "nora"
    with pytest.raises(ApiError, match="does not help now"):
        await _log_in(_Backend(*[away] * 5))
    with pytest.raises(ApiError, match="No group"):
        await _log_in(_Backend(refusal(401, "login_failed", "No group.")))


async def test_a_hardware_key_answers_for_the_account_that_the_provider_named() -> None:
    stated = statement(user="nora", origin=DEFAULT_URL, expires_at=LATER)
    asked = challenge(stated, [key_of(OFFICER.name).public(SK_ED25519)], needs_verification=False)
    said: list[str] = []
    name, answer, _ = await _log_in(_Backend(SsoStep(username="nora", challenge=asked)), said.append)
    assert (name, answer.token) == ("nora", TOKEN)
    assert said[1].startswith("You are nora at the provider")


@pytest.mark.parametrize("step", [SsoStep(), SsoStep(username="nora"), SsoStep(answer=SIGNED_IN.answer)])
async def test_an_answer_that_says_nothing_is_not_taken(step: SsoStep) -> None:
    with pytest.raises(NotUnderstood):
        await _log_in(_Backend(step))


def _paper(step: SsoStep | httpx.Response) -> Paper:
    answer = step if isinstance(step, httpx.Response) else httpx.Response(200, content=step.model_dump_json())
    begun = httpx.Response(200, content=STARTED.model_dump_json())
    return Paper(refuse={"POST /v1/auth/login/sso": begun, "POST /v1/auth/sso/ask": answer})


async def test_f4_shows_the_page_and_the_code_and_goes_on(tmp_path: Path) -> None:
    async with running(_paper(SIGNED_IN), token=None, environ={"XDG_STATE_HOME": str(tmp_path)}) as run:
        await run.at("Log in")
        await run.press("f4")
        await run.shows("ABCD-EFGH")
        assert "https://id.example/device" in run.screen
        await run.shows("DAILY_LOSS_LIMIT")
    kept = (tmp_path / "watchfloor" / "sessions.json").read_text()
    assert TOKEN in kept
    assert "nora" in kept


async def test_a_backend_without_sso_says_so_and_the_fields_still_work() -> None:
    paper = Paper(refuse={"POST /v1/auth/login/sso": refusal(404, "not_found", "This backend has no SSO.")})
    async with running(paper, token=None) as run:
        await run.at("Log in")
        await run.press("f4")
        await run.shows("This backend has no SSO.")
        await run.type("ana")
        assert "ana" in run.screen


async def test_whoever_waits_for_the_provider_may_still_log_in_with_a_password(tmp_path: Path) -> None:
    async with running(_paper(SsoStep(ask_again_s=60)), token=None, environ={"XDG_STATE_HOME": str(tmp_path)}) as run:
        await run.at("Log in")
        await run.press("f4")
        await run.shows("ABCD-EFGH")
        for text in ("ana", "one", "123456"):
            await run.type(text)
            await run.press("enter")
        await run.shows("DAILY_LOSS_LIMIT")
        assert run.paper.posted("/v1/auth/login")[0]["username"] == "ana"
