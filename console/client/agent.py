"""The SSH agent protocol, as far as hardware keys need it: list the keys, have one sign.

Whoever answers at the socket is a stranger: replies are bounded, awaited for a limited time and read strictly. Decides
nothing about what is signed; that is `console.client.hardware`.
"""

import asyncio
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from console.client.errors import ClientError
from contract.errors import ExitCode
from contract.hardware import HARDWARE_KEY_TYPES, MAX_BLOB_BYTES, fingerprint
from contract.sshwire import MalformedError, Reader, string

SOCKET_VARIABLE: Final = "SSH_AUTH_SOCK"
MAX_MESSAGE_BYTES: Final = 256 * 1024
"""What OpenSSH's agent allows itself."""
ANSWER_LIMIT_S: Final = 5.0
"""A list of keys needs no person, but may come through two hops of forwarding."""
TOUCH_LIMIT_S: Final = 30.0
"""Most keys stop blinking after less; a person looks for the key first."""
MAX_COMMENT_CHARS: Final = 200
_SMALLEST_KEY_BYTES: Final = 8
"""On the wire: two lengths."""
_FORWARD_HINT: Final = "Over SSH, connect with agent forwarding: ssh -A, or ForwardAgent yes for this host only."
_LIST_HINT: Final = "See whether ssh-add -l answers; if not, start the agent anew, or connect anew."
_TOUCH_HINT: Final = "See that the key is plugged in and blinks, and that the agent can ask for its PIN."


class Message(IntEnum):
    """Numbers of the messages that are used here."""

    FAILURE = 5
    REQUEST_IDENTITIES = 11
    IDENTITIES_ANSWER = 12
    SIGN_REQUEST = 13
    SIGN_RESPONSE = 14


class AgentError(ClientError):
    """The SSH agent did not help: why, and what to do next."""


class NoAgentError(AgentError):
    """No SSH agent answers at the address that the environment names, or it names none."""

    exit_code = ExitCode.CONFIGURATION


class AgentSilentError(AgentError):
    """The agent took the request and said nothing in time. Nothing was signed that anybody has seen."""


class AgentRefusedError(AgentError):
    """The agent said no; the protocol has no reasons."""


class AgentNotUnderstoodError(AgentError):
    """The agent's reply is not what the protocol says."""


