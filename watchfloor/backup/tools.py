"""Runs PostgreSQL's programs for backups, and finds those of a version. Must never put a password on a command line."""

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from watchfloor.embedded import ConfigurationError
from watchfloor.embedded import binaries as installations
from watchfloor.embedded.account import SERVER_ENVIRONMENT
from watchfloor.embedded.binaries import Binaries
from watchfloor.embedded.cluster import explain

_PIECE_BYTES: Final = 1024 * 1024
_VARIABLES: Final = {
    "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER",
    "password": "PGPASSWORD", "passfile": "PGPASSFILE", "target_session_attrs": "PGTARGETSESSIONATTRS",
    "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
    "connect_timeout": "PGCONNECT_TIMEOUT", "gssencmode": "PGGSSENCMODE", "channel_binding": "PGCHANNELBINDING",
}  # fmt: skip
"""libpq's variables for what may be in a database's URL."""


class BackupFailedError(Exception):
    """It could not be taken or restored, or is not what it should be; says why in one sentence."""


def sha256_of(path: Path) -> str:
    """Hash a file of any size."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            found.update(piece)
    return found.hexdigest()


def environment_of(url: str) -> dict[str, str]:
    """What the programs need to reach a database, without its being on a command line.

    Raises:
        BackupFailedError: the URL says something that the programs cannot be told so.
    """
    told = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    unknown = sorted(set(told) - set(_VARIABLES))
    if unknown:
        raise BackupFailedError(f"The database's URL has settings that are not understood here: {', '.join(unknown)}.")
    return {**SERVER_ENVIRONMENT, **{_VARIABLES[name]: value for name, value in told.items()}}


def of_major(major: int) -> Binaries:
    """The programs of exactly this version.

    Raises:
        BackupFailedError: there are none on this machine.
    """
    own = installations.locate()
    if own.major == major:
        return own
    try:
        found = installations.inspect(installations.DEBIAN_INSTALLS / str(major) / "bin")
    except ConfigurationError:
        raise BackupFailedError(
            f"It is of PostgreSQL {major}, and only the programs of PostgreSQL {own.major} are here."
        ) from None
    return found


def run(argv: Sequence[str | Path], environment: Mapping[str, str], what: str) -> str:
    """Run one program to its end; what it wrote.

    Raises:
        BackupFailedError: it failed; says why.
    """
    try:
        done = subprocess.run(
            argv, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            cwd="/", check=False,
        )  # fmt: skip
    except OSError as error:
        raise BackupFailedError(f"{what}: {error.strerror or error}.") from error
    if done.returncode != 0:
        raise BackupFailedError(f"{what}: {explain(done.stderr or done.stdout)[:500]}.")
    return done.stdout
