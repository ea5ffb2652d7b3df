"""Creates and checks the database cluster on disk. Must never overwrite a cluster that exists.

A cluster is made complete (with its database) beside its final name and renamed, so an interrupted first start
leaves nothing that a later one could mistake for a database.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from watchfloor.embedded.account import SERVER_ENVIRONMENT, Account, identity, reachable_place
from watchfloor.embedded.binaries import Binaries
from watchfloor.embedded.errors import ConfigurationError, refusal

DATABASE = "watchfloor"
SUPERUSER = "watchfloor"
BUILTIN_LOCALES_SINCE_MAJOR = 17
NEW_CLUSTER_MIB = 100  # 40 MiB of files, a second 16 MiB segment of log, and room for the first data
RUNNING_CLUSTER_MIB = 24  # one 16 MiB segment of log, and the files of a start
LOCATION_FILE = "location"


def place(home: Path, account: Account | None, places: Sequence[Path] | None = None) -> Path:
    """Say where the cluster of `home` lives: inside it, or where `account` can reach it (recorded in `home`).

    Raises ConfigurationError when the recorded place belongs to another directory, as after copying one.
    """
    record = home / LOCATION_FILE
    if record.exists():
        return _recorded(home, record)
    local = home / "data"
    if account is None or account.enters(home):
        return local
    if local.exists():
        raise ConfigurationError(
            f"uid {account.uid}, who owns {local}, can no longer reach it: move the directory back"
        )
    away = reachable_place(account, places) / f"data-{secrets.token_hex(6)}"
    away.mkdir(mode=0o755)
    (away / "owner").write_text(f"{home}\n")
    fresh = record.with_name(f"{record.name}.new")
    fresh.write_text(f"{away / 'data'}\n")
    fresh.replace(record)  # whole or not at all, also on a full disk
    return away / "data"


def _recorded(home: Path, record: Path) -> Path:
    cluster = Path(record.read_text().strip())
    try:
        owner = Path((cluster.parent / "owner").read_text().strip())
    except OSError:
        raise ConfigurationError(
            f"the data of {home} were in {cluster}, which is gone: restore it or remove {record}"
        ) from None
    if owner != home and (owner / LOCATION_FILE).exists():
        raise ConfigurationError(f"{cluster} holds the data of {owner}: remove {record} to start with empty data here")
    return cluster


def check(cluster: Path, binaries: Binaries) -> bool:
    """Say whether a cluster exists here that these binaries can run.

    Raises ConfigurationError for the data of another PostgreSQL version and for a disk that is all but full.
    """
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        _require_space(cluster.parent, NEW_CLUSTER_MIB)
        return False
    if found != str(binaries.major):
        raise ConfigurationError(
            f"the data in {cluster} are of PostgreSQL {found}, the program is PostgreSQL {binaries.major}:"
            f" set WATCHFLOOR_PGBIN to a version {found} or use another --data-dir"
        )
    _require_space(cluster, RUNNING_CLUSTER_MIB)
    return True


def create(cluster: Path, binaries: Binaries, account: Account | None, *, durable: bool) -> None:
    """Create the cluster and its database: trust on a private socket, checksums, UTF-8 in a locale every host has."""
    for leftover in cluster.parent.glob(f"{cluster.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh = cluster.with_name(f"{cluster.name}.new-{secrets.token_hex(4)}")
    locale = ["--locale=C"]
    if binaries.major >= BUILTIN_LOCALES_SINCE_MAJOR:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        fresh.mkdir(mode=0o700)
        if account is not None:
            os.chown(fresh, account.uid, account.gid)
        shape = [f"--username={SUPERUSER}", "--auth=trust", "--encoding=UTF8", "--data-checksums"]
        hurry = [] if durable else ["--no-sync"]
        _run([binaries.bin / "initdb", *shape, *locale, *hurry, "-D", fresh], account)
        hurry = [] if durable else ["-F"]
        creation = f"CREATE DATABASE {DATABASE};\n"
        _run([binaries.bin / "postgres", "--single", *hurry, "-D", fresh, "postgres"], account, creation)
        fresh.rename(cluster)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def explain(output: str) -> str:
    """Pick what a person must know from the output of a PostgreSQL program that failed."""
    if "No space left on device" in output:
        return "the disk is full"
    lines = [line for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL:" in line or "PANIC:" in line or "error:" in line or "ERROR:" in line]
    return (telling or lines or ["it said nothing"])[-1].strip()


def _require_space(directory: Path, needed_mib: int) -> None:
    free_mib = shutil.disk_usage(directory).free // 2**20
    if free_mib < needed_mib:
        raise ConfigurationError(f"the disk is full: {directory} has {free_mib} MiB free, {needed_mib} MiB are needed")


def _run(argv: Sequence[str | Path], account: Account | None, statement: str = "") -> None:
    try:
        done = subprocess.run(
            argv, input=statement, capture_output=True, text=True, errors="replace", cwd="/", check=False,
            env=SERVER_ENVIRONMENT, start_new_session=True, **identity(account),
        )  # fmt: skip
    except OSError as error:
        raise refusal(f"run {argv[0]}", error) from error
    if done.returncode != 0 or "ERROR:" in done.stderr:
        raise ConfigurationError(f"cannot create a database: {explain(done.stderr)}")
