"""Signatures of hardware keys: what fits is taken with its flags and counter, every other byte is refused."""

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.auth.hardware.errors import SignatureRefusedError
from backend.auth.hardware.keys import parse_blob
from backend.auth.hardware.signatures import verify
from contract.hardware import (
    HARDWARE_KEY_TYPES,
    NAMESPACE,
    SK_ECDSA,
    SK_ED25519,
    bytes_to_sign,
    sshsig,
    statement_bytes,
)
from contract.sshwire import Reader, mpint, string
from simulator.security_key import Counting
from tests.support.hardware import Desk, desk, fixed_desk, statement

MESSAGE = bytes_to_sign(statement())
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FIXED_ED25519 = Ed25519PrivateKey.from_private_bytes(b"\x11" * 32)
FIXED_P256 = derive_private_key(int("22" * 32, 16), SECP256R1())
"""The secrets of `fixed_desk`."""


def _refused(held: Desk, kind: str, signature: bytes, message: bytes = MESSAGE) -> str:
    with pytest.raises(SignatureRefusedError) as refused:
        verify(held.public(kind), signature, message)
    return str(refused.value)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    message=st.binary(max_size=300), touched=st.booleans(), verified=st.booleans(), counter=st.integers(0, 2**32 - 1)
)
def test_what_a_key_signs_is_taken(kind: str, message: bytes, touched: bool, verified: bool, counter: int) -> None:  # noqa: FBT001  drawn
    with desk() as held:
        held.key.set_counter(counter)
        held.behaviour.touched, held.behaviour.verified = touched, verified
        held.behaviour.counting = Counting.FROZEN
        found = verify(held.public(kind), held.sign(kind, message), message)
    assert (found.present, found.verified, found.copyable, found.counter) == (touched, verified, False, counter)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
def test_every_flipped_bit_is_refused(kind: str) -> None:
    with desk() as held:
        key, signature = held.public(kind), held.sign(kind, MESSAGE)
    verify(key, signature, MESSAGE)
    for bit in range(8 * len(signature)):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureRefusedError):
            verify(key, bytes(flipped), MESSAGE)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
def test_every_cut_and_every_tail_is_refused(kind: str) -> None:
    with desk() as held:
        signature = held.sign(kind, MESSAGE)
        for end in range(len(signature)):
            _refused(held, kind, signature[:end])
        assert "1 bytes too many" in _refused(held, kind, signature + b"\x00")
        assert "1024 are allowed" in _refused(held, kind, signature + bytes(1_024))


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
def test_a_signature_of_another_key_message_or_application_is_refused(kind: str) -> None:
    with desk() as held, desk() as other:
        assert "does not fit" in _refused(held, kind, other.sign(kind, MESSAGE))
        for changed in (
            {"origin": "https://floor-2.example"},
            {"act": "approve_thaw"},
            {"about": "FRZ-0001"},
            {"user": "admin1"},
            {"challenge_id": "ch-2"},
            {"nonce": "m" * 43},
            {"expires_at": "2025-07-11T12:01:00.000001Z"},
        ):
            assert "does not fit" in _refused(held, kind, held.sign(kind, bytes_to_sign(statement(**changed))))
        key = held.public(kind)
        held.key.application = "ssh:other"
        with pytest.raises(SignatureRefusedError, match="does not fit"):
            verify(key, held.sign(kind, MESSAGE), MESSAGE)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
def test_a_key_made_out_to_another_application_signs_for_that_one_only(kind: str) -> None:
    with desk() as held:
        held.key.application = "ssh:floor"
        key, signature = parse_blob(held.key.blob(kind), applications={"ssh:floor"}), held.sign(kind, MESSAGE)
        assert verify(key, signature, MESSAGE).present
        held.key.application = "ssh:"
        with pytest.raises(SignatureRefusedError, match="does not fit"):
            verify(key, held.sign(kind, MESSAGE), MESSAGE)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
def test_what_a_key_signs_elsewhere_is_worth_nothing_here(kind: str) -> None:
    """Other namespaces of SSHSIG, the bare statement, and a login: session id, request, user, method and key."""
    said = statement_bytes(statement())
    with desk() as held:
        login = string(bytes(32)) + b"\x32" + string(b"officer1") + string(b"ssh-connection") + string(b"publickey")
        elsewhere = [sshsig("git", said), sshsig("file", said), said, b"", login, sshsig(NAMESPACE + " ", said)]
        for message in elsewhere:
            assert "does not fit" in _refused(held, kind, held.sign(kind, message))


