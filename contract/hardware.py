"""Wire types of a hardware key over SSH, and the bytes that it signs, which both sides build from the same fields.

The console never signs bytes it was sent: it builds them itself, so that no backend can have it sign anything else.
"""

import hashlib
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from contract.auth import MAX_NAME_CHARS
from contract.base import UtcDatetime, Wire, WireRequest, storable
from contract.sshwire import encode64, string

SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
HARDWARE_KEY_TYPES = (SK_ED25519, SK_ECDSA)
"""The types of keys that OpenSSH keeps on a FIDO device."""

NAMESPACE = "hardware-key@watchfloor"
"""Of our signatures among all that a key makes: `git`, `file` and logins are others."""
STATEMENT_VERSION = 1
MAX_BLOB_BYTES = 1_024
"""Of a public key or a signature; the longest real one has about 300."""
MAX_BLOB_CHARS = 4 * ((MAX_BLOB_BYTES + 2) // 3)
"""The same in base64."""
MAX_ORIGIN_CHARS = 300
MAX_ABOUT_CHARS = 200
MAX_ID_CHARS = 64
MAX_KEYS = 16
"""Of one account; more would only be asked in vain."""
_SSHSIG_PREAMBLE = b"SSHSIG"
_BASE64 = r"^[A-Za-z0-9+/]+={0,2}$"

_Blob = Annotated[str, Field(max_length=MAX_BLOB_CHARS, pattern=_BASE64)]
_Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[A-Za-z0-9_-]+$")]


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no instant of the calendar") from error


class HardwareAct(StrEnum):
    """What a hardware key is asked for."""

    SIGN_IN = "sign_in"
    UNLOCK = "unlock"
    ENROL_KEY = "enrol_key"
    APPROVE_THAW = "approve_thaw"
    APPROVE_ERASURE = "approve_erasure"
    APPROVE_ELEVATION = "approve_elevation"
    DECIDE_ACCESS = "decide_access"
    """Change or revoke an account's access in a review."""
    ISSUE_TOKEN = "issue_token"  # noqa: S105  the name of an act
    """Of a machine."""
    ROTATE_TOKEN = "rotate_token"  # noqa: S105  the name of an act


class HardwareStatement(Wire):
    """What a person consents to with a touch."""

    challenge_id: _Id
    user: Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(storable)]
    origin: Annotated[str, Field(max_length=MAX_ORIGIN_CHARS), AfterValidator(storable)]
    """Address of the backend as the console knows it: an answer given to one backend is worth nothing at another."""
    act: HardwareAct
    about: Annotated[str, Field(max_length=MAX_ABOUT_CHARS), AfterValidator(storable)] = ""
    """What exactly the act is done to, such as a hold and its thaw digest; empty for a sign-in."""
    nonce: _Id
    """Random text that is given once."""
    expires_at: Annotated[UtcDatetime, AfterValidator(_in_utc)]


class EnrolledKey(Wire):
    """A key that the account may answer with."""

    blob: _Blob
    fingerprint: str
    """`SHA256:…`, as ssh-keygen and ssh-add show it."""
    application: str
    """To whom the key was made out: `ssh:`, or what the policy names."""


class HardwareChallenge(Wire):
    """What the backend wants signed, and by which keys."""

    statement: HardwareStatement
    to_sign: str = Field(max_length=MAX_BLOB_CHARS, pattern=_BASE64)
    """The exact bytes, base64: the console compares them with those it built itself."""
    keys: list[EnrolledKey] = Field(max_length=MAX_KEYS)
    needs_verification: bool = False
    """Whether the key must also have checked its owner, by PIN or fingerprint."""


class HardwareAnswer(WireRequest):
    """The signature that one key of the account gave."""

    challenge_id: _Id
    key: _Blob
    signature: _Blob = Field(repr=False)


def statement_bytes(statement: HardwareStatement) -> bytes:
    """The statement in its one spelling: JSON with sorted names and no space (RFC 8785), instants in UTC."""
    fields = {
        "about": statement.about,
        "act": str(statement.act),
        "challenge": statement.challenge_id,
        "expires": statement.expires_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "nonce": statement.nonce,
        "origin": statement.origin,
        "user": statement.user,
        "version": STATEMENT_VERSION,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def bytes_to_sign(statement: HardwareStatement) -> bytes:
    """What the key signs: an SSHSIG of the statement, as `ssh-keygen -Y sign -n hardware-key@watchfloor` makes it.

    It can never be the signature of an SSH login: that begins with a session id's length, this with six letters.
    """
    return sshsig(NAMESPACE, statement_bytes(statement))


def sshsig(namespace: str, message: bytes) -> bytes:
    """The bytes under an SSH signature of a message (PROTOCOL.sshsig, section 3), hashed with SHA-512."""
    fields = (namespace.encode(), b"", b"sha512", hashlib.sha512(message).digest())
    return _SSHSIG_PREAMBLE + b"".join(string(field) for field in fields)


def fingerprint(blob: bytes) -> str:
    """Name of a public key, as ssh-keygen shows it."""
    return "SHA256:" + encode64(hashlib.sha256(blob).digest()).rstrip("=")
