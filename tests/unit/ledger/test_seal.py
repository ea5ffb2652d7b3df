"""Sealed fields: commitments, encryption bound to its place, wrapped keys, blind tokens."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import seal
from ledger.seal import Opened, SealError

KEY, OTHER, SALT, NONCE = b"k" * 32, b"o" * 32, b"s" * 32, b"n" * 12
PLACE = {"entry_id": "e1", "field": "ip"}
VALUE = b'"192.0.2.1"'
COMMITTED = seal.commitment("y7", "e1", "ip", SALT, VALUE)


def sealed(value: bytes = VALUE, committed: bytes = COMMITTED) -> bytes:
    return seal.encrypt(KEY, NONCE, **PLACE, committed=committed, salt=SALT, value=value)


def opened(**changes: Any) -> Opened:
    known: dict[str, Any] = {"key": KEY, "nonce": NONCE, "ciphertext": sealed(), "log": "y7", "committed": COMMITTED}
    known |= PLACE | changes
    return seal.decrypt(known.pop("key"), known.pop("nonce"), known.pop("ciphertext"), **known)


def test_a_commitment_is_what_its_definition_says() -> None:
    parts = b"audit/field/1\0" + b"\0\0\0\2y7" + b"\0\0\0\2e1" + b"\0\0\0\2ip" + SALT + VALUE
    assert sha256(parts).digest() == COMMITTED


def test_a_value_opens_at_its_place_with_its_key_only() -> None:
    assert opened() == Opened(SALT, VALUE)
    wrong: list[dict[str, Any]] = [
        {"key": OTHER}, {"nonce": b"x" * 12}, {"entry_id": "e2"}, {"field": "email"}, {"log": "y3"},
        {"committed": bytes(32)}, {"key": b"short"}, {"nonce": b""}, {"committed": b""}, {"ciphertext": b""},
    ]  # fmt: skip
    for change in wrong:
        with pytest.raises(SealError):
            opened(**change)
    for at in range(len(sealed())):
        with pytest.raises(SealError):
            opened(ciphertext=sealed()[:at] + bytes([sealed()[at] ^ 1]) + sealed()[at + 1 :])


def test_a_ciphertext_of_another_value_under_the_same_commitment_is_refused() -> None:
    with pytest.raises(SealError, match="committed"):
        opened(ciphertext=sealed(b'"198.51.100.7"'))


@given(st.text(), st.text(), st.text(), st.text())
def test_no_two_places_share_a_commitment(log: str, entry_id: str, other_log: str, other_id: str) -> None:
    try:
        one = seal.commitment(log, entry_id, "ip", SALT, VALUE)
        other = seal.commitment(other_log, other_id, "ip", SALT, VALUE)
    except SealError:  # a lone surrogate
        return
    assert (one == other) == ((log, entry_id) == (other_log, other_id))


def test_a_key_is_unwrapped_for_its_subject_and_id_only() -> None:
    wrapped = seal.wrap_key(KEY, NONCE, OTHER, subject="p1", key_id="k1")
    assert len(wrapped) == 60
    assert seal.unwrap_key(KEY, wrapped, subject="p1", key_id="k1") == OTHER
    for kek, raw, subject, key_id in [
        (OTHER, wrapped, "p1", "k1"), (KEY, wrapped, "p2", "k1"), (KEY, wrapped, "p1", "k2"), (KEY, b"", "p1", "k1"),
        (KEY, wrapped[:-1], "p1", "k1"), (KEY, bytes([wrapped[0] ^ 1]) + wrapped[1:], "p1", "k1"),
    ]:  # fmt: skip
        with pytest.raises(SealError):
            seal.unwrap_key(kek, raw, subject=subject, key_id=key_id)


def test_blind_tokens_and_derived_keys_differ_by_key_field_value_and_purpose() -> None:
    tokens = {seal.blind(key, field, text) for key in (KEY, OTHER) for field in ("a", "ab") for text in ("bc", "c")}
    assert len(tokens) == 8
    keys = {seal.derive(master, purpose) for master in (KEY, OTHER) for purpose in ("wrap", "blind")}
    assert len(keys) == 4
    assert {len(one) for one in keys} == {32}
    assert seal.derive(KEY, "wrap") == seal.derive(KEY, "wrap")
    with pytest.raises(SealError):
        seal.derive(KEY, "")
    with pytest.raises(SealError):
        seal.derive(b"short", "wrap")
    with pytest.raises(SealError):
        seal.commitment("y7", "e1", "ip", b"short", VALUE)
