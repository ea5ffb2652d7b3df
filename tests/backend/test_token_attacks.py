"""Attacks on session tokens, one by one: what a thief, a forger or a former colleague might send."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from backend.auth import signing_keys
from backend.auth.tables import SigningKey
from tests.support import databases
from tests.support.app import SYSTEM, App, started_app
from tests.support.clocks import SetClock
from tests.support.people import ADMIN, OPERATOR, sign_in

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def app(database_url: str, hand: SetClock) -> AsyncIterator[App]:
    """A backend on a clock that the test moves."""
    async with started_app(database_url, clock=hand.clock) as running:
        yield running


@pytest.fixture
async def token(app: App) -> str:
    """A good one, which no attack below may be."""
    token = await sign_in(app.runtime, OPERATOR)
    assert await _passes(app, token)
    return token


async def _who(app: App, token: str) -> httpx.Response:
    return await app.http.get("/v1/auth/whoami", headers={"authorization": f"Bearer {token}"})


async def _passes(app: App, token: str) -> bool:
    answer = await _who(app, token)
    assert answer.status_code in {200, 401}, answer.text
    return answer.status_code == 200


async def _key(app: App) -> Ed25519PrivateKey:
    async with app.runtime.database.read() as session:
        newest = select(SigningKey.private_key).order_by(SigningKey.created_at.desc()).limit(1)
        return Ed25519PrivateKey.from_private_bytes((await session.scalars(newest)).one())


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


@pytest.mark.parametrize("alg", ["RS256", "PS256", "RS512"])
async def test_an_rsa_key_of_the_attacker(app: App, token: str, alg: str) -> None:
    header, claims = _parts(token)
    forged = jwt.encode(claims, rsa.generate_private_key(65537, 2048), alg, headers={"kid": header["kid"]})
    assert not await _passes(app, forged)


async def test_an_elliptic_key_of_the_attacker(app: App, token: str) -> None:
    header, claims = _parts(token)
    forged = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": header["kid"]})
    assert not await _passes(app, forged)


async def test_a_key_brought_along_in_the_header(app: App, token: str) -> None:
    """`jwk`, `jku`, `x5c` and `x5u` say where to find a key; nobody looks."""
    header, claims = _parts(token)
    mine = Ed25519PrivateKey.generate()
    public = mine.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    own = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(mine.public_key()))
    for extra in (
        {"jwk": own},
        {"jku": "http://127.0.0.1:9/keys"},
        {"x5u": "file:///etc/passwd"},
        {"x5c": [public.hex()]},
    ):
        forged = jwt.encode(claims, mine, "EdDSA", headers={"kid": header["kid"], **extra})
        assert not await _passes(app, forged), extra


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null", "/dev/null", "x' OR '1'='1", "a" * 32 + "\x00", "%00", "0" * 33, "A" * 32, "k" * 3_000,
        "'; DROP TABLE signing_keys; --", "\U0001f511" * 8, "0123456789abcdef\n0123456789abcde",
    ],
)  # fmt: skip
async def test_a_kid_that_means_something_elsewhere(app: App, token: str, kid: str) -> None:
    _, claims = _parts(token)
    for key in (await _key(app), Ed25519PrivateKey.from_private_bytes(bytes(32))):
        assert not await _passes(app, jwt.encode(claims, key, "EdDSA", headers={"kid": kid}))
    assert await _passes(app, token)


async def test_an_unknown_kid(app: App, token: str) -> None:
    _, claims = _parts(token)
    assert not await _passes(app, jwt.encode(claims, await _key(app), "EdDSA", headers={"kid": uuid4().hex}))


async def test_no_kid(app: App, token: str) -> None:
    _, claims = _parts(token)
    assert not await _passes(app, jwt.encode(claims, await _key(app), "EdDSA"))


async def test_a_key_that_was_retired_and_has_expired(app: App, token: str, hand: SetClock) -> None:
    """The thief of a backup signs with the key of last month for a session of today."""
    old, (header, _) = await _key(app), _parts(token)
    hand.pass_(days=31)
    today = await sign_in(app.runtime, OPERATOR)
    hand.pass_(hours=8, minutes=-1)
    claims = _parts(today)[1]
    in_time = jwt.encode(claims, old, "EdDSA", headers={"kid": header["kid"]})
    assert await _passes(app, in_time), "else the next line proves nothing"
    hand.pass_(minutes=-1)
    fresh = await sign_in(app.runtime, OPERATOR)
    hand.pass_(minutes=3)
    stolen = jwt.encode(_parts(fresh)[1], old, "EdDSA", headers={"kid": header["kid"]})
    assert await _passes(app, fresh)
    assert not await _passes(app, stolen)


async def test_a_token_stolen_before_the_sign_out(app: App, token: str, hand: SetClock, database_url: str) -> None:
    async with started_app(database_url, clock=hand.clock, sequence=False) as other:
        assert await _passes(other, token)
        assert (await app.with_token(token).post("/v1/auth/logout")).status_code == 204
        assert not await _passes(other, token)
        assert not await _passes(app, token)


async def test_a_token_stolen_before_the_keys_were_found_to_have_leaked(
    app: App, token: str, hand: SetClock, database_url: str
) -> None:
    """The thief has the key too: neither the token nor anything signed with the key is worth anything."""
    leaked, (header, claims) = await _key(app), _parts(token)
    async with started_app(database_url, clock=hand.clock, sequence=False) as other:
        async with app.runtime.database.transaction() as session:
            done = await signing_keys.rotate(session, app.runtime, SYSTEM, compromised=True)
        assert (done.replaced, done.sessions_ended) == ((header["kid"],), 1)
        assert not await _passes(other, token)
        again = await sign_in(app.runtime, OPERATOR)
        assert await _passes(other, again)
        for stolen in (claims, _parts(again)[1]):
            for kid in (header["kid"], done.kid):
                assert not await _passes(other, jwt.encode(stolen, leaked, "EdDSA", headers={"kid": kid}))


async def test_a_token_of_another_database(app: App, token: str, hand: SetClock, template_database: str) -> None:
    """Same names, same roles, same policy: another installation's token."""
    name, elsewhere = databases.create_database(template_database)
    try:
        async with started_app(elsewhere, clock=hand.clock, sequence=False) as other:
            theirs = await sign_in(other.runtime, OPERATOR)
            assert await _passes(other, theirs)
            assert not await _passes(other, token)
            assert not await _passes(app, theirs)
    finally:
        databases.drop_database(name)


