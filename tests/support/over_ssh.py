"""What a person does at the console over SSH: signs in, freezes, has a larger window."""

import fcntl
import struct
import termios

import pyotp

from tests.support.people import PASSWORD, TOTP_SECRET, Person
from tests.support.terminal import Terminal

DEAF_S = 0.6
"""A dialog takes no key in its first moments: what was typed before it was seen must not answer it."""


def sign_in(terminal: Terminal, person: Person, *, waits_for: str = "") -> None:
    """Sign in with password and code; the key, where the role needs one, is asked through the forwarded agent."""
    terminal.wait_for("Log in to", "One-time code")
    terminal.type(person.name)
    terminal.press("tab")
    terminal.type(PASSWORD)
    terminal.press("tab")
    terminal.type(pyotp.TOTP(TOTP_SECRET).now())
    terminal.press("enter")
    terminal.wait_for(*([waits_for] if waits_for else ["Overview", person.name, "live"]))


def fill_in_freeze(terminal: Terminal, scope: str) -> None:
    """Open the freeze dialog and fill it in; the button has the focus."""
    name = scope.partition(":")[2]
    terminal.press("F", "F")
    terminal.wait_for("Nothing is stopped until you press Freeze")
    terminal.settle(DEAF_S)
    terminal.press("tab")
    terminal.type(scope)
    terminal.wait_for(f"type {name} to confirm")
    terminal.press("tab", "tab")
    terminal.type("the line drops")
    terminal.press("tab")
    terminal.type(name)
    terminal.wait_for(f"Freeze {name} ]", gone="to do:")  # the button is off, and passed over, until all is known
    terminal.press("tab", "tab")


def resize(terminal: Terminal, *, columns: int, rows: int) -> None:
    """Give the terminal another size."""
    terminal.screen.resize(rows, columns)
    fcntl.ioctl(terminal._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