@dataclass(frozen=True, slots=True)
class AgentKey:
    """A key that the agent offers."""

    blob: bytes
    kind: str
    """As its blob begins; empty if that cannot be read."""
    comment: str
    """The agent's own text, a stranger's, to be cleaned before it is shown."""

    @property
    def hardware(self) -> bool:
        """Whether its type is that of a hardware key."""
        return self.kind in HARDWARE_KEY_TYPES

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as `ssh-add -l` shows it."""
        return fingerprint(self.blob)


class Agent:
    """One SSH agent, by the path of its socket. Each request has a connection of its own, closed whatever happens."""

    def __init__(
        self, path: str, *, answer_limit_s: float = ANSWER_LIMIT_S, touch_limit_s: float = TOUCH_LIMIT_S
    ) -> None:
        self._path = path
        self._answer_limit_s = answer_limit_s
        self._touch_limit_s = touch_limit_s

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The agent that `SSH_AUTH_SOCK` names.

        Raises:
            NoAgentError: it names none.
        """
        path = environment.get(SOCKET_VARIABLE, "")
        if not path:
            raise NoAgentError(f"There is no SSH agent: {SOCKET_VARIABLE} is not set.", _FORWARD_HINT)
        return cls(path)

    async def keys(self) -> tuple[AgentKey, ...]:
        """All keys that the agent offers, in its order.

        Raises:
            AgentError: one of its kinds.
        """
        reply = await self._ask(bytes([Message.REQUEST_IDENTITIES]), self._answer_limit_s, "list its keys", _LIST_HINT)
        return read_keys(reply)

    async def sign(self, key: AgentKey, message: bytes) -> bytes:
        """The agent's signature over `message`, as it gave it; waits for a touch.

        Raises:
            AgentError: one of its kinds.
        """
        request = bytes([Message.SIGN_REQUEST]) + string(key.blob) + string(message) + struct.pack(">I", 0)
        reply = await self._ask(request, self._touch_limit_s, "sign", _TOUCH_HINT)
        return read_signature(reply, key.kind)

    async def _ask(self, request: bytes, limit_s: float, what: str, hint: str) -> bytes:
        try:
            async with asyncio.timeout(limit_s):
                return await self._exchange(request)
        except TimeoutError as error:
            raise AgentSilentError(f"The SSH agent did not {what} within {limit_s:g} s.", hint) from error
        except asyncio.IncompleteReadError as error:
            raise AgentNotUnderstoodError("The SSH agent hung up in the middle of its reply.") from error
        except MalformedError as error:
            raise AgentNotUnderstoodError(f"The SSH agent's reply cannot be read: {error}.") from error
        except OSError as error:
            why = error.strerror or "it cannot be reached"
            raise NoAgentError(f"No SSH agent answers at {SOCKET_VARIABLE}: {why}.", _FORWARD_HINT) from error

    async def _exchange(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(string(request))
            await writer.drain()
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            if not 1 <= length <= MAX_MESSAGE_BYTES:
                raise MalformedError(f"it announces {length} bytes")
            return await reader.readexactly(length)
        finally:
            writer.transport.abort()  # never waits for an agent that does not read


def read_keys(reply: bytes) -> tuple[AgentKey, ...]:
    """The keys in an agent's reply.

    Raises:
        AgentRefusedError: the reply is a refusal.
        AgentNotUnderstoodError: it is no list of keys.
    """
    try:
        reader = _opened(reply, Message.IDENTITIES_ANSWER)
        count = reader.uint32()
        if count * _SMALLEST_KEY_BYTES > len(reply):
            raise reader.malformed(f"announces {count} keys")
        found = tuple(_read_key(reader) for _ in range(count))
        reader.end()
    except MalformedError as error:
        raise AgentNotUnderstoodError(f"The SSH agent's list of keys cannot be read: {error}.") from error
    return found


def read_signature(reply: bytes, kind: str) -> bytes:
    """The signature in an agent's reply; only its size and type are looked at, the backend verifies it.

    Raises:
        AgentRefusedError: the reply is a refusal.
        AgentNotUnderstoodError: it is no signature of a key of this type.
    """
    try:
        reader = _opened(reply, Message.SIGN_RESPONSE)
        signature = reader.string(max_bytes=MAX_BLOB_BYTES)
        reader.end()
        if Reader(signature, "the signature").name(max_bytes=len(signature)) != kind:
            raise reader.malformed(f"is a signature of another type than {kind}")
    except MalformedError as error:
        raise AgentNotUnderstoodError(f"The SSH agent's signature cannot be read: {error}.") from error
    return signature


def _opened(reply: bytes, expected: Message) -> Reader:
    reader = Reader(reply, "the reply")
    number = reader.byte()
    if number == Message.FAILURE:
        raise AgentRefusedError(
            "The SSH agent refused.",
            "See that the key is plugged in, that its PIN was right, and that the agent is not locked (ssh-add -X).",
        )
    if number != expected:
        raise reader.malformed(f"is a message {number} where {int(expected)} belongs")
    return reader


def _read_key(reader: Reader) -> AgentKey:
    blob = reader.string(max_bytes=MAX_MESSAGE_BYTES)
    comment = reader.string(max_bytes=MAX_MESSAGE_BYTES).decode("utf-8", "replace")
    try:
        kind = Reader(blob, "a key").name(max_bytes=MAX_BLOB_BYTES)
    except MalformedError:
        kind = ""  # one strange key must not hide the others
    return AgentKey(blob, kind, comment[:MAX_COMMENT_CHARS])
