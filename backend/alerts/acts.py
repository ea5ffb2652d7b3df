"""What people do with one alert or many at once: acknowledge, assign, note, escalate. None of it clears one.

An act on many is one transaction; an alert that it cannot be done to is named with the reason and holds up no other.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import escalating
from backend.alerts.history import KEY, TO, Asked, Happening, Kind, acts_under, happened, is_done, named
from backend.alerts.rows import announce, note, put, standing_values, wire
from backend.alerts.service import acknowledge_row
from backend.alerts.tables import AlertRow
from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, known_ident, not_found
from contract.alert_work import AlertAct, AlertActAnswer, AlertActRequest, RefusedAct
from contract.alerts import AlertStatus, Severity
from contract.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class _Act:
    """One act by somebody."""

    session: AsyncSession
    runtime: Runtime
    caller: Caller
    comment: str
    to: str | None
    key: str = ""
    """Under which it is sent again if its answer does not come; it stands in the line that it writes."""

    async def acknowledge(self, row: AlertRow) -> bool:
        """Say that it was seen."""
        return await acknowledge_row(self.session, self.runtime, self.caller, row, self.comment, key=self.key)

    async def assign(self, row: AlertRow) -> bool:
        """Give it to a person, or back to everybody; the comment goes into the history."""
        if row.status == AlertStatus.CLEARED.value:
            raise WatchfloorError(ErrorCode.CONFLICT, "The alert has cleared.")
        if row.assigned_to == self.to:
            return False
        now = self.runtime.clock.now()
        row.assigned_to, row.assigned_at = self.to, None if self.to is None else now
        row.updated_at = now
        await self._tell(row, Kind.ASSIGNED, person=self.to)
        return True

    async def note(self, row: AlertRow) -> bool:
        """Write something down."""
        await self._tell(row, Kind.NOTED)
        return True

    async def escalate(self, row: AlertRow) -> bool:
        """Pass it on to the next before its time."""
        if row.status == AlertStatus.CLEARED.value:
            raise WatchfloorError(ErrorCode.CONFLICT, "The alert has cleared.")
        now = self.runtime.clock.now()
        steps = self.runtime.policy.escalation[Severity(row.severity)]
        standing = escalating.passed_on(steps, row.escalation_level, now)
        if standing is None:
            raise WatchfloorError(ErrorCode.CONFLICT, f"There is nobody above {row.escalation_to or 'whoever has it'}.")
        put(row, standing_values(standing, running=row.acknowledged_at is None and not row.muted_by))
        row.updated_at = now
        await self._tell(row, Kind.ESCALATED, facts={TO: standing.to or "", "level": str(standing.level)})
        happened(self.session, self.runtime, self.caller, *named(row.id, standing.to or "", standing.people))
        return True

    async def _tell(
        self, row: AlertRow, kind: Kind, *, person: str | None = None, facts: Mapping[str, str] | None = None
    ) -> None:
        keyed = {**(facts or {}), **({KEY: self.key} if self.key else {})}
        line = Happening(row.id, kind, self.comment, keyed, person)
        happened(self.session, self.runtime, self.caller, line)
        told = {**(facts or {}), **({TO: person} if kind is Kind.ASSIGNED else {}), "comment": self.comment or None}
        await audit.record(self.session, self.runtime, self.caller, note(row, kind.value, **told))


_LINE_OF: Final[Mapping[AlertAct, Kind]] = {
    AlertAct.ACKNOWLEDGE: Kind.ACKNOWLEDGED,
    AlertAct.ASSIGN: Kind.ASSIGNED,
    AlertAct.NOTE: Kind.NOTED,
    AlertAct.ESCALATE: Kind.ESCALATED,
}
_DONE_BY: Final[Mapping[AlertAct, Callable[[_Act, AlertRow], Awaitable[bool]]]] = {
    AlertAct.ACKNOWLEDGE: _Act.acknowledge,
    AlertAct.ASSIGN: _Act.assign,
    AlertAct.NOTE: _Act.note,
    AlertAct.ESCALATE: _Act.escalate,
}


def refuse_senseless(request: AlertActRequest) -> None:
    """Refuse an act that says too little or too much.

    Raises:
        WatchfloorError: INVALID_REQUEST: a note without words, or a person named for an act that is given to nobody.
    """
    if request.act is AlertAct.NOTE and not request.comment.strip():
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A note needs words.")
    if request.to is not None and request.act is not AlertAct.ASSIGN:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"Nobody is named for this act: {request.act.value}.")


async def act(
    session: AsyncSession, runtime: Runtime, caller: Caller, request: AlertActRequest, *, to: str | None
) -> AlertActAnswer:
    """Do something with alerts, in the order of their ids; the answer names each of them once.

    `to` is the account that the request names: whoever calls has looked it up. An alert to which it was done before
    under the same key is done already: the lock on it keeps two askings apart.
    """
    one = _Act(session, runtime, caller, request.comment.strip(), to, request.idempotency_key)
    rows, refused = await _locked(session, list(dict.fromkeys(request.ids)))
    before = await acts_under(session, caller, request.idempotency_key, [row.id for row in rows])
    asked = Asked(_LINE_OF[request.act], request.comment.strip(), to if request.act is AlertAct.ASSIGN else None)
    done: list[AlertRow] = []
    changed: list[AlertRow] = []
    for row in rows:
        try:
            if not is_done(asked, before.get(row.id)) and await _DONE_BY[request.act](one, row):
                changed.append(row)
            done.append(row)
        except WatchfloorError as refusal:
            refused.append(RefusedAct(id=str(row.id), code=refusal.code.value, message=refusal.message))
    if changed:
        await announce(session, runtime, changed)
    return AlertActAnswer(done=[wire(row) for row in done], refused=refused)


async def _locked(session: AsyncSession, idents: Sequence[str]) -> tuple[list[AlertRow], list[RefusedAct]]:
    known: dict[UUID, str] = {}
    refused: list[RefusedAct] = []
    for ident in idents:
        try:
            known.setdefault(known_ident("alert", ident), ident)
        except WatchfloorError as refusal:
            refused.append(RefusedAct(id=ident, code=refusal.code.value, message=refusal.message))
    found = await session.scalars(
        select(AlertRow)
        .where(AlertRow.id.in_(known))
        .order_by(AlertRow.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    rows = list(found)
    for gone in known.keys() - {row.id for row in rows}:
        missing = not_found("alert", known[gone])
        refused.append(RefusedAct(id=known[gone], code=missing.code.value, message=missing.message))
    return rows, refused
