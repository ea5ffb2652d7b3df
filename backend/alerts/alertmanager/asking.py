"""Keeps looking at every configured Alertmanager from one backend at a time, and at one of them at once when asked to.

Raises an alert of its own about a source that neither delivers nor answers. Must never hold a transaction open while an
Alertmanager thinks, and never let one that hangs hold up the others.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final

import psycopg
import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.alertmanager import copying, polling
from backend.alerts.alertmanager.configured import Configured, alertmanagers_of
from backend.alerts.alertmanager.line import Line
from backend.alerts.alertmanager.polling import Watched
from backend.alerts.service import AlertDraft
from backend.alerts.tables import OWN_SOURCE, AlertmanagerSource, SilenceRow
from backend.context import Runtime, system_caller
from backend.monitors import Duty, Lead
from contract.alerts import Severity
from contract.scope import GLOBAL

log = structlog.get_logger(__name__)

SILENT: Final = "ALERTMANAGER_SILENT"
"""Rule of the alert about a source that is cut off."""
LOOK_FOR_SILENCES_S: Final = 1.0
"""How soon a silence that was made or ended here is made or ended elsewhere."""
_CALLER = system_caller("alertmanagers")
_AWAY: Final = (SQLAlchemyError, psycopg.Error, OSError, TimeoutError)


async def _unfenced(_session: AsyncSession) -> None:
    """A look that was asked for is right whoever has it."""


class Asking:
    """Looks at one source at once: a delivery says that some of its alerts are missing from it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._sources = {source.name: source for source in alertmanagers_of(runtime.settings)}
        self._looking: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Asking"]:
        """End what is under way with the context."""
        try:
            yield self
        finally:
            for task in self._looking.values():
                task.cancel()
            await asyncio.gather(*self._looking.values(), return_exceptions=True)

    def look_soon(self, name: str) -> None:
        """Look at a source in the background, unless somebody does already."""
        source = self._sources.get(name)
        if source is not None and (name not in self._looking or self._looking[name].done()):
            self._looking[name] = asyncio.create_task(self._look(source), name="alertmanager")

    async def _look(self, source: Configured) -> None:
        try:
            async with Line(source.url, access=source.access) as line:
                watched = Watched(source.name, source.url, line, _unfenced)
                found = await polling.seen(self._runtime, line)
                await _take_in(self._runtime, watched, found)
        except _AWAY as error:
            log.warning("alertmanager_not_looked_at", source=source.name, error=type(error).__name__)
        # the task's boundary: the poll takes what this one did not
        except Exception:
            log.exception("alertmanager_not_looked_at", source=source.name)


async def look(runtime: Runtime, source: Watched) -> None:
    """Look at one source: take what it says, and have it mute what is silenced here. One backend at a time.

    Silences do not wait for alerts: in a storm there are more of those than one answer may have.
    """
    found = await polling.seen(runtime, source.line)
    if found.silences is not None:
        await copying.reconcile(runtime, _CALLER, source, found.silences)
    elif found.error is not None:
        await copying.note_unreached(runtime, _CALLER, source, found.error)
    await _take_in(runtime, source, found)


async def _take_in(runtime: Runtime, source: Watched, found: polling.Seen) -> None:
    """Take what a source has said."""
    if found.silences is not None:
        mutes = await polling.take_silences(runtime, source, found.silences)
        if found.alerts is not None:
            await polling.take_alerts(runtime, _CALLER, source, found, mutes)
    if found.error is not None:
        await polling.note_failure(runtime, source, found.error)


