"""Alerting rules of Prometheus that were taken in: alerts that name no runbook get that of their rule."""

import hashlib
from collections import Counter
from typing import Any, Final

import orjson
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.alertmanager.born import runbooks_of
from backend.alerts.history import Happening, Kind, happened
from backend.alerts.rows import LIVE, announce
from backend.alerts.tables import OWN_SOURCE, AlertRow, AlertRule
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.paging import cut_page, newest_first
from contract.base import Page
from contract.prometheus_rules import AlertRule as WireRule
from contract.prometheus_rules import RulesAnswer, RulesRequest

MAX_FILLED: Final = 1_000
"""Alerts that one import changes; later ones are born with what the rules say."""


async def import_rules(session: AsyncSession, runtime: Runtime, caller: Caller, request: RulesRequest) -> RulesAnswer:
    """Put rules in the place of what was known of their groups, and give live alerts the runbooks that they lack."""
    groups = {rule.group for rule in request.rules}
    known = (AlertRule.source == request.source) & AlertRule.group_name.in_(groups)
    await session.execute(delete(AlertRule).where(known))
    await session.execute(insert(AlertRule), _rows(runtime, caller, request))
    filled = await _fill(session, runtime, caller, {rule.name for rule in request.rules})
    digest = hashlib.sha256(orjson.dumps([rule.model_dump() for rule in request.rules])).hexdigest()
    draft = AuditDraft(
        event_type="alerts.rules.imported",
        action="import alert rules",
        resource_type="alertmanager",
        resource_id=request.source,
        new_value={"rules": len(request.rules), "groups": sorted(groups)[:100], "sha256": digest},
    )
    await audit.record(session, runtime, caller, draft)
    return RulesAnswer(
        stored=len(request.rules),
        groups=len(groups),
        with_runbook=sum(rule.runbook_url is not None for rule in request.rules),
        alerts_filled=filled,
    )


def _rows(runtime: Runtime, caller: Caller, request: RulesRequest) -> list[dict[str, Any]]:
    numbers: Counter[tuple[str, str]] = Counter()
    rows: list[dict[str, Any]] = []
    for rule in request.rules:
        numbers[rule.group, rule.name] += 1
        rows.append(
            {
                "id": runtime.clock.new_id(),
                "source": request.source,
                "group_name": rule.group,
                "name": rule.name,
                "number": numbers[rule.group, rule.name],
                "labels": rule.labels,
                "annotations": rule.annotations,
                "expr": rule.expr,
                "runbook_url": rule.runbook_url,
                "imported_at": runtime.clock.now(),
                "imported_by": caller.subject,
            }
        )
    return rows


async def _fill(session: AsyncSession, runtime: Runtime, caller: Caller, names: set[str]) -> int:
    runbooks = await runbooks_of(session, names)
    rows = (
        await session.scalars(
            select(AlertRow)
            .where(LIVE, AlertRow.source != OWN_SOURCE, AlertRow.runbook_url.is_(None), AlertRow.rule.in_(runbooks))
            .order_by(AlertRow.id)
            .limit(MAX_FILLED)
            .with_for_update()
        )
    ).all()
    for row in rows:
        row.runbook_url, row.updated_at = runbooks[row.rule], runtime.clock.now()
        line = Happening(row.id, Kind.CHANGED, "Its rule was taken in.", {"runbook": runbooks[row.rule]})
        happened(session, runtime, caller, line)
    if rows:
        await announce(session, runtime, rows)
    return len(rows)


async def list_rules(
    session: AsyncSession, runtime: Runtime, name: str | None, *, cursor: str | None, limit: int
) -> Page[WireRule]:
    """One page of rules, those taken in last first.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    query = select(AlertRule)
    if name is not None:
        query = query.where(AlertRule.name == name)
    query = newest_first(query, AlertRule.imported_at, AlertRule.id, cursor, limit)
    rows = (await session.scalars(query)).all()
    page, more = cut_page(rows, limit, lambda row: (row.imported_at, row.id))
    return Page(items=[_wire(row) for row in page], next_cursor=more, as_of=runtime.clock.now())


def _wire(row: AlertRule) -> WireRule:
    return WireRule(
        id=str(row.id), source=row.source, group=row.group_name, name=row.name, expr=row.expr, labels=row.labels,
        annotations=row.annotations, runbook_url=row.runbook_url, imported_at=row.imported_at,
        imported_by=row.imported_by,
    )  # fmt: skip
