"""Who may deliver, and for which source: found out before anything of a delivery is read.

Deliveries are never limited by their number, so that whoever may not deliver must cost next to nothing: a machine's
token is looked up together with others by one query at a time, everybody else a few at a time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from fastapi import Request

from backend.alerts.alertmanager.configured import DEFAULT_SOURCE
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.demand import Demand, Effect
from backend.errors import WatchfloorError
from backend.guard import Admit
from contract.alertmanager import SOURCE_NAME
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.permissions import Permission

REFUSED_AT_ONCE: Final = 2
"""Callers who are no delivering machine and are looked at: they take a database connection each."""
MAX_STRANGERS: Final = 20
"""Of them that wait as well; who comes then is sent away without a look."""
_DEMAND: Final = Demand(Permission.RECEIVE_ALERTS, Effect.CHANGES)


class Strangers:
    """The line of those who are no delivering machine."""

    def __init__(self) -> None:
        self._looked_at = asyncio.Semaphore(REFUSED_AT_ONCE)
        self._here = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for one's turn.

        Raises:
            WatchfloorError: UNAVAILABLE: too many wait already.
        """
        if self._here >= REFUSED_AT_ONCE + MAX_STRANGERS:
            raise WatchfloorError(ErrorCode.UNAVAILABLE, "Too many callers who may not deliver.", hint="Wait a moment.")
        self._here += 1
        try:
            async with self._looked_at:
                yield
        finally:
            self._here -= 1


async def admitted(request: Request) -> tuple[Caller, str]:
    """Who delivers, and for which source.

    Raises:
        WatchfloorError: NOT_AUTHENTICATED, or NOT_ALLOWED also for a token that is another source's; INVALID_REQUEST
            for a source that cannot be; UNAVAILABLE.
    """
    runtime: Runtime = request.app.state.runtime
    caller: Caller | None = await request.app.state.machines.caller(request)
    if caller is None or Permission.RECEIVE_ALERTS not in caller.permissions:
        admit: Admit = request.app.state.admit
        async with request.app.state.strangers.place(), runtime.database.transaction() as session:
            caller = await admit(session, runtime, request, _DEMAND)
    request.state.caller = caller
    source = str(request.path_params.get("source", DEFAULT_SOURCE))
    if not SOURCE_NAME.fullmatch(source):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A source has small letters, digits, dots and dashes.")
    _refuse_foreign(runtime, caller, source)
    return caller, source


def _refuse_foreign(runtime: Runtime, caller: Caller, source: str) -> None:
    """Refuse to deliver in another's name; of a caller who goes on trying an entry a minute is written."""
    if caller.subject.partition(":")[2] in runtime.policy.alertmanager.deliverers_of(source):
        return
    message = f"This token does not deliver for the source {source}."
    untold = runtime.unknown_refused.tell((caller.subject, f"deliver for {source}"), runtime.clock.monotonic())
    draft = AuditDraft(
        event_type="alerts.delivery.refused",
        action="deliver alerts of an Alertmanager",
        resource_type="alertmanager",
        resource_id=source,
        result=AuditResult.DENIED,
        error_message=message,
    )
    raise WatchfloorError(
        ErrorCode.NOT_ALLOWED,
        message,
        hint="Name the token like its source, or name it in the policy: [watchfloor.alertmanager.deliverers].",
        audit=None
        if untold is None
        else replace(draft, metadata={"refused_since_last_told": untold} if untold else {}),
    )
