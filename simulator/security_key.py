"""A security key made of software, behind the real SSH agent protocol: for demonstrations and tests.

NOT A HARDWARE KEY: its secrets lie in the state file, nobody has to touch it, and whoever reads the file has the key.
It can misbehave on request: no touch, no counting, a copy of its state file, refusal, silence.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import stat
import struct
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from contract.errors import ExitCode
from contract.hardware import HARDWARE_KEY_TYPES, SK_ECDSA, SK_ED25519
from contract.sshwire import MalformedError, Reader, encode64, mpint, string

WARNING = "SOFTWARE, not a hardware key"
MAX_MESSAGE_BYTES = 256 * 1024
"""What OpenSSH's agent allows itself."""
_FAILURE, _REQUEST_IDENTITIES, _IDENTITIES_ANSWER, _SIGN_REQUEST, _SIGN_RESPONSE = 5, 11, 12, 13, 14
_PRESENT, _VERIFIED = 0x01, 0x04
_PRIVATE_FILE = 0o600
_OTHERS = 0o077
_PRIVATE_UMASK = 0o177
_MAX_COUNTER = 2**32 - 1
_STATE_VERSION = 1


class StateError(Exception):
    """The state file is none of ours, or others can read it."""


class Counting(StrEnum):
    """What the key does with its counter."""

    GROWS = "grows"
    FROZEN = "frozen"
    """Says the same number each time, as a copy does that is not told what the other one signs."""
    ABSENT = "absent"
    """Always says 0, as keys do that do not count."""


@dataclass(slots=True)
class Behaviour:
    """How the key answers; may be changed while it runs."""

    touched: bool = True
    verified: bool = False
    counting: Counting = Counting.GROWS
    delay_s: float = 0.0
    """How long the touch takes."""
    refuses: frozenset[str] = frozenset()
    """Types of keys that it does not sign with, as if they were not plugged in."""
    other_flags: int = 0
    """Bits put into the flags beside the two."""


class SecurityKey:
    """Both kinds of keys and one counter, kept in a file. A copy of the file is a cloned key."""

    def __init__(self, state: Path) -> None:
        """Read the state file, or make keys and write it.

        Raises:
            StateError: the file is none of ours, or others can read it.
            OSError: it cannot be read or written.
        """
        self._state = state
        if not state.exists():
            self._write(_new_state())
        kept = self._read()
        try:
            self.application: str = kept["application"]
            self._ed25519 = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(kept["ed25519"]))
            self._p256 = derive_private_key(int(kept["p256"], 16), SECP256R1())
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"{state} lacks a key") from error

    def blob(self, kind: str) -> bytes:
        """The public key as OpenSSH writes it; `kind` is one of `HARDWARE_KEY_TYPES`."""
        if kind == SK_ED25519:
            point = self._ed25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            fields = [kind.encode(), point]
        else:
            point = self._p256.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            fields = [kind.encode(), b"nistp256", point]
        return b"".join(string(field) for field in (*fields, self.application.encode()))

    def line(self, kind: str) -> str:
        """The public key as a line of a `.pub` file."""
        return f"{kind} {encode64(self.blob(kind))} {WARNING}"

    def sign(self, kind: str, message: bytes, behaviour: Behaviour) -> bytes:
        """A signature as OpenSSH carries it. The counter is on disk before the signature leaves."""
        flags = (_PRESENT if behaviour.touched else 0) | (_VERIFIED if behaviour.verified else 0)
        tail = struct.pack(">BI", flags | behaviour.other_flags, self._count(behaviour.counting))
        signed = hashlib.sha256(self.application.encode()).digest() + tail + hashlib.sha256(message).digest()
        if kind == SK_ED25519:
            proof = self._ed25519.sign(signed)
        else:
            proof = b"".join(mpint(each) for each in decode_dss_signature(self._p256.sign(signed, ECDSA(SHA256()))))
        return string(kind.encode()) + string(proof) + tail

    @property
    def counter(self) -> int:
        """What it counted last."""
        return int(self._read()["counter"])

    def set_counter(self, counter: int) -> None:
        """Let the next signature count from here."""
        self._write(self._read() | {"counter": counter})

    def _count(self, counting: Counting) -> int:
        if counting is Counting.ABSENT:
            return 0
        if counting is Counting.GROWS:
            self.set_counter(min(self.counter + 1, _MAX_COUNTER))
        return self.counter

    def _read(self) -> dict[str, Any]:
        if stat.S_IMODE(self._state.stat().st_mode) & _OTHERS:
            raise StateError(f"{self._state} can be read by others: chmod 600")
        try:
            kept = json.loads(self._state.read_text())
        except ValueError as error:
            raise StateError(f"{self._state} is no state of a software key") from error
        if not isinstance(kept, dict) or kept.get("version") != _STATE_VERSION:
            raise StateError(f"{self._state} is no state of a software key of this version")
        return kept

    def _write(self, kept: dict[str, Any]) -> None:
        draft = self._state.with_name(self._state.name + ".new")
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE), "w") as file:  # noqa: PTH123  a descriptor
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._state)


