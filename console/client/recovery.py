"""One function per route about recovery drills: typed arguments in, contract models out. No rule lives here."""

from typing import Final

from console.client.api import Api
from contract.recovery import BackupCheck, BackupCheckRequest, BackupMatrix

_ROOM: Final = "recovery"


async def backups(api: Api) -> BackupMatrix:
    """Every row of the backup matrix and how it stands."""
    return await api.ask(f"{_ROOM}/backups", BackupMatrix)


async def check_backup(api: Api, request: BackupCheckRequest) -> BackupCheck:
    """Look at one row now; a restore goes on in the background."""
    return await api.act(f"{_ROOM}/backups/check", BackupCheck, request)
