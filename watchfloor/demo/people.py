"""The demo's users and their secrets, made once per data directory. Must never write them where others can read."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from watchfloor.embedded.errors import ConfigurationError

ROLES = {
    "operator1": "mev_operator",
    "admin1": "mev_admin",
    "admin2": "mev_admin",
    "officer1": "compliance_officer",
    "officer2": "compliance_officer",
    "auditor1": "external_auditor",
}
LEGIBLE_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else when typed off a screen
GROUPS, GROUP_LENGTH = 3, 4  # 59 bits
KEY_SUFFIX = ".key"  # of files in the directory of the software security keys
TOTP_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
TOTP_SECRET_LENGTH = 32  # 160 bits, the length of a SHA-1 key


@dataclass(frozen=True, slots=True)
class DemoUser:
    """What one demo user needs to sign in."""

    password: str
    totp_secret: str
    role: str


def load_or_make(path: Path) -> tuple[dict[str, DemoUser], bool]:
    """Give the users of this data directory, and whether they were made now.

    Raises ConfigurationError when the file is damaged.
    """
    try:
        return _parse(path), False
    except FileNotFoundError:
        people = {name: _make(role) for name, role in ROLES.items()}
        write_private(path, json.dumps({"users": as_json(people)}, indent=1) + "\n")
        return people, True


def as_json(
    people: dict[str, DemoUser], keys: Path | None = None, agents: Path | None = None
) -> dict[str, dict[str, str]]:
    """Give the users as they are kept; with `keys` and `agents` as the headless demo prints them."""
    plain = {name: asdict(user) for name, user in people.items()}
    if keys is None or agents is None:
        return plain
    held = key_names(keys)
    sockets = {name: {"ssh_auth_sock": str(agents / name)} for name in held}
    return {name: {**fields, **sockets.get(name, {})} for name, fields in plain.items()}


def key_file(keys: Path, name: str) -> Path:
    """Where a user's software security key is kept."""
    return keys / f"{name}{KEY_SUFFIX}"


def key_names(keys: Path) -> list[str]:
    """The users who have a software security key."""
    return sorted(file.name.removesuffix(KEY_SUFFIX) for file in keys.glob(f"*{KEY_SUFFIX}"))


def agents_listen(keys: Path, agents: Path) -> bool:
    """Whether every key's agent has its socket."""
    return all((agents / name).is_socket() for name in key_names(keys))


def write_private(path: Path, text: str) -> None:
    """Write a file that is never, not even for a moment, readable by others or half written."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123  a descriptor, opened with its mode
        file.write(text)
    fresh.rename(path)


def _parse(path: Path) -> dict[str, DemoUser]:
    try:
        return {name: DemoUser(**fields) for name, fields in json.loads(path.read_text())["users"].items()}
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{path} is damaged: remove the data directory or restore the file") from error


def _make(role: str) -> DemoUser:
    groups = ("".join(secrets.choice(LEGIBLE_ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    totp_secret = "".join(secrets.choice(TOTP_ALPHABET) for _ in range(TOTP_SECRET_LENGTH))
    return DemoUser(password="-".join(groups), totp_secret=totp_secret, role=role)
