"""Several people under one account of the machine: each SSH key has a directory of its own for sessions and notes.

sshd says by which key somebody came (ExposeAuthInfo); nobody else can say it. Standard library only, read before the
first frame. Must never fall back to the account's common directory: that would hand one person's session to another.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Final

from console.client.session import SessionError, state_dir

AUTH_VARIABLE: Final = "SSH_USER_AUTH"
"""Names the file in which sshd lists how the connection signed in."""
DIRECTORY: Final = "keys"
_METHOD: Final = b"publickey "
_LIMIT_BYTES: Final = 1_000_000
"""A certificate with thousands of principals; more is no list of sshd's."""
_HINT: Final = "On the bastion, sshd needs: ExposeAuthInfo yes, and AuthenticationMethods publickey."


def state_home(environ: Mapping[str, str]) -> str:
    """What `XDG_STATE_HOME` has to be for whoever came by this SSH key.

    Raises:
        SessionError: it cannot be told by which key.
    """
    name = hashlib.sha256(_key(environ)).hexdigest()[:32]
    return os.path.join(state_dir(environ), DIRECTORY, name)  # noqa: PTH118  pathlib costs milliseconds here


def _key(environ: Mapping[str, str]) -> bytes:
    path = environ.get(AUTH_VARIABLE, "")
    if not path:
        raise SessionError("Cannot tell whose SSH key this is: sshd does not say.", _HINT)
    try:
        with open(path, "rb") as file:  # noqa: PTH123  as above
            lines = file.read(_LIMIT_BYTES).splitlines()
    except OSError as error:
        raise SessionError(f"Cannot tell whose SSH key this is: {error.strerror}.", _HINT) from error
    for line in lines:
        if line.startswith(_METHOD):
            return line.removeprefix(_METHOD).strip()
    raise SessionError("Nobody signed in to sshd with a key.", _HINT)
