"""Public halves of hardware keys as OpenSSH writes them (PROTOCOL.u2f). Takes two types in their one spelling.

Never takes a key whose secret may lie in a file. That a device really holds it is the device's word: there is no
attestation here.
"""

from collections.abc import Collection
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from backend.auth.hardware.errors import KeyRefusedError
from contract import hardware
from contract.hardware import HARDWARE_KEY_TYPES, MAX_BLOB_BYTES, SK_ED25519, EnrolledKey
from contract.sshwire import MalformedError, Reader, decode64, encode64

OPENSSH_APPLICATION = "ssh:"
"""To whom ssh-keygen makes a key out unless told otherwise."""
MAX_LINE_CHARS = 4_096
MAX_COMMENT_CHARS = 200
_MAX_TYPE_BYTES = 64
_MAX_APPLICATION_BYTES = 255
_ED25519_BYTES = 32
_P256_POINT_BYTES = 65  # uncompressed: 4, x, y
_ED25519_PRIME = 2**255 - 19
_ED25519_D = -121_665 * pow(121_666, -1, _ED25519_PRIME) % _ED25519_PRIME
_MAKE_ONE = "Make one with: ssh-keygen -t ed25519-sk"


@dataclass(frozen=True, slots=True)
class HardwareKey:
    """The public half of one hardware key; made by `parse_line` and `parse_blob` only, which check it."""

    kind: str
    """One of `HARDWARE_KEY_TYPES`."""
    blob: bytes
    """Canonical: equal keys have equal bytes."""
    public: Ed25519PublicKey | EllipticCurvePublicKey
    application: str

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as ssh-keygen shows it."""
        return hardware.fingerprint(self.blob)

    def on_the_wire(self) -> EnrolledKey:
        """The key as a challenge lists it."""
        return EnrolledKey(blob=encode64(self.blob), fingerprint=self.fingerprint, application=self.application)


def parse_line(line: str, *, applications: Collection[str] = (OPENSSH_APPLICATION,)) -> tuple[HardwareKey, str]:
    """Read a line of a `.pub` file or of `ssh-add -L`: the key and its comment.

    `applications` are those that the policy takes.

    Raises:
        KeyRefusedError: it is anything but one hardware key.
    """
    text = line.strip()
    if len(text) > MAX_LINE_CHARS:
        raise KeyRefusedError("That is too long for a public key.")
    if "PRIVATE KEY" in text:
        raise KeyRefusedError("That is a private key. Give the .pub file, and keep the private one to yourself.")
    if not text.isprintable():
        raise KeyRefusedError("Give one line: the content of one .pub file.")
    kind, _, rest = text.partition(" ")
    if kind not in HARDWARE_KEY_TYPES and any(f" {each} " in text for each in HARDWARE_KEY_TYPES):
        raise KeyRefusedError("Leave out what stands in front of the type of the key.")
    _refuse_other_types(kind)
    body, _, comment = rest.strip().partition(" ")
    try:
        blob = decode64(body, "the key")
    except MalformedError as error:
        raise KeyRefusedError(f"That is no public key: {error}.") from error
    key = parse_blob(blob, applications=applications)
    if key.kind != kind:
        raise KeyRefusedError(f"The line says {kind}, the key in it {key.kind}.")
    return key, comment.strip()[:MAX_COMMENT_CHARS]


def parse_blob(blob: bytes, *, applications: Collection[str] = (OPENSSH_APPLICATION,)) -> HardwareKey:
    """Read a public key as agents and answers carry it.

    Raises:
        KeyRefusedError: it is no hardware key in its one spelling, or made out to an application not in `applications`.
    """
    if len(blob) > MAX_BLOB_BYTES:
        raise KeyRefusedError("That is too long for a public key.")
    reader = Reader(blob, "the key")
    try:
        kind = reader.name(max_bytes=_MAX_TYPE_BYTES)
        _refuse_other_types(kind)
        public = _ed25519(reader) if kind == SK_ED25519 else _p256(reader)
        application = reader.name(max_bytes=_MAX_APPLICATION_BYTES)
        reader.end()
    except MalformedError as error:
        raise KeyRefusedError(f"That is no public key: {error}.") from error
    if application not in applications:
        wanted = " or ".join(sorted(applications))
        raise KeyRefusedError(f"The key was made out to {application}, not to {wanted}. {_MAKE_ONE}")
    return HardwareKey(kind, blob, public, application)


def _refuse_other_types(kind: str) -> None:
    if kind in HARDWARE_KEY_TYPES:
        return
    shown = kind[:_MAX_TYPE_BYTES]
    if "-cert-v0" in kind:
        raise KeyRefusedError(f"That is a certificate ({shown}). Give the public key that it was made for.")
    if kind.startswith(("ssh-", "ecdsa-sha2-", "rsa-sha2-")):
        raise KeyRefusedError(f"That is an ordinary SSH key ({shown}), which lies in a file. {_MAKE_ONE}")
    raise KeyRefusedError(f"That is no hardware key. {_MAKE_ONE}")


def _ed25519(reader: Reader) -> Ed25519PublicKey:
    raw = reader.string(max_bytes=_ED25519_BYTES)
    if len(raw) != _ED25519_BYTES:
        raise reader.malformed("has a point of the wrong length")
    y = int.from_bytes(raw, "little") & (2**255 - 1)  # the highest bit is the sign of x
    if y >= _ED25519_PRIME or _has_small_order(y) or not _on_ed25519(y):
        raise reader.malformed("has a point that is none of a real key")
    return Ed25519PublicKey.from_public_bytes(raw)


def _has_small_order(y: int) -> bool:
    """Whether it is one of the eight points under which anybody can sign: their order divides 8.

    Those of order 1, 2 and 4 have y = 1, -1 and 0. The double of one of order 8 has y = 0, so that x² = -y² there, and
    the equation of the curve leaves d·y⁴ + 2·y² = 1.
    """
    square = y * y % _ED25519_PRIME
    return square in (0, 1) or (_ED25519_D * square * square + 2 * square - 1) % _ED25519_PRIME == 0


def _on_ed25519(y: int) -> bool:
    square = y * y
    x_squared = (square - 1) * pow(_ED25519_D * square + 1, -1, _ED25519_PRIME)  # never 1/0: -1/d is no square
    return pow(x_squared, (_ED25519_PRIME - 1) // 2, _ED25519_PRIME) == 1


def _p256(reader: Reader) -> EllipticCurvePublicKey:
    if reader.string(max_bytes=_MAX_TYPE_BYTES) != b"nistp256":
        raise reader.malformed("is on another curve than nistp256")
    raw = reader.string(max_bytes=_P256_POINT_BYTES)
    if len(raw) != _P256_POINT_BYTES:
        raise reader.malformed("has a point that is not spelt in full")
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), raw)
    except ValueError as error:
        raise reader.malformed("has a point that is not on the curve") from error
