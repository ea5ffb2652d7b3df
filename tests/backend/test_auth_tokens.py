"""Tokens that must not be believed: forged, borrowed, expired, revoked; and signing keys that are replaced."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, update

from backend.auth import accounts, service, tokens
from backend.auth.tables import ServiceToken, SigningKey, User
from backend.context import Caller, system_caller
from contract.permissions import Permission
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.people import ADMIN, EXECUTOR, OPERATOR, sign_in

START = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)
LOCAL = system_caller("test")


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def app(database_url: str, hand: SetClock) -> AsyncIterator[App]:
    """A backend on a clock that the test moves."""
    async with started_app(database_url, clock=hand.clock) as running:
        yield running


async def _who(app: App, token: str, *, scheme: str = "Bearer") -> httpx.Response:
    return await app.http.get("/v1/auth/whoami", headers={"authorization": f"{scheme} {token}"})


async def _key(app: App) -> SigningKey:
    async with app.runtime.database.read() as session:
        return (await session.scalars(select(SigningKey))).one()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _header_and_claims(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


def _handmade(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None) -> str:
    """A token built without a JWT library, so that no library refuses to make it."""
    head = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
    signature = hmac.new(secret, head.encode(), hashlib.sha256).digest() if secret is not None else b""
    return f"{head}.{_b64(signature)}"


async def test_a_token_names_its_key_and_carries_the_documents_claims(app: App) -> None:
    header, claims = _header_and_claims(await sign_in(app.runtime, OPERATOR))
    assert header == {"alg": "EdDSA", "typ": "JWT", "kid": (await _key(app)).kid}
    assert set(app.runtime.policy.sign_in.token_claims) <= set(claims)
    assert claims["exp"] - claims["iat"] == 8 * 3600


async def test_alg_none_is_not_believed(app: App) -> None:
    header, claims = _header_and_claims(await sign_in(app.runtime, OPERATOR))
    for alg in ("none", "None", "NONE"):
        assert (await _who(app, _handmade(header | {"alg": alg}, claims, None))).status_code == 401


async def test_the_public_key_is_not_a_shared_secret(app: App) -> None:
    header, claims = _header_and_claims(await sign_in(app.runtime, OPERATOR))
    public = Ed25519PrivateKey.from_private_bytes((await _key(app)).private_key).public_key()
    raw, pem, spki = serialization.Encoding.Raw, serialization.Encoding.PEM, serialization.PublicFormat
    for secret in (
        public.public_bytes(raw, spki.Raw),
        public.public_bytes(pem, spki.SubjectPublicKeyInfo),
        (await _key(app)).private_key,
    ):
        assert (await _who(app, _handmade(header | {"alg": "HS256"}, claims, secret))).status_code == 401


async def test_a_foreign_key_is_not_believed_under_our_kid(app: App) -> None:
    header, claims = _header_and_claims(await sign_in(app.runtime, OPERATOR))
    forged = jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": header["kid"]})
    assert (await _who(app, forged)).status_code == 401


@pytest.mark.parametrize("kid", ["0" * 32, "", "../../etc/passwd", "' OR 1=1 --", "\x00", None, 7])
async def test_a_wrong_kid_is_refused(app: App, kid: object) -> None:
    header, claims = _header_and_claims(await sign_in(app.runtime, OPERATOR))
    assert (await _who(app, _handmade(header | {"kid": kid}, claims, b"x"))).status_code == 401
    key = Ed25519PrivateKey.from_private_bytes((await _key(app)).private_key)
    if isinstance(kid, str):
        signed = jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid})
        assert (await _who(app, signed)).status_code == 401


async def test_our_own_key_signs_no_other_persons_session(app: App) -> None:
    """Both claims are true of somebody, only not together."""
    token = await sign_in(app.runtime, OPERATOR)
    await sign_in(app.runtime, ADMIN)
    header, claims = _header_and_claims(token)
    key = Ed25519PrivateKey.from_private_bytes((await _key(app)).private_key)
    for change in ({"username": ADMIN.name}, {"session_id": str(uuid4())}, {"session_id": "7"}, {"iss": "other"}):
        forged = jwt.encode(claims | change, key, algorithm="EdDSA", headers={"kid": header["kid"]})
        assert (await _who(app, forged)).status_code == 401, change


async def test_a_token_cannot_raise_its_own_role(app: App) -> None:
    """Role and permissions are the account's and the policy's of today, whatever the token says."""
    header, claims = _header_and_claims(await sign_in(app.runtime, OPERATOR))
    key = Ed25519PrivateKey.from_private_bytes((await _key(app)).private_key)
    raised = claims | {"role": "mev_admin", "permissions": [p.value for p in Permission]}
    token = jwt.encode(raised, key, algorithm="EdDSA", headers={"kid": header["kid"]})
    me = (await _who(app, token)).json()
    assert me["role"] == "mev_operator"
    assert set(me["permissions"]) == app.runtime.policy.roles["mev_operator"].permissions


async def test_a_token_ends_to_the_second(app: App, hand: SetClock) -> None:
    token = await sign_in(app.runtime, OPERATOR)
    hand.at = START + timedelta(hours=8, seconds=-1)
    assert (await _who(app, token)).status_code == 200
    hand.at = START + timedelta(hours=8)
    assert (await _who(app, token)).status_code == 401


async def test_a_longer_life_written_into_a_token_does_not_count(app: App, hand: SetClock) -> None:
    header, claims = _header_and_claims(await sign_in(app.runtime, OPERATOR))
    key = Ed25519PrivateKey.from_private_bytes((await _key(app)).private_key)
    longer = jwt.encode(claims | {"exp": claims["exp"] * 2}, key, algorithm="EdDSA", headers={"kid": header["kid"]})
    hand.at = START + timedelta(hours=8)
    assert (await _who(app, longer)).status_code == 401


@pytest.mark.parametrize("exp", [None, "soon", -1, 10**30, True, []])
async def test_a_token_without_a_sensible_end_is_refused(app: App, exp: object) -> None:
    header, claims = _header_and_claims(await sign_in(app.runtime, OPERATOR))
    key = (await _key(app)).private_key
    head = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims | {'exp': exp}).encode())}"
    signature = Ed25519PrivateKey.from_private_bytes(key).sign(head.encode())
    assert (await _who(app, f"{head}.{_b64(signature)}")).status_code == 401


async def test_disabling_an_account_ends_its_sessions_at_once(app: App, hand: SetClock, database_url: str) -> None:
    token = await sign_in(app.runtime, OPERATOR)
    async with started_app(database_url, clock=hand.clock) as other:
        assert (await _who(other, token)).status_code == 200
        async with app.runtime.database.transaction() as session:
            assert await accounts.disable_user(session, app.runtime, LOCAL, name=OPERATOR.name) == 1
        assert (await _who(other, token)).status_code == 401


async def test_a_new_role_counts_at_once(app: App) -> None:
    token = await sign_in(app.runtime, OPERATOR)
    async with app.runtime.database.transaction() as session:
        await session.execute(update(User).where(User.username == OPERATOR.name).values(role="compliance_officer"))
    me = (await _who(app, token)).json()
    assert me["role"] == "compliance_officer"
    assert "execute_trades" not in me["permissions"]


async def test_a_role_that_the_policy_no_longer_has_may_do_nothing(app: App) -> None:
    token = await sign_in(app.runtime, OPERATOR)
    async with app.runtime.database.transaction() as session:
        await session.execute(update(User).where(User.username == OPERATOR.name).values(role="abolished"))
    assert (await _who(app, token)).status_code == 403


async def test_signing_keys_are_replaced_and_old_ones_die_with_their_sessions(app: App, hand: SetClock) -> None:
    await sign_in(app.runtime, OPERATOR)
    hand.at = START + timedelta(days=30) - timedelta(hours=1)
    last_of_the_old = await sign_in(app.runtime, OPERATOR)
    hand.at = START + timedelta(days=30)
    first_of_the_new = await sign_in(app.runtime, OPERATOR)
    old, new = (jwt.get_unverified_header(token)["kid"] for token in (last_of_the_old, first_of_the_new))
    assert old != new
    assert (await _who(app, last_of_the_old)).status_code == 200
    async with app.runtime.database.read() as session:
        key = (await session.scalars(select(SigningKey).where(SigningKey.kid == old))).one()
    hand.at += timedelta(hours=8, seconds=-1)
    late = await sign_in(app.runtime, OPERATOR)
    _, claims = _header_and_claims(late)
    hand.at += timedelta(seconds=2)
    stolen = jwt.encode(
        claims, Ed25519PrivateKey.from_private_bytes(key.private_key), algorithm="EdDSA", headers={"kid": old}
    )
    assert (await _who(app, late)).status_code == 200
    assert (await _who(app, stolen)).status_code == 401


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b", "a.b.c", "....", "\u00e4", "wfs_", "wfs_wrong", "Bearer", "x" * 5000, "eyJhbGciOiJub25lIn0.e30."],
)
async def test_rubbish_is_refused_and_recorded(app: App, token: str) -> None:
    answer = await app.http.get("/v1/auth/whoami", headers={b"authorization": f"Bearer {token}".encode()})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    (entry,) = await entries_of(app, "auth.request.refused")
    assert (entry.user_id, entry.result, entry.resource_id) == ("anonymous", "denied", "/v1/auth/whoami")


async def test_the_scheme_is_read_in_any_case_and_no_other_is_taken(app: App) -> None:
    token = await sign_in(app.runtime, OPERATOR)
    assert (await _who(app, token, scheme="bearer")).status_code == 200
    assert (await _who(app, token, scheme="Basic")).status_code == 401
    assert (await app.http.get("/v1/auth/whoami", params={"token": token})).status_code == 401


async def test_a_machines_token_holds_what_it_was_given_and_ends(app: App, hand: SetClock) -> None:
    token = await sign_in(app.runtime, EXECUTOR)
    denied = await _who(app, token)
    assert (denied.status_code, denied.json()["code"]) == (403, "not_allowed")
    async with app.runtime.database.transaction() as session:
        full = await accounts.ensure_service_token(
            session, app.runtime, LOCAL, name="probe", permissions=[Permission.OWN_SESSION]
        )
        stored = (await session.scalars(select(ServiceToken).where(ServiceToken.name == "probe"))).one()
    assert full.startswith("wfs_")
    assert stored.token_hash != full
    assert (await _who(app, full)).json() == {
        "username": "service:probe",
        "role": "service",
        "permissions": ["own_session"],
        "session_id": None,
        "expires_at": None,
        "must_enrol": False,
        "locked": False,
        "locks_in_seconds": None,
        "locks_after_seconds": None,
    }
    out = await app.http.post("/v1/auth/logout", headers={"authorization": f"Bearer {full}"})
    assert (out.status_code, out.json()["code"]) == (422, "invalid_request")
    hand.at = START + timedelta(days=app.runtime.policy.sign_in.watchfloor.service_token_days)
    assert (await _who(app, full)).status_code == 401


async def test_who_stays_connected_can_be_asked_again(app: App, hand: SetClock) -> None:
    """For the stream: a connection made before a sign-out must not outlive it."""

    async def still(caller: Caller) -> bool:
        async with app.runtime.database.read() as session:
            return await service.still_signed_in(session, app.runtime, caller)

    callers = []
    for person in (OPERATOR, EXECUTOR):
        token = await sign_in(app.runtime, person)
        me = (await _who(app, token)).json() if person is OPERATOR else {}
        callers.append(
            Caller(
                subject=person.name if person is OPERATOR else f"executor:{person.name}",
                kind=person.kind,
                role=person.role,
                permissions=frozenset(map(Permission, me.get("permissions", []))),
                request_id="test",
                session_id=me.get("session_id"),
                max_trade_eth=None if person is OPERATOR else app.runtime.policy.executor_max_trade_eth,
                credential=None if person is OPERATOR else tokens.service_token_hash(token),
            )
        )
    operator, machine = callers
    assert [await still(caller) for caller in callers] == [True, True]
    async with app.runtime.database.transaction() as session:
        await accounts.disable_user(session, app.runtime, LOCAL, name=OPERATOR.name)
        await session.execute(update(ServiceToken).values(disabled=True))
    assert [await still(operator), await still(machine)] == [False, False]
