"""A provider of SSO that lies, stalls or sends elsewhere, and clients that ask for what is not theirs."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from sqlalchemy import func, select

from backend.auth import oidc_waiting
from backend.auth.oidc_line import MAX_ANSWER_BYTES, is_safe
from backend.auth.oidc_tables import SsoSignIn
from backend.auth.tables import User
from backend.errors import ConfigurationError
from backend.main import create_app
from backend.settings import Settings
from tests.support.provider import NORA, Handler, Provider, answer, by_hand, hs256_with_public_key, rsa_key
from tests.support.sso import POLICY, Sso, sso

_LATER_S = 10_000


@pytest.fixture
async def made(database_url: str, tmp_path: Path) -> AsyncIterator[Sso]:
    async with sso(database_url, tmp_path) as running:
        yield running


async def _nobody_came_in(made: Sso) -> bool:
    async with made.app.runtime.database.read() as session:
        accounts = await session.scalar(select(func.count()).select_from(User))
    return not accounts and not await made.sessions()


def _forged(provider: Provider) -> dict[str, Callable[[dict[str, Any]], str]]:
    def by(name: str, **header: Any) -> Callable[[dict[str, Any]], str]:
        headers = {"kid": provider.kid} | header
        return lambda claims: jwt.encode(claims, rsa_key(name), algorithm="RS256", headers=headers)

    return {
        "none": lambda claims: by_hand({"alg": "none"}, claims, lambda _: b""),
        "public key as secret": lambda claims: hs256_with_public_key(claims, provider.kid),
        "another key": by("other"),
        "unknown key": by("other", kid="k9"),
        "key at an address": by("other", jku=f"{provider.issuer}/jwks"),
        "no signature": lambda claims: by_hand({"alg": "RS256", "kid": provider.kid}, claims, lambda _: b""),
    }


async def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(made: Sso) -> None:
    forged = _forged(made.provider)
    for how, signs in forged.items():
        made.provider.signs = signs
        assert (await made.answer()).status_code == 401, how
    assert await _nobody_came_in(made)
    entries = await made.entries("auth.login.failed")
    assert [(entry.error_message or "")[:12] for entry in entries] == ["the ID token"] * len(forged)


async def test_a_token_that_says_something_else_lets_nobody_in(made: Sso) -> None:
    wrong: dict[str, Any] = {
        "iss": "https://other.example",
        "aud": "somebody",
        "azp": "somebody",
        "exp": 1,
        "iat": 1,
        "nonce": "another",
        "at_hash": "AAAA",
        "sub": "",
    }
    for claim, value in wrong.items():
        made.provider.claims = NORA | {claim: value}
        assert (await made.answer()).status_code == 401, claim
    assert await _nobody_came_in(made)
    assert len(await made.entries("auth.login.failed")) == len(wrong)


async def test_a_token_of_an_earlier_sign_in_lets_nobody_in(made: Sso) -> None:
    old = made.provider.token("whatever")
    made.hand.pass_(minutes=2)
    made.provider.signs = lambda _: old
    assert ((await made.answer()).status_code, await _nobody_came_in(made)) == (401, True)


def _fixed(raw: bytes) -> Handler:
    async def handle(_: bytes, __: dict[str, str]) -> bytes:
        return raw

    return handle


def _stalling(seconds: float) -> Handler:
    async def handle(_: bytes, __: dict[str, str]) -> bytes:
        await asyncio.sleep(seconds)
        return answer({})

    return handle


_ELSEWHERE = answer(b"", "302 Found", location="http://127.0.0.1:1/")
_HUGE = answer(b'{"a":"' + b"x" * MAX_ANSWER_BYTES + b'"}')
_SQUEEZED = answer(gzip.compress(json.dumps({"keys": []}).encode()), content_encoding="gzip")
_STRANGE = {
    "redirect": _ELSEWHERE,
    "huge": _HUGE,
    "compressed": _SQUEEZED,
    "html": answer(b"<html>"),
    "list": answer([]),
    "deep": answer(b"[" * 50_000),
    "empty": answer({}, "204 No"),
    "hangup": b"",
    "noise": b"\0",
}


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/device", "/token", "/jwks"])
async def test_an_answer_that_is_not_taken_is_told_and_lets_nobody_in(made: Sso, path: str) -> None:
    for what, raw in _STRANGE.items():
        made.provider.instead[path] = _fixed(raw)
        begun = await made.app.http.post("/v1/auth/login/sso", json={})
        if begun.status_code == 200:
            made.provider.approved = True
            begun = await made.ask(begun.json())
        assert (begun.status_code, begun.json()["code"]) == (503, "unavailable"), what
        made.hand.pass_(minutes=10)  # what still waits makes room
    assert await _nobody_came_in(made)


async def test_a_provider_that_stalls_is_given_up(made: Sso) -> None:
    made.provider.instead["/device"] = _stalling(60)
    begun = await made.app.http.post("/v1/auth/login/sso", json={})
    assert (begun.status_code, "in time" in begun.json()["message"]) == (503, True)


async def test_a_description_that_is_not_safe_is_not_used(made: Sso) -> None:
    unsafe: list[dict[str, Any]] = [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"token_endpoint": "http://other.example/token"},
        {"token_endpoint": "https://u:p@127.0.0.1/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": None},
        {"device_authorization_endpoint": None},
        {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
    ]
    for described in unsafe:
        made.provider.described = described
        begun = await made.app.http.post("/v1/auth/login/sso", json={})
        assert (begun.status_code, made.provider.asked["/device"]) == (503, 0), described


async def test_what_a_person_would_be_told_is_looked_at_first(made: Sso) -> None:
    strange: list[dict[str, Any]] = [
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "http://other.example/"},
        {"verification_uri_complete": "https://id.example/\x1b[2J"},
        {"user_code": "A\x1b]52;c;eA==\x07"},
        {"user_code": "x" * 65},
        {"device_code": None},
        {"expires_in": 0},
        {"expires_in": True},
        {"interval": -1},
        {"interval": "5"},
    ]
    for started in strange:
        made.provider.started = started
        begun = await made.app.http.post("/v1/auth/login/sso", json={})
        assert (begun.status_code, begun.json()["code"]) == (503, "unavailable"), started


async def test_keys_are_asked_for_again_when_a_new_one_signs_and_not_for_each_that_is_made_up(made: Sso) -> None:
    now = [1_000.0]
    made.app.app.state.sso._monotonic = lambda: now[0]
    await made.token()
    assert made.provider.asked["/jwks"] == 1
    made.provider.kid = "k2"
    assert (await made.answer()).status_code == 401  # a minute has not passed
    now[0] += 61
    await made.token()
    assert made.provider.asked["/jwks"] == 2
    made.provider.signs = _forged(made.provider)["unknown key"]
    for _ in range(3):
        assert (await made.answer()).status_code == 401
    assert made.provider.asked["/jwks"] == 2
    now[0] += _LATER_S
    made.provider.signs = None
    await made.token()
    assert (made.provider.asked["/jwks"], made.provider.asked["/.well-known/openid-configuration"]) == (3, 2)


async def test_asking_too_often_does_not_reach_the_provider(made: Sso) -> None:
    started = await made.start()
    for _ in range(3):
        early = await made.app.http.post("/v1/auth/sso/ask", json={"ticket": started["ticket"]})
        assert early.json()["ask_again_s"] == 6
    assert made.provider.asked["/token"] == 0
    made.provider.error = "slow_down"
    assert (await made.ask(started)).json()["ask_again_s"] == 10
    assert (await made.ask(started)).json()["ask_again_s"] == 6  # five of the ten seconds are over
    assert made.provider.asked["/token"] == 1


async def test_a_refusal_of_the_provider_ends_the_sign_in(made: Sso) -> None:
    for error in ("access_denied", "expired_token", "invalid_grant", "x" * 500, "\x1b[2J"):
        made.provider.error, made.provider.approved = error, False
        started = await made.start()
        refused = await made.ask(started)
        assert (refused.status_code, "\\u001b" in refused.text, "xxx" in refused.text) == (401, False, False), error
        made.provider.approved = True
        assert (await made.ask(started)).status_code == 401
    assert await _nobody_came_in(made)


async def test_a_code_that_was_entered_too_late_lets_nobody_in(made: Sso) -> None:
    started = await made.start()
    made.provider.approved = True
    made.hand.pass_(minutes=10)
    assert (await made.ask(started)).status_code == 401
    assert made.provider.asked["/token"] == 0


async def test_a_ticket_is_worth_nothing_to_whoever_reads_the_database(made: Sso) -> None:
    started = await made.start()
    async with made.app.runtime.database.read() as session:
        (row,) = list(await session.scalars(select(SsoSignIn)))
    assert started["ticket"] not in row.ticket_hash
    assert b"device-code" not in row.sealed_code
    for guess in (row.ticket_hash, started["ticket"][:-1], "x", "x" * 64):
        assert (await made.app.http.post("/v1/auth/sso/ask", json={"ticket": guess})).status_code == 401
    assert (await made.app.http.post("/v1/auth/sso/ask", json={"ticket": "x" * 65})).status_code == 422


async def test_two_backends_give_one_session_for_one_sign_in(made: Sso) -> None:
    started = await made.start()
    made.provider.approved = True
    made.hand.pass_(seconds=5)
    body = {"ticket": started["ticket"]}
    both = await asyncio.gather(*(made.app.http.post("/v1/auth/sso/ask", json=body) for _ in range(2)))
    signed_in = [one for one in both if one.status_code == 200 and one.json()["answer"]]
    assert (len(signed_in), len(await made.sessions())) == (1, 1)


async def _wait(made: Sso, *begun: dict[str, Any]) -> list[bool]:
    """Which sign-ins still wait for their people."""
    made.hand.pass_(seconds=5)
    asked = [await made.app.http.post("/v1/auth/sso/ask", json={"ticket": one["ticket"]}) for one in begun]
    return [one.status_code == 200 for one in asked]


async def test_nobody_is_kept_out_by_what_one_address_begins(made: Sso) -> None:
    """Five may wait under the policy of these tests: the crowd's oldest make room."""
    mine = await made.start(whence="198.51.100.1")
    theirs = []
    for _ in range(9):
        made.hand.pass_(seconds=1)
        theirs.append(await made.start(whence="192.0.2.7"))
    here = await made.start()
    assert await _wait(made, mine, here, *theirs) == [True, True, *[False] * 6, *[True] * 3]


