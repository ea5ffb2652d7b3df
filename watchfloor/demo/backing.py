"""A backup of the demo's database, and the policy that says where it is: a recovery drill looks for one."""

import os
from pathlib import Path
from typing import Final

from watchfloor.demo.supervisor import Child, Supervisor
from watchfloor.demo.workspace import Workspace

POLICY_VARIABLE: Final = "WATCHFLOOR_POLICY"
DATABASE_VARIABLE: Final = "WATCHFLOOR_DATABASE_URL"
BUILT_IN: Final = "mev"
DATA: Final = "System State"
"""The row of the built-in policy's matrix that is backed up daily."""
MAX_AGE_HOURS: Final = 24


def place_of(workspace: Workspace) -> Path:
    """Where the demo's backups lie."""
    return workspace.directory / "backups"


def has_backup(workspace: Workspace) -> bool:
    """Whether an earlier start has left one: a first start has none yet, and that is no reason for an alert."""
    return any(place_of(workspace).glob("*"))


def policy_of(workspace: Workspace) -> str:
    """The policy to give the backend: the one that it would have had, and where the demo's backups are."""
    base = os.environ.get(POLICY_VARIABLE) or BUILT_IN
    if Path(base).is_file():
        base = str(Path(base).absolute())
    file = workspace.directory / "policy.toml"
    layer = [
        f"extends = {_quoted(base)}",
        "[[watchfloor.recovery.backups]]",
        f"data = {_quoted(DATA)}",
        'kind = "pg_dump"',
        f"location = {_quoted(str(place_of(workspace)))}",
        f"max_age_hours = {MAX_AGE_HOURS}",
    ]
    file.write_text("\n".join(layer) + "\n")
    return str(file)


def take_backup(supervisor: Supervisor, workspace: Workspace, database_url: str) -> Child:
    """Begin a dump of the demo's database; it ends by itself."""
    arguments = ["backup", "take", str(place_of(workspace))]
    environment = {DATABASE_VARIABLE: database_url}
    log = workspace.logs / "backup.log"
    return supervisor.start("backup", "watchfloor", arguments, environment=environment, log=log)


def _quoted(text: str) -> str:
    """A TOML string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
