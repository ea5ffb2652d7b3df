"""The duty that sends what waits: each channel apart from the others, nothing inside a transaction.

A try is taken out of the queue, made, and what became of it is written down. If this process dies in between, the next
one tries again: a notification may arrive twice, and is not lost.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, cast

import psycopg
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Runtime, system_caller
from backend.monitors import Duty, Lead
from backend.notifications import absent, waiting
from backend.notifications.absent import FAILING, failing, fingerprint
from backend.notifications.channels import ChannelEntry, channels_now
from backend.notifications.following import SUBJECT
from backend.notifications.sending import Lane, Message, Outcome
from backend.notifications.tables import NotificationRow
from contract.alerts import Severity
from contract.audit import AuditResult
from contract.notifications import DeliveryState

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 0.5
"""How late something due is seen."""
JUDGE_EVERY_S: Final = 10.0
"""How late an alert about a channel that has gone meanwhile is cleared."""
_CALLER: Final = system_caller("notifications")


class Deliverer:
    """Sending, as long as this process leads."""

    def __init__(self, runtime: Runtime, lead: Lead) -> None:
        self._runtime = runtime
        self._lead = lead
        self._lanes: dict[str, Lane] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._judged: frozenset[str] | None = None
        """The channels by which it was judged last which alerts about channels there are to be."""
        self._judge_at = 0.0

    async def run(self) -> None:
        """Work for ever; returns only by an exception."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._look(group)
                    await asyncio.sleep(LOOK_EVERY_S)
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        finally:
            for lane in self._lanes.values():
                lane.end()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        channels = channels_now(self._runtime.settings)
        now = self._runtime.clock.now()
        await self._judge(frozenset(channels))
        async with self._runtime.database.read() as session:
            due = await waiting.due(session, now)
        self._busy = {name: task for name, task in self._busy.items() if not task.done()}
        for name in due:
            if name in channels and name not in self._busy:
                self._busy[name] = group.create_task(self._drain(channels[name]), name=f"channel {name}")
        if not channels.keys() >= set(due):
            async with self._fenced() as session:
                before = now - timedelta(seconds=self._runtime.policy.notifications.wait_seconds)
                await waiting.give_up_unknown(session, list(channels), before)

    async def _judge(self, known: frozenset[str]) -> None:
        """Look after the alerts about channels: at once when the file has changed, and now and then.

        A try that was under way raises one after its channel has gone.
        """
        at = self._runtime.clock.monotonic()
        if known == self._judged and at < self._judge_at:
            return
        async with self._fenced() as session:
            await absent.judge(session, self._runtime, _CALLER, known)
        self._judged, self._judge_at = known, at + JUDGE_EVERY_S

    async def _drain(self, channel: ChannelEntry) -> None:
        """Send what is due to one channel, as much as its rate allows."""
        while await self.send_one(channel):
            pass

    async def send_one(self, channel: ChannelEntry) -> bool:
        """Make one try, if one is due; says whether one was."""
        runtime, rules = self._runtime, self._runtime.policy.notifications
        async with self._fenced() as session:
            taken = await waiting.take(session, runtime.clock, rules, channel.name)
        if taken is None:
            return False
        lane = self._lanes.setdefault(channel.name, Lane(channel.name))
        outcome = await lane.send(channel.url, _message(taken), rules.answer_seconds)
        await self._write_down(taken, outcome)
        return True

    async def _write_down(self, taken: NotificationRow, outcome: Outcome) -> None:
        runtime, rules = self._runtime, self._runtime.policy.notifications
        async with self._fenced() as session:
            if outcome.problem is None:
                row = await waiting.sent(session, runtime.clock, taken)
                if row is not None:
                    await _tell_sent(session, runtime, row)
            else:
                row = await waiting.failed(session, runtime.clock, rules, taken, outcome.problem)
                if row is not None:
                    log.warning("notification_failed", channel=row.channel, tries=row.attempts, problem=outcome.problem)
                    await _tell_failed(session, runtime, row)

    @asynccontextmanager
    async def _fenced(self) -> AsyncIterator[AsyncSession]:
        """A transaction that commits only while this process leads."""
        async with self._runtime.database.transaction() as session:
            raw = await (await session.connection()).get_raw_connection()
            await self._lead.require(cast("psycopg.AsyncConnection[tuple[Any, ...]]", raw.driver_connection))
            yield session


def _message(row: NotificationRow) -> Message:
    return Message(row.title, row.body, Severity(row.severity), over=row.event.startswith("cleared:"))


async def _tell_sent(session: AsyncSession, runtime: Runtime, row: NotificationRow) -> None:
    await audit.record(session, runtime, _CALLER, _draft(row, "sent", AuditResult.SUCCESS))
    if row.subject_kind == SUBJECT:
        alerts.note_notified(session, runtime, _CALLER, row.subject_id, channel=row.channel)
    for known, alert in await alerts.live_of_rules(session, [FAILING]):
        if known == fingerprint(row.channel):
            await alerts.clear_alert(session, runtime, _CALLER, alert.id, why=f"{row.channel} took a notification")


async def _tell_failed(session: AsyncSession, runtime: Runtime, row: NotificationRow) -> None:
    if row.state != DeliveryState.GIVEN_UP.value:
        return
    await audit.record(session, runtime, _CALLER, _draft(row, "given_up", AuditResult.FAILURE))
    message = f"Notifications do not reach the channel {row.channel}: {row.reason}, {row.attempts} times."
    draft = failing(row.channel, message, row.reason or "", tries=f"{row.attempts}")
    await alerts.raise_alert(session, runtime, _CALLER, draft)


def _draft(row: NotificationRow, act: str, result: AuditResult) -> AuditDraft:
    facts = {"subject": f"{row.subject_kind} {row.subject_id}", "event": row.event, "tries": row.attempts}
    return AuditDraft(
        event_type=f"notifications.delivery.{act}",
        action=f"notification {act.replace('_', ' ')}",
        resource_type="channel",
        resource_id=row.channel,
        new_value={**facts, "severity": row.severity, "notification": str(row.id)},
        result=result,
        error_message=row.reason,
    )


async def _run(runtime: Runtime, lead: Lead) -> None:
    await Deliverer(runtime, lead).run()


DELIVERING: Final = Duty(name="notification deliveries", run=_run)
