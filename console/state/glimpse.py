"""Owns reading the very first overview without the library behind the wire types, whose import would double the wait.

What it makes has the fields, values and text of the wire types and stands in for them until the client has read the
same answer properly. Must never guess: an answer that is not exactly as expected is left to the client.
"""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from contract.permissions import Permission
from contract.states import (
    AlertCategory,
    AlertStatus,
    ElevationStatus,
    ExecutorState,
    FreezeMode,
    FreezeStatus,
    HaltState,
    IncidentStatus,
    MeasureState,
    MilestoneName,
    PostmortemState,
    RiskLevel,
    RiskRule,
    ScopeKind,
    Severity,
)

if TYPE_CHECKING:
    from contract.overview import Overview

Read = Callable[[Any], Any]
"""Makes a value of what JSON gave.

Raises:
    ValueError: it is of another kind.
"""


class _Scope(SimpleNamespace):
    kind: ScopeKind
    name: str

    def __str__(self) -> str:
        if self.kind is ScopeKind.INTERSECTION:
            return self.name
        return self.kind.value if self.kind is ScopeKind.GLOBAL else f"{self.kind.value}:{self.name}"


def glimpse(body: bytes) -> "Overview | None":
    """The overview in an answer's body, to be looked at and not to be kept; None if it is not what was expected."""
    try:
        return cast("Overview", _OVERVIEW(json.loads(body)))
    except (ValueError, KeyError, InvalidOperation, RecursionError):
        return None


def _scope(value: Any) -> _Scope:
    known = _exactly(dict)(value)
    kind, name = _one_of(ScopeKind)(known["kind"]), _text(known["name"])
    if (kind is ScopeKind.GLOBAL) == bool(name) or name != name.strip():
        raise ValueError
    return _Scope(kind=kind, name=name)


def _exactly(kind: type) -> Read:
    def read(value: Any) -> Any:
        if type(value) is not kind:  # a bool is no number here
            raise ValueError
        return value

    return read


def _money(value: Any) -> Decimal:
    amount = Decimal(_text(value))
    if not amount.is_finite():
        raise ValueError
    return amount


def _time(value: Any) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _one_of(kind: type[StrEnum]) -> Read:
    known = {member.value: member for member in kind}
    return lambda value: known[_text(value)]


def _ref(value: Any) -> str:
    return "LATCHED" if value is None else _text(value)


def _or_none(read: Read) -> Read:
    return lambda value: None if value is None else read(value)


def _list(read: Read) -> Read:
    return lambda value: [read(one) for one in _exactly(list)(value)]


def _texts(value: Any) -> dict[str, str]:
    return {name: _text(text) for name, text in _exactly(dict)(value).items()}


def _record(**fields: Read) -> Read:
    def read(value: Any) -> Any:
        known = _exactly(dict)(value)
        return SimpleNamespace(**{name: field(known[name]) for name, field in fields.items()})

    return read


_text: Final = _exactly(str)
_count: Final = _exactly(int)
_flag: Final = _exactly(bool)

