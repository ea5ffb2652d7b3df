"""What Watchfloor answers to a question now, as bytes that can be kept. Asks the areas; checks no role."""

from typing import Final

import orjson
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.audit.query import AuditQuery
from backend.audit.search import search
from backend.context import Caller, Runtime
from backend.executors import service as executors
from backend.freeze import service as freeze
from backend.risk import service as risk

MAX_ENTRIES: Final = 100
"""Of the audit log, the newest that match."""


async def answer(session: AsyncSession, runtime: Runtime, caller: Caller, *, kind: str, about: str) -> bytes:
    """The answer as JSON, indented: about an alert or a freeze by id, all executors, risk, words in the audit log.

    Raises:
        WatchfloorError: NOT_FOUND, and whatever a search of the audit log raises.
    """
    found: BaseModel
    match kind:
        case "alert":
            found = await alerts.get_alert(session, about)
        case "freeze":
            found = await freeze.get_freeze(session, runtime, about)
        case "executors":
            known = await executors.list_executors(session, runtime)
            return _encoded({"executors": [one.model_dump(mode="json") for one in known]})
        case "risk":
            found = await risk.latest(session, runtime)
        case _:
            found = await search(session, runtime, caller, AuditQuery(q=about or None, limit=MAX_ENTRIES))
    return _encoded(found.model_dump(mode="json"))


def _encoded(answered: object) -> bytes:
    return orjson.dumps(answered, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