async def test_of_one_address_five_wait_however_many_may(made: Sso) -> None:
    runtime, now = made.app.runtime, made.hand.at
    rules = runtime.policy.sso.model_copy(update={"sign_ins_at_once": 100})
    common = {"sealed_code": b"", "nonce": "", "ask_every_s": 5, "created_at": now, "asked_at": now}
    async with runtime.database.transaction() as session:
        for place, ip in enumerate(["192.0.2.7", "127.0.0.1"] * 7):
            await oidc_waiting.make_room(session, runtime, rules, ip)
            session.add(
                SsoSignIn(
                    ticket_hash=str(place), whence=oidc_waiting.whence(runtime, ip),
                    expires_at=now + timedelta(minutes=1), **common,
                )
            )  # fmt: skip
            await session.flush()
        found = list(await session.scalars(select(SsoSignIn.whence)))
    told = [found.count(oidc_waiting.whence(runtime, ip)) for ip in ("192.0.2.7", "127.0.0.1")]
    assert told == [5, 7], "the backend's own host is shared by everybody there"


async def test_secrets_are_shown_by_nothing(made: Sso, caplog: pytest.LogCaptureFixture) -> None:
    started = await made.start()
    made.provider.approved = True
    await made.ask(started)
    shown = repr(made.app.app.state.sso) + repr(made.app.app.state.sso._line) + caplog.text
    assert "the-clients-secret" not in shown
    assert "device-code" not in shown