@pytest.mark.parametrize("hours", [8, 9, 24 * 31])
async def test_a_token_older_than_eight_hours(app: App, token: str, hand: SetClock, hours: int) -> None:
    hand.pass_(hours=hours)
    assert not await _passes(app, token)


async def test_claims_of_two_tokens_swapped(app: App, token: str) -> None:
    """Every part was signed, only never together."""
    other = await sign_in(app.runtime, ADMIN)
    mine, theirs = token.split("."), other.split(".")
    for head in (mine[0], theirs[0]):
        for claims, signature in ((mine[1], theirs[2]), (theirs[1], mine[2])):
            assert not await _passes(app, f"{head}.{claims}.{signature}")


async def test_claims_of_two_people_in_one_token(app: App, token: str) -> None:
    """Whoever has the key still names one session, and that is one person's."""
    header, mine = _parts(token)
    theirs, key = _parts(await sign_in(app.runtime, ADMIN))[1], await _key(app)
    for claims in (mine | {"username": theirs["username"]}, mine | {"session_id": theirs["session_id"]}):
        assert not await _passes(app, jwt.encode(claims, key, "EdDSA", headers={"kid": header["kid"]}))
    both = jwt.encode(
        mine | {"user_id": theirs["user_id"], "role": theirs["role"]}, key, "EdDSA", headers={"kid": header["kid"]}
    )
    assert (await _who(app, both)).json()["username"] == OPERATOR.name


@pytest.mark.parametrize("missing", ["exp", "iat", "iss", "username", "session_id"])
async def test_a_claim_left_out(app: App, token: str, missing: str) -> None:
    header, claims = _parts(token)
    del claims[missing]
    assert not await _passes(app, jwt.encode(claims, await _key(app), "EdDSA", headers={"kid": header["kid"]}))


async def test_a_token_of_the_far_future(app: App, token: str, hand: SetClock) -> None:
    """The session's own end counts, whatever a token says."""
    header, claims = _parts(token)
    longer = claims | {"exp": int((START + timedelta(days=3650)).timestamp())}
    forged = jwt.encode(longer, await _key(app), "EdDSA", headers={"kid": header["kid"]})
    hand.pass_(hours=8)
    assert not await _passes(app, forged)
