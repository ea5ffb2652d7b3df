"""Decides who the server runs as, and what that account can reach. Must never create users or change modes.

PostgreSQL refuses to run as root. Root therefore drops to an existing unprivileged account by setuid in the child.
When that account cannot reach the checkout (a clone under a private /root), binaries and data go to a root-owned
place it can reach; the directories above the checkout stay as they are.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from watchfloor.embedded.binaries import Binaries
from watchfloor.embedded.errors import ConfigurationError, refusal

UNPRIVILEGED_NAMES = ("nobody", "daemon")
REACHABLE_PLACES = (Path("/var/lib/watchfloor"), Path("/var/tmp/watchfloor"))  # noqa: S108  checked to be root-owned
SERVER_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """An account other than our own that the server runs as."""

    uid: int
    gid: int

    def run(self, argv: Sequence[str | Path]) -> bool:
        """Say whether a command succeeds as this account: the only honest test of reach (ACLs, noexec, namespaces)."""
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", check=False, **identity(self)
            )
        except OSError:
            return False
        return done.returncode == 0

    def enters(self, directory: Path) -> bool:
        """Say whether this account may enter `directory`."""
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", directory])


def identity(account: Account | None) -> _Identity:
    """Give the keyword arguments that make `subprocess` start a child as `account` (nothing for our own)."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def choose(cluster: Path) -> Account | None:
    """Choose the account: our own, or for root the owner of an existing cluster, else `nobody`.

    Raises ConfigurationError when no usable account exists; the first start of a cluster needs one with a name.
    """
    if os.geteuid() != 0:
        _require_name(cluster)
        return None
    account = _owner(cluster) or _unprivileged()
    if not account.run(["/bin/sh", "-c", ":"]):
        raise ConfigurationError(
            f"root may not switch to uid {account.uid} here, and PostgreSQL does not run as root:"
            " start as an ordinary user or set WATCHFLOOR_DATABASE_URL"
        )
    return account


def reachable_binaries(binaries: Binaries, account: Account | None, places: Sequence[Path] | None = None) -> Binaries:
    """Give binaries that `account` can run, copied once per content to a root-owned place where it cannot."""
    if account is None or _runs(account, binaries):
        return binaries
    digest = hashlib.sha256((binaries.bin / "postgres").read_bytes()).hexdigest()[:16]
    target = reachable_place(account, places) / f"postgresql-{binaries.major}-{digest}"
    if not target.is_dir():
        _stage(binaries.bin.parent, target)
    installation = binaries.bin.parent
    staged = Binaries(target / installation.parent.name / installation.name / "bin", binaries.major)
    if not _runs(account, staged):
        raise ConfigurationError(f"uid {account.uid} can run neither {binaries.bin} nor its copy in {target}")
    return staged


def reachable_place(account: Account, places: Sequence[Path] | None = None) -> Path:
    """Find or make a root-owned directory that `account` can enter.

    Raises ConfigurationError when there is none.
    """
    for place in REACHABLE_PLACES if places is None else places:
        try:
            place.mkdir(mode=0o755, exist_ok=True)
            found = place.lstat()
        except OSError:
            continue
        private = found.st_uid == 0 and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if stat.S_ISDIR(found.st_mode) and private and account.enters(place):
            return place
    raise ConfigurationError(
        f"uid {account.uid} reaches neither the data directory nor another place root can write:"
        " use --data-dir outside private directories, start as an ordinary user or set WATCHFLOOR_DATABASE_URL"
    )


def _runs(account: Account, binaries: Binaries) -> bool:
    return all(account.run([binaries.bin / program, "--version"]) for program in ("postgres", "initdb"))


def _owner(cluster: Path) -> Account | None:
    try:
        found = cluster.stat()
    except OSError:
        return None
    return Account(found.st_uid, found.st_gid) if found.st_uid != 0 else None


def _unprivileged() -> Account:
    for name in UNPRIVILEGED_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ConfigurationError(
        f"PostgreSQL does not run as root and there is no user named {' or '.join(UNPRIVILEGED_NAMES)}:"
        " start as an ordinary user or set WATCHFLOOR_DATABASE_URL"
    )


def _require_name(cluster: Path) -> None:
    if (cluster / "PG_VERSION").exists():
        return
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ConfigurationError(
            f"uid {os.geteuid()} has no entry in the user database, which initdb needs:"
            " add one or set WATCHFLOOR_DATABASE_URL"
        ) from None


def _stage(installation: Path, target: Path) -> None:
    package = installation.parent  # the wheel's programs look for their libraries at ../../../<package>.libs
    libraries = package.with_name(f"{package.name}.libs")
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        fresh.mkdir()
        skip = shutil.ignore_patterns("include", "doc", "man")
        shutil.copytree(installation, fresh / package.name / installation.name, symlinks=True, ignore=skip)
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        _make_readable(fresh)
        fresh.rename(target)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if not target.is_dir():  # another process may have finished the same copy first
            raise refusal(f"copy PostgreSQL to {target}", error) from error


def _make_readable(copy: Path) -> None:
    for directory, _, files in os.walk(copy):
        Path(directory).chmod(0o755)
        for path in (Path(directory, name) for name in files):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
