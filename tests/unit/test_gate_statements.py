"""Statements that are hostile, damaged or meant for something else are refused; honest ones are read as written."""

import base64
import contextlib
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gate.statements import (
    MAX_BYTES,
    Kind,
    StatementError,
    decode,
    encode,
    key_id,
    read,
    read_json,
    read_key,
    sign,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = KEY.public_key().public_bytes_raw()
KID = key_id(PUBLIC)
TRUSTED = {KID: PUBLIC}
PAYLOAD = {"v": 1, "executor": "bot-1", "mode": None, "max_trade": "0.5"}
GOOD = sign(Kind.PERMIT, KID, KEY, PAYLOAD)
HEADER, BODY, SIGNATURE = GOOD.split(".")


def text_of(value: Any) -> str:
    return encode(value if isinstance(value, bytes) else json.dumps(value).encode())


def signed(header: Any, payload: Any, key: Ed25519PrivateKey = KEY) -> str:
    start = f"{text_of(header)}.{text_of(payload)}"
    return f"{start}.{encode(key.sign(start.encode()))}"


def header(**change: Any) -> dict[str, Any]:
    return {"alg": "EdDSA", "kid": KID, "typ": Kind.PERMIT.value} | change


def hmac_with_the_public_key() -> str:
    start = f"{text_of(header(alg='HS256'))}.{BODY}"
    return f"{start}.{encode(hmac.new(PUBLIC, start.encode(), hashlib.sha256).digest())}"


def other_last_bits(text: str) -> str:
    """The same bytes, written with other bits where base64 has room for them."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def test_what_is_signed_is_read_as_it_was_written() -> None:
    assert read(GOOD, Kind.PERMIT, TRUSTED) == PAYLOAD


def test_the_header_names_algorithm_key_and_kind_and_nothing_else() -> None:
    assert json.loads(base64.urlsafe_b64decode(HEADER + "==")) == header()


HOSTILE = {
    "nothing": "",
    "no text": None,
    "bytes": GOOD.encode(),
    "two parts": f"{HEADER}.{BODY}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "no signature": f"{HEADER}.{BODY}.",
    "truncated signature": GOOD[:-4],
    "truncated payload": f"{HEADER}.{BODY[:-4]}.{SIGNATURE}",
    "oversized": sign(Kind.PERMIT, KID, KEY, {"v": "x" * MAX_BYTES[Kind.PERMIT]}),
    "alg none": signed(header(alg="none"), PAYLOAD),
    "alg none, unsigned": f"{text_of(header(alg='none'))}.{BODY}.",
    "alg HS256 with the public key as secret": hmac_with_the_public_key(),
    "alg in small letters": signed(header(alg="eddsa"), PAYLOAD),
    "alg a list": signed(header(alg=["EdDSA"]), PAYLOAD),
    "another kind": sign(Kind.HALT, KID, KEY, PAYLOAD),
    "kind JWT": signed(header(typ="JWT"), PAYLOAD),
    "no kind": signed({"alg": "EdDSA", "kid": KID}, PAYLOAD),
    "key unknown": sign(Kind.PERMIT, "0" * 16, KEY, PAYLOAD),
    "key name a list": signed(header(kid=[KID]), PAYLOAD),
    "key name null": signed(header(kid=None), PAYLOAD),
    "key in the header": signed(header(jwk={"kty": "OKP", "x": encode(PUBLIC)}), PAYLOAD),
    "critical extension": signed(header(crit=["b64"], b64=False), PAYLOAD),
    "signed by another under a trusted name": signed(header(), PAYLOAD, OTHER),
    "signature of other text": f"{HEADER}.{text_of({'v': 1, 'executor': 'bot-2'})}.{SIGNATURE}",
    "header swapped": f"{text_of(header(typ=Kind.PERMIT.value))}.{BODY}.{SIGNATURE}",
    "header a list": signed([1], PAYLOAD),
    "header not JSON": signed(b"{", PAYLOAD),
    "header twice alg": signed(json.dumps(header()).replace("{", '{"alg":"none",').encode(), PAYLOAD),
    "padded base64": f"{HEADER}.{BODY}.{SIGNATURE}==",
    "standard base64": f"{HEADER}.{BODY}.{'+/' + SIGNATURE[2:]}",
    "other last bits": f"{HEADER}.{BODY}.{other_last_bits(SIGNATURE)}",
    "white space": GOOD + "\n",
    "white space inside": f"{HEADER}. {BODY}.{SIGNATURE}",
    "not ASCII": GOOD[:-1] + "é",
    "payload a list": signed(header(), [1, 2]),
    "payload null": signed(header(), None),
    "payload not JSON": signed(header(), b"\xff\xfe"),
    "payload says a name twice": signed(header(), b'{"epoch":7,"epoch":1}'),
    "payload says a name twice deep inside": signed(header(), b'{"holds":[{"epoch":7,"epoch":1}]}'),
    "payload with a fraction": signed(header(), b'{"epoch":1.5}'),
    "payload with an exponent": signed(header(), b'{"epoch":1e400}'),
    "payload with NaN": signed(header(), b'{"epoch":NaN}'),
    "payload nested without end": signed(header(), b"[" * 9000),
    "payload with an endless number": signed(header(), b'{"v":' + b"9" * 8000 + b"}"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_statement_is_refused(name: str) -> None:
    with pytest.raises(StatementError):
        read(HOSTILE[name], Kind.PERMIT, TRUSTED)


def test_a_trusted_key_that_is_no_key_verifies_nothing() -> None:
    with pytest.raises(StatementError):
        read(GOOD, Kind.PERMIT, {KID: b"short"})


@pytest.mark.parametrize("text", [None, 7, "", "AAAA", encode(bytes(31)), encode(bytes(33)), encode(PUBLIC) + "="])
def test_what_is_no_public_key_is_refused(text: Any) -> None:
    with pytest.raises(StatementError):
        read_key(text)


def test_a_public_key_is_read_as_it_was_written() -> None:
    assert read_key(encode(PUBLIC)) == PUBLIC


@given(st.binary(max_size=200))
def test_bytes_have_exactly_one_spelling(raw: bytes) -> None:
    assert decode(encode(raw)) == raw


@given(st.text(max_size=60))
def test_text_is_either_the_one_spelling_of_its_bytes_or_refused(text: str) -> None:
    try:
        raw = decode(text)
    except StatementError:
        return
    assert encode(raw) == text


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_no_single_changed_character_passes(index: int, character: str) -> None:
    damaged = GOOD[:index] + character + GOOD[index + 1 :]
    if damaged != GOOD:
        with pytest.raises(StatementError):
            read(damaged, Kind.PERMIT, TRUSTED)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_json_or_refused(raw: bytes) -> None:
    with contextlib.suppress(StatementError):
        read_json(raw)