def test_an_address_is_safe_over_tls_or_on_this_machine() -> None:
    good = ("https://id.example", "https://id.example:8443/a?b=c", "http://127.0.0.1:1/", "http://[::1]/",
            "http://localhost/")  # fmt: skip
    bad = ("", "http://id.example", "ftp://id.example", "https://", "https://u@id.example", "https://id.example/#a",
           "https://id.example/ a", "https://id.example/\x00", "https://id.example:x/", "https://[::1",
           "https://id.example/" + "x" * 3_000)  # fmt: skip
    assert [is_safe(one) for one in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"oidc_issuer": "http://id.example"}, "no https address"),
        ({"oidc_issuer": "https://id.example?x=1"}, "no https address"),
        ({"oidc_client_id": ""}, "CLIENT_ID is not set"),
        ({"policy": "mev"}, "names no group"),
        ({"mode": 0o644}, "chmod 600"),
        ({"content": "\n"}, "holds no secret"),
        ({"content": "é\n"}, "holds no secret"),
        ({"missing": True}, "cannot be read"),
    ],
)
def test_a_backend_that_is_told_nonsense_does_not_start(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    secret = tmp_path / "secret"
    if not changed.pop("missing", False):
        secret.write_text(changed.pop("content", "s\n"))
        secret.chmod(changed.pop("mode", 0o600))
    usual: dict[str, Any] = {
        "database_url": "postgresql://127.0.0.1:1/x",
        "policy": POLICY,
        "data_dir": tmp_path,
        "oidc_issuer": "https://id.example",
        "oidc_client_id": "c",
        "oidc_client_secret_file": secret,
    }
    with pytest.raises(ConfigurationError, match=told):
        create_app(Settings(**(usual | changed)))


def test_without_the_extra_the_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("backend.auth.oidc_provider", "backend.auth.oidc_line", "authlib.oauth2.auth"):
        monkeypatch.setitem(sys.modules, name, None)
    settings = Settings(database_url="postgresql://127.0.0.1:1/x", data_dir=tmp_path, oidc_issuer="https://id.example")
    with pytest.raises(ConfigurationError, match=r"watchfloor\[oidc\]"):
        create_app(settings)
