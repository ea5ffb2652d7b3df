"""A desktop's keyring for tests: a real backend of the `keyring` library that keeps its entries in one file.

`PYTHON_KEYRING_BACKEND=tests.support.desk_keyring.DeskKeyring` selects it, `WF_TEST_KEYRING` says where the file is.
"""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

CHOSEN = f"{__name__}.DeskKeyring"
WEAK = f"{__name__}.WeakKeyring"
PLACE = "WF_TEST_KEYRING"
LOCKED = "locked"
"""Content of the file while nobody has unlocked it."""


class DeskKeyring(KeyringBackend):
    """What a desktop offers."""

    priority = 5

    def get_password(self, service: str, username: str) -> str | None:
        """Look an entry up."""
        found: str | None = self._entries().get(f"{service}/{username}")
        return found

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep an entry."""
        self._keep(self._entries() | {f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        """Take an entry out."""
        entries = self._entries()
        if entries.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError(username)
        self._keep(entries)

    def _entries(self) -> dict[str, str]:
        path = Path(os.environ[PLACE])
        raw = path.read_text() if path.exists() else "{}"
        if raw == LOCKED:
            raise KeyringLocked("the token would be wfs_in-a-message")
        entries: dict[str, str] = json.loads(raw)
        return entries

    def _keep(self, entries: dict[str, str]) -> None:
        Path(os.environ[PLACE]).write_text(json.dumps(entries))


class WeakKeyring(DeskKeyring):
    """A file in clear text, as the library would take it where there is nothing better."""

    priority = 0.5  # type: ignore[assignment]  # as above
