"""Owns the demonstration's accounts: read from the file that `watchfloor demo` names, used to fill in the login.

Must never be used outside the demonstration: without the variable there are no accounts.
"""

import json
import os
import stat
from collections.abc import Mapping
from typing import Final, NamedTuple

FILE_VARIABLE: Final = "WATCHFLOOR_DEMO_USERS_FILE"
KEYS_VARIABLE: Final = "WATCHFLOOR_DEMO_KEYS_DIR"
"""Where the agents of the demonstration's software keys listen, each under the name of its user."""
_LIMIT_BYTES: Final = 100_000


class DemoUser(NamedTuple):
    """One account of the demonstration."""

    name: str
    password: str
    totp_secret: str
    role: str

    def code(self) -> str:
        """The one-time code of this moment."""
        import pyotp

        return pyotp.TOTP(self.totp_secret).now()

    def __repr__(self) -> str:
        return f"DemoUser(name={self.name!r}, role={self.role!r})"


def load(environ: Mapping[str, str]) -> list[DemoUser]:
    """The accounts; none if there is no demonstration or its file cannot be read."""
    path = environ.get(FILE_VARIABLE, "")
    if not path:
        return []
    try:
        with open(path, "rb") as file:  # noqa: PTH123  pathlib is not needed for one read
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return []
            users = json.loads(file.read(_LIMIT_BYTES))["users"]
        return [
            DemoUser(str(name), str(user["password"]), str(user["totp_secret"]), str(user["role"]))
            for name, user in users.items()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # the login works without it: the operator types


def agent_environment(environ: Mapping[str, str], name: str) -> Mapping[str, str]:
    """The environment in which a user's SSH agent is found: in the demonstration every user has one of their own."""
    directory = environ.get(KEYS_VARIABLE, "")
    path = os.path.join(directory, name)  # noqa: PTH118  as above
    if not directory or os.path.dirname(path) != directory or not os.path.exists(path):  # noqa: PTH110, PTH120  as above
        return environ
    return {**environ, "SSH_AUTH_SOCK": path}
