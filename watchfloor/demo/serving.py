"""Serves the demo: brings the database up to date, makes the demo's users, then runs the backend as always.

One process for all of it, so that the imports are paid for once.
"""

import hashlib
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from backend import migrate
from backend.auth import accounts, bootstrap, hardware_keys, windows
from backend.auth.challenges import needs_key
from backend.context import Caller, Runtime
from backend.errors import ConfigurationError, WatchfloorError
from backend.server import serve
from backend.settings import Settings
from contract.hardware import SK_ED25519
from contract.permissions import Permission
from simulator.security_key import SecurityKey
from watchfloor.demo import people

EXIT_OK, EXIT_FAILED, EXIT_CONFIGURATION = 0, 1, 3
SIMULATOR_PERMISSIONS = (Permission.RENEW_PERMIT, Permission.IMPORT_TRANSACTIONS)
WATCHER_PERMISSIONS = (Permission.OBSERVE_HALTS,)


@dataclass(frozen=True, slots=True)
class Machine:
    """A process of the demo that calls the backend with a service token of its own, kept in a file."""

    name: str
    permissions: tuple[Permission, ...]
    token_file: Path


def run() -> int:
    """Learn from the supervisor which database to use, prepare it, serve, and tell the supervisor when ready."""
    supervisor = socket.socket(fileno=int(os.environ["WATCHFLOOR_DEMO_CHANNEL_FD"]))
    listening = socket.socket(fileno=int(os.environ["WATCHFLOOR_DEMO_LISTEN_FD"]))
    database_url = supervisor.makefile().read()
    if not database_url:
        return EXIT_FAILED  # the supervisor could not start one, or is gone

    def report(_url: str) -> None:
        supervisor.sendall(b"ready")
        supervisor.close()

    try:
        settings = Settings(database_url=database_url)
        keys = Path(os.environ["WATCHFLOOR_DEMO_KEYS_DIR"])
        machines = (
            Machine("simulator", SIMULATOR_PERMISSIONS, Path(os.environ["WATCHFLOOR_DEMO_TOKEN_FILE"])),
            Machine("watcher", WATCHER_PERMISSIONS, Path(os.environ["WATCHFLOOR_DEMO_WATCHER_TOKEN_FILE"])),
        )
        if not os.environ.get("WATCHFLOOR_DEMO_PREPARED"):  # by an earlier process of this demo; it may be away now
            prepare(settings, Path(os.environ["WATCHFLOOR_DEMO_USERS_FILE"]), machines, keys)
        return EXIT_OK if serve(settings, listening=listening, on_ready=report) else EXIT_FAILED
    except (ConfigurationError, WatchfloorError) as error:
        sys.stderr.write(f"watchfloor: {error}\n")
        return EXIT_CONFIGURATION
    except ValidationError as error:  # of the settings; their values stay out, they may be secret
        for mistake in error.errors(include_url=False, include_input=False):
            setting = "_".join(str(part) for part in mistake["loc"]).upper()
            sys.stderr.write(f"watchfloor: WATCHFLOOR_{setting} is wrong: {mistake['msg']}\n")
        return EXIT_CONFIGURATION


def prepare(settings: Settings, users_file: Path, machines: Sequence[Machine], keys: Path) -> None:
    """Migrate, and make the demo's users once per database, their keys, and its machines' tokens; safe to repeat.

    A later start leaves the users as they are: whoever was disabled stays disabled, and a key that was taken from
    somebody stays taken.

    Raises:
        ConfigurationError: the database cannot be used.
    """
    is_new = migrate.current_revision(settings.database_url) is None
    migrate.upgrade(settings.database_url)
    users, _ = people.load_or_make(users_file)
    made_marker = users_file.with_name("users-made")
    database = settings.database_url.partition("?")[0]  # after it: the embedded server's socket, new at every start
    digest = hashlib.sha256(users_file.read_bytes() + database.encode()).hexdigest()
    are_made = not is_new and made_marker.exists() and made_marker.read_text() == digest

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> list[str]:
        for name, user in () if are_made else users.items():
            await accounts.ensure_user(
                session,
                runtime,
                caller,
                name=name,
                role=user.role,
                password=user.password,
                totp_secret=user.totp_secret,
            )
        for name in () if are_made else users:
            await windows.ensure_open(session, runtime, caller, name=name, reason="the demo")
        for name, user in users.items():
            if needs_key(runtime, user.role) and not (are_made and people.key_file(keys, name).exists()):
                held = SecurityKey(people.key_file(keys, name))
                await hardware_keys.enrol(session, runtime, caller, name=name, line=held.line(SK_ED25519))
        return [
            await accounts.ensure_service_token(
                session, runtime, caller, name=each.name, permissions=each.permissions, token=_kept(each.token_file)
            )
            for each in machines
        ]

    for machine, token in zip(machines, bootstrap.in_database(settings, work), strict=True):
        people.write_private(machine.token_file, token)
    made_marker.write_text(digest)


def _kept(token_file: Path) -> str | None:
    return token_file.read_text().strip() if token_file.exists() else None
