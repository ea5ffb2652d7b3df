"""Whatever an SSH agent replies, the console understands it or says that it does not."""

import struct
from functools import cache

from console.client.agent import AgentError, Message, read_keys, read_signature
from contract.hardware import HARDWARE_KEY_TYPES, MAX_BLOB_BYTES, SK_ECDSA, SK_ED25519
from contract.sshwire import string
from tests.support.hardware import fixed_desk

_KEYS = 2


@cache
def seeds() -> list[bytes]:
    """Replies as an agent gives them; the first byte says what was asked for."""
    with fixed_desk() as held:
        listed = [string(held.key.blob(kind)) + string(b"comment") for kind in HARDWARE_KEY_TYPES]
        listed.append(string(string(b"ssh-ed25519") + string(bytes(32))) + string(b"ordinary"))
        signed = [held.sign(kind, b"message") for kind in HARDWARE_KEY_TYPES]
    keys = bytes([Message.IDENTITIES_ANSWER]) + struct.pack(">I", len(listed)) + b"".join(listed)
    none = bytes([Message.IDENTITIES_ANSWER]) + struct.pack(">I", 0)
    replies = [bytes([number, Message.SIGN_RESPONSE]) + string(each) for number, each in enumerate(signed)]
    return [*replies, bytes([_KEYS]) + keys, bytes([_KEYS]) + none, bytes([_KEYS, Message.FAILURE])]


def check(data: bytes) -> None:
    """Read one reply; raises what must never be raised."""
    if not data:
        return
    try:
        _read(data[0] % 3, data[1:])
    except AgentError as error:
        refused = error
    else:
        return
    assert refused.message.isprintable(), "a stranger's bytes are on the screen"


def _read(which: int, reply: bytes) -> None:
    if which == _KEYS:
        for key in read_keys(reply):
            assert key.blob in reply
            assert key.fingerprint.startswith("SHA256:")
        return
    kind = SK_ECDSA if which else SK_ED25519
    signature = read_signature(reply, kind)
    assert len(signature) <= MAX_BLOB_BYTES
    assert signature.startswith(string(kind.encode()))