_LINK: Final = _record(kind=_text, id=_text, label=_text)
_MEASURE: Final = _record(
    rule=_one_of(RiskRule),
    scope=_scope,
    value=_or_none(_money),
    limit=_money,
    used=_or_none(_money),
    state=_one_of(MeasureState),
    samples=_count,
    unknown=_count,
    history=_list(_or_none(_money)),
    projected_hit_at=_or_none(_time),
)
_REASON: Final = _record(level=_one_of(RiskLevel), text=_text, link=_or_none(_LINK))
_INDICATOR: Final = _record(name=_text, level=_one_of(RiskLevel), reasons=_list(_REASON))
_RISK: Final = _record(
    assessed_at=_or_none(_time),
    interval_seconds=_count,
    measures=_list(_MEASURE),
    indicators=_list(_INDICATOR),
)
_MUTING: Final = _record(kind=_text, id=_text, by=_or_none(_text), comment=_text, until=_or_none(_time))
_ESCALATION: Final = _record(
    level=_count, to=_text, people=_list(_text), next_to=_or_none(_text), next_at=_or_none(_time)
)
_ALERT: Final = _record(
    id=_text,
    rule=_text,
    severity=_one_of(Severity),
    status=_one_of(AlertStatus),
    scope=_scope,
    message=_text,
    facts=_texts,
    links=_list(_LINK),
    raised_at=_time,
    updated_at=_time,
    due_at=_or_none(_time),
    acknowledged_by=_or_none(_text),
    acknowledged_at=_or_none(_time),
    cleared_at=_or_none(_time),
    action_taken=_or_none(_text),
    source=_text,
    category=_one_of(AlertCategory),
    labels=_texts,
    annotations=_texts,
    starts_at=_or_none(_time),
    group=_text,
    assigned_to=_or_none(_text),
    escalation=_or_none(_ESCALATION),
    muted_by=_list(_MUTING),
    runbook_url=_or_none(_text),
    acknowledge_comment=_or_none(_text),
    incident=_or_none(_text),
    times_raised=_count,
)
_PROOF: Final = _record(
    executor=_text,
    state=_one_of(HaltState),
    acked_at=_or_none(_time),
    halted_after_seconds=_or_none(_money),
    last_order_seq=_or_none(_count),
    in_flight=_or_none(_count),
    proof=_text,
    permit_dead_at=_or_none(_time),
    open_ids=_list(_text),
    bounded=_flag,
    exercised=_flag,
)
_THAW_ALERT: Final = _record(id=_text, rule=_text, severity=_one_of(Severity), message=_text)
_THAW_STAGE: Final = _record(executors=_count, executor_names=_list(_text), watch_seconds=_count)
_THAW: Final = _record(
    digest=_text,
    alerts=_list(_THAW_ALERT),
    other_holds=_list(_text),
    executors_released=_count,
    stages=_list(_THAW_STAGE),
    changed=_list(_text),
    anti_flap_until=_time,
    requested_by=_or_none(_text),
    requested_at=_or_none(_time),
    expires_at=_or_none(_time),
    approved_by=_or_none(_text),
    watch_until=_or_none(_time),
)
_FREEZE: Final = _record(
    id=_text,
    ref=_ref,
    epoch=_count,
    scope=_scope,
    mode=_one_of(FreezeMode),
    status=_one_of(FreezeStatus),
    reason=_text,
    created_by=_text,
    created_at=_time,
    automatic_rule=_or_none(_text),
    thaw_requested_by=_or_none(_text),
    thaw_requested_at=_or_none(_time),
    thaw_reason=_or_none(_text),
    thawed_by=_or_none(_text),
    thawed_at=_or_none(_time),
    covered=_count,
    halted=_count,
    verified=_count,
    violations=_count,
    still_open=_count,
    proofs=_list(_PROOF),
    drill=_flag,
    version=_count,
    thaw=_or_none(_THAW),
    revoked=_or_none(_count),
    kept=_or_none(_flag),
)
_EXECUTOR: Final = _record(
    name=_text,
    chain=_text,
    strategy=_text,
    wallet=_text,
    state=_one_of(ExecutorState),
    position_eth=_or_none(_money),
    open_orders=_or_none(_count),
    in_flight=_or_none(_count),
    last_order_seq=_count,
    last_seen_at=_or_none(_time),
    registered_at=_time,
)
_COUNTS: Final = _record(critical=_count, high=_count, medium=_count, low=_count)
_ELEVATION: Final = _record(
    id=_text,
    account=_text,
    role=_text,
    permissions=_list(_one_of(Permission)),
    minutes=_count,
    status=_one_of(ElevationStatus),
    reason=_text,
    requested_at=_time,
    lapses_at=_time,
    decided_by=_or_none(_text),
    decided_at=_or_none(_time),
    ends_at=_or_none(_time),
    ended_by=_or_none(_text),
)
_MILESTONE: Final = _record(
    name=_one_of(MilestoneName), occurred_at=_time, recorded_at=_time, recorded_by=_text, auto=_flag
)
_STEP_ACTION: Final = _record(number=_count, text=_text, done_at=_or_none(_time), done_by=_or_none(_text), note=_text)
_INCIDENT: Final = _record(
    id=_text,
    title=_text,
    type=_text,
    severity=_one_of(Severity),
    status=_one_of(IncidentStatus),
    step=_text,
    commander=_or_none(_text),
    roles=_list(_record(role=_text, person=_text, since=_time)),
    scopes=_list(_scope),
    drill=_flag,
    declared_by=_text,
    declared_at=_time,
    updated_at=_time,
    milestones=_list(_MILESTONE),
    steps=_list(_record(name=_text, actions=_list(_STEP_ACTION), begun_at=_or_none(_time), done_at=_or_none(_time))),
    impact=_record(
        services=_list(_text),
        loss_usd=_or_none(_money),
        loss_eth=_or_none(_money),
        users=_or_none(_count),
        description=_text,
    ),
    links=_list(_LINK),
    clocks=_list(_record(name=_text, due_at=_time, done_at=_or_none(_time), to=_text, reference=_text)),
    follow_ups_open=_count,
    postmortem=_or_none(_one_of(PostmortemState)),
    postmortem_required=_flag,
    version=_count,
)
_OVERVIEW: Final = _record(
    server_time=_time,
    event_id=_count,
    risk=_RISK,
    alerts=_list(_ALERT),
    alert_counts=_COUNTS,
    freezes=_list(_FREEZE),
    executors=_list(_EXECUTOR),
    executors_total=_count,
    journals_elsewhere=_count,
    elevations=_list(_ELEVATION),
    incidents=_list(_INCIDENT),
    follow_ups_open=_count,
    follow_ups_overdue=_count,
)
