"""Owns the way to a person's hardware key: which agent, and how they are told to touch it. Signs nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from console.client.agent import Agent


class Touch(NamedTuple):
    """The way to a hardware key."""

    agent: "Callable[[], Agent]"
    """Finds the SSH agent, or says why there is none; called only when a key is wanted."""
    tell: Callable[[str], None]
    """Takes one line, right before the key has to be touched."""