def test_the_two_types_are_never_taken_for_each_other() -> None:
    with desk() as held:
        for kind, other in (HARDWARE_KEY_TYPES, HARDWARE_KEY_TYPES[::-1]):
            signature = held.sign(kind, MESSAGE)
            assert f"not of type {other}" in _refused(held, other, signature)
            relabelled = string(other.encode()) + signature[len(string(kind.encode())) :]
            assert "cannot be read" in _refused(held, other, relabelled)


def test_ordinary_signatures_are_refused_even_under_the_same_secret() -> None:
    with fixed_desk() as held:
        bare = FIXED_ED25519.sign(MESSAGE)
        tail = struct.pack(">BI", 1, 5)
        r, s = decode_dss_signature(FIXED_P256.sign(MESSAGE, ECDSA(SHA256())))
        assert "not of type" in _refused(held, SK_ED25519, string(b"ssh-ed25519") + string(bare))
        assert "ends too early" in _refused(held, SK_ED25519, string(SK_ED25519.encode()) + string(bare))
        assert "does not fit" in _refused(held, SK_ED25519, string(SK_ED25519.encode()) + string(bare) + tail)
        inner = string(mpint(r) + mpint(s))
        assert "not of type" in _refused(held, SK_ECDSA, string(b"ecdsa-sha2-nistp256") + inner)
        assert "does not fit" in _refused(held, SK_ECDSA, string(SK_ECDSA.encode()) + inner + tail)
        webauthn = string(b"webauthn-" + SK_ECDSA.encode()) + inner + tail
        assert "not of type" in _refused(held, SK_ECDSA, webauthn)


def test_the_signed_bytes_are_those_of_the_document() -> None:
    """Built here by hand from PROTOCOL.u2f, so that device and verifier cannot both be wrong in the same way."""
    tail = struct.pack(">BI", 0x05, 7)
    signed = hashlib.sha256(b"ssh:").digest() + tail + hashlib.sha256(MESSAGE).digest()
    signature = string(SK_ED25519.encode()) + string(FIXED_ED25519.sign(signed)) + tail
    with fixed_desk() as held:
        found = verify(held.public(SK_ED25519), signature, MESSAGE)
    assert (found.flags, found.counter, found.present, found.verified) == (0x05, 7, True, True)


@pytest.mark.parametrize("flags", [0x02, 0x20, 0x40, 0x80])
@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
def test_flags_that_announce_more_data_or_nothing_known_are_refused(kind: str, flags: int) -> None:
    with desk() as held:
        held.behaviour.other_flags = flags
        assert "flags of no meaning" in _refused(held, kind, held.sign(kind, MESSAGE))


def test_numbers_out_of_range_are_refused_before_anything_is_computed() -> None:
    with desk() as held:
        signature = held.sign(SK_ECDSA, MESSAGE)
        reader = Reader(signature, "it")
        reader.string(max_bytes=100)
        inner = Reader(reader.string(max_bytes=100), "it")
        r, s = (inner.positive(max_bytes=32) for _ in range(2))
        good = mpint(r), mpint(s)
        bad = [mpint(0), mpint(P256_ORDER), mpint(2**256 - 1), string(b"\xff" * 32), string(bytes(1) + good[0][4:])]
        bad += [mpint(2**256), string(bytes(900)), string(b"\x01" * 33)]
        for each in bad:
            for pair in ((each, good[1]), (good[0], each)):
                forged = string(SK_ECDSA.encode()) + string(b"".join(pair)) + signature[-5:]
                assert "cannot be read" in _refused(held, SK_ECDSA, forged)
        forged = string(SK_ECDSA.encode()) + string(b"".join(good) + b"\x00") + signature[-5:]
        assert "too many" in _refused(held, SK_ECDSA, forged)


def test_the_twin_of_an_ecdsa_signature_is_also_valid() -> None:
    """Known and harmless, because a challenge is answered once; told here so that nobody counts on unique bytes."""
    with desk() as held:
        signature = held.sign(SK_ECDSA, MESSAGE)
        reader = Reader(signature, "it")
        reader.string(max_bytes=100)
        inner = Reader(reader.string(max_bytes=100), "it")
        r, s = (inner.positive(max_bytes=32) for _ in range(2))
        twin = string(SK_ECDSA.encode()) + string(mpint(r) + mpint(P256_ORDER - s)) + signature[-5:]
        assert twin != signature
        assert verify(held.public(SK_ECDSA), twin, MESSAGE) == verify(held.public(SK_ECDSA), signature, MESSAGE)
