"""Owns the way to a person's hardware key: the SSH agent or USB, and how they are told to touch it. Signs nothing."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from console.client.usb_key_file import USB_KEY_VARIABLE

if TYPE_CHECKING:
    from console.client.agent import AgentKey


class Signer(Protocol):
    """What holds hardware keys: an SSH agent, or a device on USB."""

    async def keys(self) -> "tuple[AgentKey, ...]":
        """All keys that it offers, in its order."""

    async def sign(self, key: "AgentKey", message: bytes) -> bytes:
        """A signature over `message` as OpenSSH carries it; waits for a touch."""


class Touch(NamedTuple):
    """The way to a hardware key."""

    agent: Callable[[], Signer]
    """Finds what holds the key, or says why there is nothing; called only when a key is wanted."""
    tell: Callable[[str], None]
    """Takes one line, right before the key has to be touched."""


def signer(environ: Mapping[str, str], ask_pin: Callable[[], str] | None) -> Signer:
    """What holds the keys of whoever has this environment. `ask_pin` blocks until the PIN is typed, if anybody can.

    Raises:
        AgentError: there is no agent, or no key file where one is named.
    """
    if environ.get(USB_KEY_VARIABLE):
        from console.client import usb_key

        return usb_key.from_environment(environ, ask_pin)
    from console.client.agent import Agent

    return Agent.from_environment(environ)