async def judge_silence(session: AsyncSession, runtime: Runtime, name: str, since: datetime) -> None:
    """Raise or clear the alert about a source: heard of neither way for longer than the policy lets it.

    `since` is when this backend began to ask: nobody was asked before.
    """
    row = await session.get(AlertmanagerSource, name)
    heard = [row.last_poll_at, row.last_delivery_at] if row is not None else []
    last = max([since, *(at for at in heard if at is not None)])
    answered = [at for at in heard if at is not None and at >= since]
    fingerprint = f"{SILENT}|{name}"
    if runtime.clock.now() - last >= runtime.policy.alertmanager.silent_after:
        why = (row.last_error if row is not None else None) or "It was never heard of."
        facts = {"source": name, "silent_seconds": str(runtime.policy.alertmanager.silent_seconds)}
        message = f"The Alertmanager {name} neither delivers nor answers. {why}"
        draft = AlertDraft(fingerprint, SILENT, Severity.HIGH, GLOBAL, message, facts)
        await alerts.raise_alert(session, runtime, _CALLER, draft)
    elif answered:
        for known, alert in await alerts.live_of_rules(session, [SILENT]):
            if known == fingerprint:
                await alerts.clear_alert(session, runtime, _CALLER, alert.id, why="it answers again")


async def _forget_others(session: AsyncSession, runtime: Runtime, names: set[str]) -> None:
    """Sources that are no longer configured get no copies of silences, and no alert of theirs is about them."""
    await session.execute(update(AlertmanagerSource).where(AlertmanagerSource.name.not_in(names)).values(url=None))
    kept = {f"{SILENT}|{name}" for name in names}
    for known, alert in await alerts.live_of_rules(session, [SILENT]):
        if known not in kept:
            await alerts.clear_alert(session, runtime, _CALLER, alert.id, why="it is no longer asked")


async def _silences_changed(runtime: Runtime) -> tuple[Any, ...]:
    """Something that differs once a silence was made or ended here."""
    query = select(func.max(SilenceRow.created_at), func.max(SilenceRow.lifted_at)).where(
        SilenceRow.source == OWN_SOURCE
    )
    async with runtime.database.read() as session:
        return tuple((await session.execute(query)).one())


async def _keep_looking(runtime: Runtime, source: Watched, woken: asyncio.Event, since: datetime) -> None:
    while True:
        woken.clear()
        try:
            await look(runtime, source)
            async with runtime.database.transaction() as session:
                await source.fence(session)
                await judge_silence(session, runtime, source.name, since)
        except _AWAY as error:
            log.warning("alertmanager_not_looked_at", source=source.name, error=type(error).__name__)
        with suppress(TimeoutError):
            async with asyncio.timeout(runtime.policy.alertmanager.poll_seconds):
                await woken.wait()


async def _wake_on_silences(runtime: Runtime, woken: Mapping[str, asyncio.Event]) -> None:
    known = await _silences_changed(runtime)
    while True:
        await asyncio.sleep(LOOK_FOR_SILENCES_S)
        found = await _silences_changed(runtime)
        if found != known:
            known = found
            for event in woken.values():
                event.set()


async def run(runtime: Runtime, lead: Lead) -> None:
    """Look at every source for ever. Ends with the first thing that goes wrong: the leader starts it again."""

    async def fence(session: AsyncSession) -> None:
        raw = await (await session.connection()).get_raw_connection()
        connection: psycopg.AsyncConnection[Any] | None = raw.driver_connection
        assert connection is not None  # noqa: S101  the session has just connected
        await lead.require(connection)

    sources = alertmanagers_of(runtime.settings)
    since = runtime.clock.now()
    async with runtime.database.transaction() as session:
        await fence(session)
        await _forget_others(session, runtime, {source.name for source in sources})
        for source in sources:
            await polling.note_source(session, source.name, url=source.url)
    if not sources:
        await asyncio.Event().wait()  # until leadership ends with the process
    woken = {source.name: asyncio.Event() for source in sources}
    try:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            for source in sources:
                line = await stack.enter_async_context(Line(source.url, access=source.access))
                watched = Watched(source.name, source.url, line, fence)
                tasks.create_task(_keep_looking(runtime, watched, woken[source.name], since))
            tasks.create_task(_wake_on_silences(runtime, woken))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


ALERTMANAGERS = Duty(name="alertmanagers", run=run)
