"""Files of OpenSSH hardware keys (`id_ed25519_sk`), both ways. Holds no secret: the secret never leaves the device.

A file made here is one that ssh-keygen could have made, and the other way round. One with a passphrase is not read.
"""

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.hardware import HARDWARE_KEY_TYPES, MAX_BLOB_BYTES, SK_ECDSA
from contract.sshwire import MalformedError, Reader, decode64, encode64, string

USB_KEY_VARIABLE: Final = "WATCHFLOOR_USB_KEY"
"""Names a key file; while it is set, the key on USB is used instead of the SSH agent."""
APPLICATION: Final = "ssh:"
"""To whom keys are made out: as ssh-keygen does."""
PRESENCE_REQUIRED, VERIFICATION_REQUIRED = 0x01, 0x04
_MAX_FILE_BYTES: Final = 65_536
_MAX_HANDLE_BYTES: Final = 8_192
_BEGIN: Final = "-----BEGIN OPENSSH PRIVATE KEY-----"
_END: Final = "-----END OPENSSH PRIVATE KEY-----"
_MAGIC: Final = b"openssh-key-v1\x00"
_UNENCRYPTED: Final = b"none"
_CURVE: Final = b"nistp256"
_LINE_CHARS: Final = 70
_BLOCK_BYTES: Final = 8
_PRIVATE_FILE: Final = 0o600
_PUBLIC_FILE: Final = 0o644


class KeyFileError(Exception):
    """The file is none of a hardware key, or has a passphrase; the message says which."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One hardware key: its public half, and the handle by which the device knows its own."""

    kind: str
    """One of `HARDWARE_KEY_TYPES`."""
    point: bytes
    application: str
    flags: int
    handle: bytes
    comment: str = ""

    @property
    def blob(self) -> bytes:
        """The public half, as OpenSSH writes it."""
        return b"".join(string(one) for one in (self.kind.encode(), *self._public, self.application.encode()))

    @property
    def line(self) -> str:
        """The public half as a line of a `.pub` file."""
        return f"{self.kind} {encode64(self.blob)} {self.comment}".strip()

    @property
    def wants_verification(self) -> bool:
        """Whether it was made with `verify-required`."""
        return bool(self.flags & VERIFICATION_REQUIRED)

    @property
    def text(self) -> str:
        """The file as ssh-keygen writes it, without a passphrase."""
        body = encode64(_MAGIC + b"".join(self._outer()))
        rows = [body[start : start + _LINE_CHARS] for start in range(0, len(body), _LINE_CHARS)]
        return "\n".join([_BEGIN, *rows, _END]) + "\n"

    @property
    def _public(self) -> tuple[bytes, ...]:
        return (_CURVE, self.point) if self.kind == SK_ECDSA else (self.point,)

    def _outer(self) -> list[bytes]:
        header = [string(_UNENCRYPTED), string(_UNENCRYPTED), string(b""), struct.pack(">I", 1)]
        return [*header, string(self.blob), string(self._inner())]

    def _inner(self) -> bytes:
        """The part that a passphrase would hide; its two equal numbers tell whether it was opened rightly."""
        fields = [
            bytes(8),
            *(string(one) for one in (self.kind.encode(), *self._public, self.application.encode())),
            bytes([self.flags]),
            *(string(one) for one in (self.handle, b"", self.comment.encode())),
        ]
        body = b"".join(fields)
        return body + bytes(range(1, -len(body) % _BLOCK_BYTES + 1))


def parse(text: str) -> KeyFile:
    """The key in the text of a file.

    Raises:
        KeyFileError: it is none of a hardware key, or has a passphrase.
    """
    rows = text.strip().splitlines()
    if len(rows) < 3 or rows[0].strip() != _BEGIN or rows[-1].strip() != _END:  # noqa: PLR2004  two lines around one
        raise KeyFileError("it is no private key file of OpenSSH")
    try:
        raw = decode64("".join(row.strip() for row in rows[1:-1]), "it")
        if not raw.startswith(_MAGIC):
            raise KeyFileError("it is no private key file of OpenSSH")
        reader = Reader(raw.removeprefix(_MAGIC), "it")
        if reader.string(max_bytes=_MAX_HANDLE_BYTES) != _UNENCRYPTED:
            raise KeyFileError("it has a passphrase: make one without, the secret is on the device anyway")
        reader.string(max_bytes=_MAX_HANDLE_BYTES)
        reader.string(max_bytes=_MAX_HANDLE_BYTES)
        if reader.uint32() != 1:
            raise KeyFileError("it holds more than one key")
        blob = reader.string(max_bytes=MAX_BLOB_BYTES)
        found = _read_inner(reader.string(max_bytes=_MAX_FILE_BYTES))
        reader.end()
    except MalformedError as error:
        raise KeyFileError(str(error)) from error
    if found.blob != blob:
        raise KeyFileError("its two halves do not belong together")
    return found


def _read_inner(raw: bytes) -> KeyFile:
    reader = Reader(raw, "it")
    if reader.uint32() != reader.uint32():
        raise KeyFileError("it is damaged")
    kind = reader.name(max_bytes=MAX_BLOB_BYTES)
    if kind not in HARDWARE_KEY_TYPES:
        raise KeyFileError(f"it is no hardware key, but {kind}")
    if kind == SK_ECDSA and reader.string(max_bytes=MAX_BLOB_BYTES) != _CURVE:
        raise KeyFileError("it is on another curve than nistp256")
    point = reader.string(max_bytes=MAX_BLOB_BYTES)
    application = reader.name(max_bytes=MAX_BLOB_BYTES)
    flags = reader.byte()
    handle = reader.string(max_bytes=_MAX_HANDLE_BYTES)
    reader.string(max_bytes=_MAX_HANDLE_BYTES)
    comment = reader.string(max_bytes=_MAX_HANDLE_BYTES).decode("utf-8", "replace")
    return KeyFile(kind, point, application, flags, handle, comment)


def read(path: Path) -> KeyFile:
    """The key of a file.

    Raises:
        KeyFileError: it cannot be read, or is none of a hardware key.
    """
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise KeyFileError("it is not a file")
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(error.strerror or "it cannot be read") from error
    if len(raw) > _MAX_FILE_BYTES:
        raise KeyFileError("it is too long")
    return parse(raw.decode("ascii", "replace"))


def write(path: Path, key: KeyFile) -> Path:
    """Write a key to two files that were not there, as ssh-keygen does; returns the public one.

    Raises:
        OSError: one is there, or cannot be written.
    """
    public = path.with_name(f"{path.name}.pub")
    _write_new(path, key.text, _PRIVATE_FILE)
    _write_new(public, f"{key.line}\n", _PUBLIC_FILE)
    return public


def _write_new(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
