"""ID tokens: one that holds, and everything that looks like it and is refused."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from backend.auth.oidc_claims import (
    MAX_KEYS,
    MAX_TOKEN_CHARS,
    Expected,
    TokenRefusedError,
    UnknownKeyError,
    at_hash,
    identity_of,
    read_keys,
    verify,
)
from tests.support.provider import by_hand, encode, hs256_with_public_key, rsa_key

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
ISSUER, CLIENT, NONCE = "https://id.example", "watchfloor", "n-1"
EXPECTED = Expected(
    issuer=ISSUER,
    client_id=CLIENT,
    nonce=NONCE,
    started_at=NOW - timedelta(seconds=60),
    now=NOW,
    leeway=timedelta(seconds=30),
    access_token="access",
)
JWK: dict[str, Any] = RSAAlgorithm.to_jwk(rsa_key("k1").public_key(), as_dict=True) | {"kid": "k1", "use": "sig"}
KEYS = read_keys({"keys": [JWK]})
_S = int(NOW.timestamp())


def _claims(**changed: Any) -> dict[str, Any]:
    usual = {"iss": ISSUER, "aud": CLIENT, "sub": "s-1", "iat": _S, "exp": _S + 300, "nonce": NONCE}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def _signed(claims: Any, **header: Any) -> str:
    def rs256(signed: bytes) -> bytes:
        return RSAAlgorithm(RSAAlgorithm.SHA256).sign(signed, rsa_key("k1"))

    return by_hand({"alg": "RS256", "kid": "k1"} | header, claims, rs256)


def test_a_token_that_holds_says_who_it_is() -> None:
    token = _signed(_claims(groups=["a", 5, "b"], preferred_username="Nora", amr=["pwd", "mfa"], acr="gold"))
    found = identity_of(verify(token, KEYS, EXPECTED), name_claim="preferred_username", group_claim="groups")
    assert (found.issuer, found.subject, found.name) == (ISSUER, "s-1", "Nora")
    assert (found.groups, found.contexts) == (frozenset({"a", "b"}), frozenset({"pwd", "mfa", "gold"}))


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": [CLIENT]},
        {"azp": CLIENT},
        {"nonce": None},  # the device grant does not promise one
        {"exp": _S - 29},
        {"iat": _S + 29},
        {"iat": _S - 89},
        {"at_hash": at_hash("access")},
        {"iat": _S + 0.5, "exp": _S + 300.25},
    ],
)
def test_what_the_standard_allows_is_taken(changed: dict[str, Any]) -> None:
    assert verify(_signed(_claims(**changed)), KEYS, EXPECTED)["sub"] == "s-1"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"iss": "https://other.example"}, "another issuer"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "somebody"}, "somebody else"),
        ({"aud": [CLIENT, "somebody"]}, "somebody else"),
        ({"aud": []}, "somebody else"),
        ({"aud": None}, "somebody else"),
        ({"azp": "somebody"}, "given to somebody else"),
        ({"exp": _S - 30}, "expired"),
        ({"exp": None}, "no exp"),
        ({"exp": True}, "no exp"),
        ({"exp": "never"}, "no exp"),
        ({"exp": 10**400}, "no exp"),
        ({"exp": float("inf")}, "no exp"),
        ({"exp": float("nan")}, "no exp"),
        ({"iat": _S + 31}, "future"),
        ({"iat": _S - 91}, "older than the sign-in"),
        ({"iat": None}, "no iat"),
        ({"nbf": _S + 31}, "not hold yet"),
        ({"nonce": "n-2"}, "another sign-in"),
        ({"nonce": 7}, "another sign-in"),
        ({"at_hash": at_hash("other")}, "another access token"),
        ({"sub": None}, "nobody"),
        ({"sub": ""}, "nobody"),
        ({"sub": 7}, "nobody"),
        ({"sub": "x" * 256}, "nobody"),
        ({"sub": "s\x001"}, "nobody"),
    ],
)
def test_a_claim_that_is_wrong_is_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(TokenRefusedError, match=why):
        verify(_signed(_claims(**changed)), KEYS, EXPECTED)


def _tampered(claims: dict[str, Any]) -> str:
    head, _, signature = _signed(claims).split(".")
    body = encode(json.dumps(claims | {"sub": "admin"}).encode()).decode()
    return f"{head}.{body}.{signature}"


def _other_key(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, rsa_key("other"), algorithm="RS256", headers={"kid": "k1"})


def _own_key_in_the_header(claims: dict[str, Any]) -> str:
    jwk: dict[str, Any] = RSAAlgorithm.to_jwk(rsa_key("other").public_key(), as_dict=True)
    return jwt.encode(claims, rsa_key("other"), algorithm="RS256", headers={"kid": "k1", "jwk": jwk})


@pytest.mark.parametrize(
    "forged",
    [
        lambda claims: by_hand({"alg": "none", "kid": "k1"}, claims, lambda _: b""),
        lambda claims: by_hand({"alg": "None", "kid": "k1"}, claims, lambda _: b""),
        lambda claims: hs256_with_public_key(claims, "k1"),
        lambda claims: by_hand({"alg": "RS256", "kid": "k1"}, claims, lambda _: b""),
        lambda claims: by_hand({"kid": "k1"}, claims, lambda _: b"x"),
        lambda claims: by_hand({"alg": ["RS256"], "kid": "k1"}, claims, lambda _: b"x"),
        _tampered,
        _other_key,
        _own_key_in_the_header,
        lambda claims: _signed(claims, crit=["exp"]),
        lambda claims: _signed(claims, b64=False, crit=["b64"]),
        lambda claims: _signed([claims]),
        lambda _: _signed("s-1"),
        lambda claims: f"{_signed(claims)}.",
        lambda claims: f"{_signed(claims)}.x.y",
        lambda claims: _signed(claims).partition(".")[2],
        lambda claims: _signed(claims | {"pad": "x" * MAX_TOKEN_CHARS}),
        lambda claims: _signed(claims).replace(".", ".é", 1),
        lambda _: "",
        lambda _: "..",
        lambda _: "[" * 5_000 + "..",
    ],
)
def test_a_forged_token_is_refused(forged: Callable[[dict[str, Any]], str]) -> None:
    with pytest.raises(TokenRefusedError):
        verify(forged(_claims()), KEYS, EXPECTED)


def test_the_key_has_to_be_named_where_there_is_a_choice() -> None:
    second: dict[str, Any] = RSAAlgorithm.to_jwk(rsa_key("k2").public_key(), as_dict=True) | {"kid": "k2"}
    both = read_keys({"keys": [JWK, second]})
    with pytest.raises(UnknownKeyError):
        verify(_signed(_claims(), kid=None), both, EXPECTED)
    assert verify(_signed(_claims(), kid=None), KEYS, EXPECTED)
    with pytest.raises(UnknownKeyError):
        verify(_signed(_claims(), kid="k9"), both, EXPECTED)
    with pytest.raises(UnknownKeyError):
        verify(_signed(_claims(), kid=["k1"]), both, EXPECTED)


def test_a_key_signs_with_the_algorithm_it_is_for() -> None:
    with pytest.raises(UnknownKeyError):
        verify(_signed(_claims()), read_keys({"keys": [JWK | {"alg": "PS256"}]}), EXPECTED)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_every_algorithm_that_is_taken(algorithm: str) -> None:
    on_curve = algorithm == "ES256"
    signer: Any = generate_ec(SECP256R1()) if on_curve else rsa_key("k1")
    shown: Any = ECAlgorithm if on_curve else RSAAlgorithm
    jwk = shown.to_jwk(signer.public_key(), as_dict=True) | {"kid": "k", "alg": algorithm}
    claims = _claims(at_hash=at_hash("access"))
    token = jwt.encode(claims, signer, algorithm=algorithm, headers={"kid": "k"})
    assert verify(token, read_keys({"keys": [jwk]}), EXPECTED)["sub"] == "s-1"
    with pytest.raises(TokenRefusedError):
        verify(token[:-8] + "AAAAAAAA", read_keys({"keys": [jwk]}), EXPECTED)


def test_at_hash_is_the_left_half_of_the_hash() -> None:
    assert at_hash("access") == encode(hashlib.sha256(b"access").digest()[:16]).decode()


@pytest.mark.parametrize(
    "changed",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"use": "enc"},
        {"e": "AQ"},
        {"n": "AQAB"},
        {"n": "A" * 4_096},
        {"n": 5},
        {"kid": 5},
        {"kid": "k" * 301},
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43},
    ],
)
def test_a_key_that_is_not_taken_is_passed_over(changed: dict[str, Any]) -> None:
    assert read_keys({"keys": [JWK | changed]}) == ()


def test_a_weak_key_is_passed_over() -> None:
    weak = generate_rsa(65537, 1024)  # noqa: S505  what is refused
    assert read_keys({"keys": [RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True)]}) == ()


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": [JWK] * (MAX_KEYS + 1)}])
def test_what_is_no_key_set_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no key set"):
        read_keys(document)


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)


_NAMES = ["iss", "aud", "azp", "sub", "iat", "exp", "nbf", "nonce", "at_hash"]


@given(claims=st.dictionaries(st.sampled_from(_NAMES), _JSON))
def test_whatever_is_signed_is_refused_in_one_way_or_holds(claims: dict[str, Any]) -> None:
    try:
        held = verify(_signed(_claims() | claims), KEYS, EXPECTED)
    except TokenRefusedError:
        return
    assert (held["iss"], held["sub"] != "") == (ISSUER, True)


@given(keys=st.lists(st.dictionaries(st.sampled_from(list(JWK)), _JSON), max_size=MAX_KEYS))
def test_whatever_stands_in_a_key_set_is_passed_over(keys: list[dict[str, Any]]) -> None:
    assert read_keys({"keys": keys}) == ()


@given(groups=_JSON, name=_JSON)
def test_groups_and_names_of_any_kind_are_read_or_none(groups: Any, name: Any) -> None:
    found = identity_of({"iss": ISSUER, "sub": "s", "g": groups, "n": name}, name_claim="n", group_claim="g")
    assert all(isinstance(one, str) for one in found.groups)
    assert found.name.isprintable()
