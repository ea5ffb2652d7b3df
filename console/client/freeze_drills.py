"""One function per route about freeze drills: typed arguments in, contract models out. No rule lives here."""

from typing import Final
from urllib.parse import quote

from console.client.api import Api
from contract.freeze_drills import DrillEvidence, DrillHistory, FreezeDrill, FreezeDrillRequest

_DRILLS: Final = "freezes/drills"


async def start(api: Api, request: FreezeDrillRequest) -> FreezeDrill:
    """Freeze canaries for practice."""
    return await api.act(_DRILLS, FreezeDrill, request)


async def history(api: Api, *, limit: int | None = None, cursor: str | None = None) -> DrillHistory:
    """Freeze drills, newest first."""
    return await api.ask(_DRILLS, DrillHistory, {"limit": limit, "cursor": cursor})


async def drill(api: Api, ident: str) -> FreezeDrill:
    """One freeze drill; takes the id or the reference."""
    return await api.ask(f"{_DRILLS}/{quote(ident, safe='')}", FreezeDrill)


async def evidence(api: Api, ident: str) -> DrillEvidence:
    """What an auditor needs of a freeze drill."""
    return await api.ask(f"{_DRILLS}/{quote(ident, safe='')}/evidence", DrillEvidence)
