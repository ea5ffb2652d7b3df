"""How a client says that a person has just asked for something. No wire type: read before the first picture."""

from typing import Final

PRESENT_HEADER: Final = "watchfloor-present"
"""Sent with a request that a person has just made, by a command or a key; never with what a console asks by itself."""
PRESENT: Final = "yes"
PRESENCE_GAP_S: Final = 30
"""A person's presence is told, and written down, at most this often: a session locks so much early at most."""