def _new_state() -> dict[str, Any]:
    return {
        "version": _STATE_VERSION,
        "warning": WARNING,
        "application": "ssh:",
        "counter": 0,
        "ed25519": Ed25519PrivateKey.generate().private_bytes_raw().hex(),
        "p256": f"{generate_private_key(SECP256R1()).private_numbers().private_value:064x}",
    }


class SoftwareAgent:
    """Speaks the SSH agent protocol for one software key."""

    def __init__(self, key: SecurityKey, behaviour: Behaviour) -> None:
        self._key = key
        self._behaviour = behaviour

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends; a malformed or oversize message ends it."""
        try:
            while True:
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                if not 1 <= length <= MAX_MESSAGE_BYTES:
                    return
                writer.write(string(await self.reply(await reader.readexactly(length))))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            return  # the client has gone
        except asyncio.CancelledError:
            return  # the program ends; asyncio of Python 3.11 would print a traceback for a handler that is cancelled
        finally:
            writer.close()

    async def reply(self, request: bytes) -> bytes:
        """The reply to one message; failure for what is not understood, as agents do."""
        try:
            reader = Reader(request, "the request")
            number = reader.byte()
            if number == _REQUEST_IDENTITIES:
                return self._identities()
            if number == _SIGN_REQUEST:
                return await self._signed(reader)
        except MalformedError:
            return bytes([_FAILURE])
        return bytes([_FAILURE])

    def _identities(self) -> bytes:
        each = [string(self._key.blob(kind)) + string(f"{WARNING} ({kind})".encode()) for kind in HARDWARE_KEY_TYPES]
        return bytes([_IDENTITIES_ANSWER]) + struct.pack(">I", len(each)) + b"".join(each)

    async def _signed(self, reader: Reader) -> bytes:
        blob = reader.string(max_bytes=MAX_MESSAGE_BYTES)
        message = reader.string(max_bytes=MAX_MESSAGE_BYTES)
        reader.uint32()  # flags: they choose a hash for RSA
        reader.end()
        kind = next((each for each in (SK_ED25519, SK_ECDSA) if self._key.blob(each) == blob), None)
        await asyncio.sleep(self._behaviour.delay_s)
        if kind is None or kind in self._behaviour.refuses:
            return bytes([_FAILURE])
        return bytes([_SIGN_RESPONSE]) + string(self._key.sign(kind, message, self._behaviour))


@contextlib.asynccontextmanager
async def listening(path: Path, key: SecurityKey, behaviour: Behaviour) -> AsyncIterator[None]:
    """Serve the key on a Unix socket that only this account can open; the socket is gone afterwards.

    Raises:
        OSError: the address is taken, or cannot be made.
    """
    server = await asyncio.start_unix_server(SoftwareAgent(key, behaviour).serve, sock=_bound(path))
    try:
        yield
    finally:
        server.close()
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _bound(path: Path) -> socket.socket:
    _clear(path)
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(_PRIVATE_UMASK)
    try:
        bound.bind(str(path))  # asyncio's own way would take the address from an agent that still answers
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


def _clear(path: Path) -> None:
    """Remove the socket of a run that has ended; one that answers stays, and so does anything else."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator.security_key", description=f"An SSH agent with a key. {WARNING}.")
    parser.add_argument("--socket", required=True, type=Path, help="where the agent listens (for SSH_AUTH_SOCK)")
    parser.add_argument("--state", required=True, type=Path, help="file of the key; made if absent. A copy is a clone")
    parser.add_argument("--untouched", action="store_true", help="sign without a touch, and say so")
    parser.add_argument("--verified", action="store_true", help="say that the owner was checked by PIN")
    parser.add_argument("--counting", choices=[str(each) for each in Counting], default="grows", help="what it counts")
    parser.add_argument("--counter", type=int, help="let it count from here")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="how long the touch takes")
    parser.add_argument("--refuse", action="store_true", help="refuse to sign")
    given = parser.parse_args(argv)
    if given.counter is not None and not 0 <= given.counter <= _MAX_COUNTER:
        parser.error(f"--counter is between 0 and {_MAX_COUNTER}")
    if not given.delay >= 0:
        parser.error("--delay is not negative")
    return given


async def _run(given: argparse.Namespace) -> None:
    key = SecurityKey(given.state)
    if given.counter is not None:
        key.set_counter(given.counter)
    behaviour = Behaviour(
        touched=not given.untouched,
        verified=given.verified,
        counting=Counting(given.counting),
        delay_s=given.delay,
        refuses=frozenset(HARDWARE_KEY_TYPES if given.refuse else ()),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with listening(given.socket, key, behaviour):
        sys.stderr.write(f"{WARNING}: whoever reads {given.state} has the key\n")
        sys.stdout.write("".join(f"{key.line(kind)}\n" for kind in HARDWARE_KEY_TYPES))
        sys.stdout.flush()
        await stop.wait()


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal; returns the exit code. Prints the public keys once it listens."""
    try:
        asyncio.run(_run(_parse(argv)))
    except (OSError, StateError) as error:
        sys.stderr.write(f"security_key: {error}\n")
        return ExitCode.CONFIGURATION
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
