"""Whatever an answer holds, it is refused with a reason or it is one of the few signatures and keys that are good."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from backend.auth.hardware import signatures
from backend.auth.hardware.errors import KeyRefusedError, SignatureRefusedError
from backend.auth.hardware.keys import HardwareKey, parse_blob, parse_line
from contract.hardware import HARDWARE_KEY_TYPES, SK_ECDSA, SK_ED25519, bytes_to_sign
from contract.sshwire import encode64, string
from tests.support.hardware import fixed_desk, statement

MESSAGE = bytes_to_sign(statement())
_ED25519, _P256, _BLOB, _LINE = range(4)


@cache
def _good() -> tuple[dict[str, HardwareKey], dict[str, bytes]]:
    with fixed_desk() as held:
        keys = {kind: held.public(kind) for kind in HARDWARE_KEY_TYPES}
        return keys, {kind: held.sign(kind, MESSAGE) for kind in HARDWARE_KEY_TYPES}


def seeds() -> list[bytes]:
    """One good input of each kind; the first byte says which."""
    keys, good = _good()
    lines = [f"{kind} {encode64(keys[kind].blob)} comment".encode() for kind in HARDWARE_KEY_TYPES]
    return [
        bytes([_ED25519]) + good[SK_ED25519],
        bytes([_P256]) + good[SK_ECDSA],
        *(bytes([_BLOB]) + keys[kind].blob for kind in HARDWARE_KEY_TYPES),
        *(bytes([_LINE]) + line for line in lines),
    ]


def check(data: bytes) -> None:
    """Read one input; raises what must never be raised."""
    if not data:
        return
    which, rest = data[0] % 4, data[1:]
    if which == _BLOB:
        _check_blob(rest)
    elif which == _LINE:
        _check_line(rest)
    else:
        _check_signature(SK_ED25519 if which == _ED25519 else SK_ECDSA, rest)


def _check_signature(kind: str, signature: bytes) -> None:
    keys, good = _good()
    try:
        signatures.verify(keys[kind], signature, MESSAGE)
    except SignatureRefusedError:
        return
    assert signature == good[kind], "a signature that was never made was taken"


def _check_blob(blob: bytes) -> None:
    try:
        key = parse_blob(blob)
    except KeyRefusedError:
        return
    assert _spelt(key) == blob, "a second spelling of a key was taken"


def _check_line(line: bytes) -> None:
    try:
        key, comment = parse_line(line.decode("utf-8", "surrogateescape"))
    except KeyRefusedError:
        return
    assert _spelt(key) == key.blob, "a second spelling of a key was taken"
    assert comment.isprintable()


def _spelt(key: HardwareKey) -> bytes:
    if isinstance(key.public, Ed25519PublicKey):
        fields = [key.public.public_bytes(Encoding.Raw, PublicFormat.Raw)]
    else:
        fields = [b"nistp256", key.public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)]
    return b"".join(string(each) for each in (key.kind.encode(), *fields, key.application.encode()))
