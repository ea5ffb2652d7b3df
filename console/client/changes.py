"""One function per route about deploys. Contract models in and out. No rule lives here."""

from typing import Final

from console.client.api import Api
from contract.base import Page
from contract.changes import Deploy, DeployRequest

_DEPLOYS: Final = "changes/deploys"


async def deploys(
    api: Api, *, limit: int | None = None, cursor: str | None = None, **where: str | None
) -> Page[Deploy]:
    """Deploys, the one that was started last first; `where` names service, environment, from and to."""
    return await api.ask(_DEPLOYS, Page[Deploy], {"limit": limit, "cursor": cursor, **where})


async def record(api: Api, wanted: DeployRequest) -> Deploy:
    """Say that a version of a service was brought out."""
    return await api.act(_DEPLOYS, Deploy, wanted)
