"""Which public keys are taken as hardware keys, and what a person is told about the others."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.auth.hardware.errors import KeyRefusedError, SignatureRefusedError
from backend.auth.hardware.keys import parse_blob, parse_line
from backend.auth.hardware.signatures import verify
from contract.hardware import HARDWARE_KEY_TYPES, SK_ECDSA, SK_ED25519
from contract.sshwire import MalformedError, Reader, decode64, encode64, mpint, string
from tests.support.hardware import desk

PRIME = 2**255 - 19
POINT = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()


def _ed25519(point: bytes = POINT, application: bytes = b"ssh:", kind: bytes = SK_ED25519.encode()) -> bytes:
    return string(kind) + string(point) + string(application)


def _p256(point: bytes, curve: bytes = b"nistp256") -> bytes:
    return b"".join(string(each) for each in (SK_ECDSA.encode(), curve, point, b"ssh:"))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(secret=st.binary(min_size=32, max_size=32))
def test_every_ed25519_key_of_a_device_is_taken(secret: bytes) -> None:
    blob = _ed25519(Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw())
    key, comment = parse_line(f"{SK_ED25519} {encode64(blob)} my key \n")
    assert (key.kind, key.blob, key.application, comment) == (SK_ED25519, blob, "ssh:", "my key")
    assert parse_blob(key.blob).fingerprint == key.fingerprint


def test_an_ecdsa_key_of_a_device_is_taken() -> None:
    with desk() as held:
        key, _ = parse_line(held.key.line(SK_ECDSA))
        assert (key.kind, key.blob) == (SK_ECDSA, held.key.blob(SK_ECDSA))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "no hardware key"),
        ("hello", "no hardware key"),
        (f"ssh-ed25519 {encode64(_ed25519(kind=b'ssh-ed25519'))} me", "ordinary SSH key (ssh-ed25519)"),
        ("ssh-rsa AAAA me", "ordinary SSH key (ssh-rsa)"),
        ("ssh-dss AAAA me", "ordinary SSH key (ssh-dss)"),
        ("ecdsa-sha2-nistp384 AAAA", "ordinary SSH key (ecdsa-sha2-nistp384)"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
        ("sk-ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
        (f"webauthn-{SK_ECDSA} AAAA", "no hardware key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "private key"),
        (f"no-touch-required {SK_ED25519} AAAA", "Leave out what stands in front"),
        (f"{SK_ED25519}", "no public key"),
        (f"{SK_ED25519} !!!!", "not base64"),
        (f"{SK_ED25519} {encode64(_ed25519())[:-1]}", "not base64"),
        (f"{SK_ED25519} {encode64(_ed25519())} a\nb", "one line"),
        (f"{SK_ED25519} {encode64(_ed25519())} \x1b[2J", "one line"),
        (f"{SK_ECDSA} {encode64(_ed25519())}", f"The line says {SK_ECDSA}"),
        (f"{SK_ED25519} {encode64(_ed25519(kind=b'ssh-ed25519'))}", "ordinary SSH key"),
        (f"{SK_ED25519} {'A' * 5000}", "too long"),
    ],
)
def test_everything_else_is_refused_in_words(line: str, said: str) -> None:
    with pytest.raises(KeyRefusedError) as refused:
        parse_line(line)
    assert said in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x00",
        string(SK_ED25519.encode()),
        _ed25519() + b"\x00",
        _ed25519()[:-1],
        _ed25519(POINT[:-1]),
        _ed25519(POINT + b"\x00"),
        _ed25519(b""),
        _ed25519(kind=SK_ECDSA.encode()),
        _ed25519(application=b""),
        _ed25519(application=b"ssh:\x00"),
        _ed25519(application="ssh:é".encode()),
        _ed25519(application=b"s" * 2_000),
        b"\xff\xff\xff\xff" + _ed25519()[4:],
    ],
)
def test_malformed_blobs_are_refused(blob: bytes) -> None:
    with pytest.raises(KeyRefusedError):
        parse_blob(blob)


ORDER_8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")


@pytest.mark.parametrize("y", [0, 1, PRIME - 1, ORDER_8, PRIME - ORDER_8, *range(PRIME, 2**255)], ids=hex)
def test_points_under_which_anybody_can_sign_are_refused(y: int) -> None:
    """Each with both signs of x: all points whose order divides 8; and all that are not spelt in the one way."""
    for sign in (0, 2**255):
        with pytest.raises(KeyRefusedError, match="none of a real key"):
            parse_blob(_ed25519((y + sign).to_bytes(32, "little")))


def test_a_key_of_small_order_would_let_anybody_sign() -> None:
    """Why they are refused: OpenSSL itself takes such a signature over any message."""
    identity = Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))
    identity.verify((1).to_bytes(32, "little") + bytes(32), b"any message")


def test_points_beside_the_curve_are_refused() -> None:
    refused = 0
    for y in range(2, 66):
        try:
            parse_blob(_ed25519(y.to_bytes(32, "little")))
        except KeyRefusedError:
            refused += 1
    assert 16 < refused < 48  # every second value of y has a point


def test_other_spellings_of_a_p256_point_are_refused() -> None:
    public = generate_private_key(SECP256R1()).public_key()
    whole = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    short = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    parse_blob(_p256(whole))
    hybrid = bytes([6 + (whole[-1] & 1)]) + whole[1:]
    off = whole[:-1] + bytes([whole[-1] ^ 1])
    for point in (short, hybrid, off, b"\x00", b"", bytes([4]) + bytes(64), bytes([4]) + b"\xff" * 64):
        with pytest.raises(KeyRefusedError):
            parse_blob(_p256(point))
    with pytest.raises(KeyRefusedError, match="nistp256"):
        parse_blob(_p256(whole, curve=b"nistp384"))


def test_the_application_has_to_be_one_of_the_policys() -> None:
    blob = _ed25519(application=b"ssh:floor")
    with pytest.raises(KeyRefusedError, match="made out to ssh:floor, not to ssh:"):
        parse_blob(blob)
    assert parse_blob(blob, applications={"ssh:floor"}).application == "ssh:floor"
    with pytest.raises(KeyRefusedError):
        parse_blob(_ed25519(), applications={"ssh:floor"})


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
def test_a_key_with_any_bit_flipped_is_refused_or_another_key(kind: str) -> None:
    with desk() as held:
        blob, signature = held.key.blob(kind), held.sign(kind, b"message")
        verify(held.public(kind), signature, b"message")
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            other = parse_blob(bytes(flipped))
        except KeyRefusedError:
            continue
        assert other.blob == flipped
        with pytest.raises(SignatureRefusedError):
            verify(other, signature, b"message")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(number=st.integers(1, 2**256 - 1))
def test_numbers_have_one_spelling(number: int) -> None:
    spelt = mpint(number)
    reader = Reader(spelt, "it")
    assert reader.positive(max_bytes=32) == number
    reader.end()
    with pytest.raises(MalformedError, match="padding"):
        Reader(string(b"\x00" + spelt[4:]), "it").positive(max_bytes=33)


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\x80", b"\x00\x7f", b"\x01" + bytes(32), b"\x00\xff" + bytes(32)])
def test_other_spellings_of_numbers_are_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        Reader(string(raw), "it").positive(max_bytes=32)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=st.binary(max_size=200))
def test_base64_has_one_spelling(raw: bytes) -> None:
    text = encode64(raw)
    assert decode64(text, "it") == raw
    for other in (text + "=", text + "\n", " " + text, text.rstrip("=") + "é"):
        with pytest.raises(MalformedError):
            decode64(other, "it")


def test_bits_left_over_in_base64_are_no_second_spelling() -> None:
    assert encode64(b"a") == "YQ=="
    with pytest.raises(MalformedError, match="canonical"):
        decode64("YR==", "it")
