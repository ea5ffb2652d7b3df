"""A backend on paper whose alerts are worked on: sources, escalation, mutings, silences, history."""

from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

import httpx
from pydantic import BaseModel

from contract.alert_work import (
    AlertAct,
    AlertActAnswer,
    AlertEvent,
    AlertGroup,
    Around,
    Matcher,
    MatchOp,
    Nearby,
    RefusedAct,
    Silence,
    SilenceCopy,
    SilencePreview,
    SilenceState,
)
from contract.alerts import Alert, AlertCategory, AlertCounts, AlertStatus, Escalation, Muting, Severity
from contract.base import Page
from contract.incidents import Incident, IncidentStatus
from contract.overview import Overview
from contract.scope import GLOBAL
from contract.stream import Topic
from tests.console import floor_models as models
from tests.console.floor_models import NOW, ago
from tests.console.paper import Paper, refusal

PROD = '{}:{cluster="prod"}'
"""The text that alerts of one group of an Alertmanager share."""
RUNBOOK = "https://runbooks.example/daily-loss"


def alerts() -> list[Alert]:
    """The three of the floor with clocks and people, one from a Prometheus, one that is muted."""
    loss, rate, gas = models.alerts()
    labels = {"alertname": loss.rule, "severity": "critical", "scope": "chain:arbitrum", "category": "risk"}
    return [
        loss.model_copy(
            update={
                "labels": labels,
                "group": loss.rule,
                "escalation": Escalation(
                    level=0, to="On-call engineer", next_to="Team lead", next_at=NOW + timedelta(minutes=11)
                ),
                "runbook_url": RUNBOOK,
                "annotations": {"summary": "Stop the strategy that loses most, then look at its last trades."},
            }
        ),
        rate.model_copy(
            update={
                "group": rate.rule,
                "labels": {"alertname": rate.rule, "severity": "high", "scope": str(rate.scope)},
                "escalation": Escalation(
                    level=1, to="Team lead", next_to="Director level", next_at=NOW + timedelta(minutes=39)
                ),
                "assigned_to": "ana",
                "times_raised": 2,
            }
        ),
        gas.model_copy(
            update={
                "group": gas.rule,
                "acknowledge_comment": "gas spike after the fork",
                "incident": "INC-2026-014",
            }
        ),
        foreign(),
        muted(),
    ]


def foreign() -> Alert:
    """One that a Prometheus has raised."""
    return models.alert(
        "alert-4",
        severity=Severity.HIGH,
        rule="NodeDown",
        scope=GLOBAL,
        message="node-7 has not answered for 5 minutes.",
        minutes=6,
    ).model_copy(
        update={
            "source": "alertmanager:prod",
            "group": PROD,
            "category": AlertCategory.PERFORMANCE,
            "labels": {"alertname": "NodeDown", "instance": "node-7:9100", "job": "node", "severity": "page"},
            "starts_at": ago(minutes=11),
            "links": [],
        }
    )


def muted() -> Alert:
    """One that a silence mutes."""
    return models.alert(
        "alert-5", severity=Severity.CRITICAL, rule="RelaySilent", scope=GLOBAL, message="No data for 95 s.", minutes=50
    ).model_copy(
        update={
            "source": "alertmanager:prod",
            "group": PROD,
            "labels": {"alertname": "RelaySilent", "instance": "relay-2"},
            "muted_by": [
                Muting(
                    kind="silence", id="silence-1", by="ana", comment="relay moves", until=NOW + timedelta(minutes=25)
                )
            ],
        }
    )


def incident(ident: str = "INC-2026-014", *, severity: Severity = Severity.HIGH) -> Incident:
    """An open incident, as the overview tells it."""
    return Incident(
        id=ident,
        title="Losses on arbitrum",
        type="trading",
        severity=severity,
        status=IncidentStatus.OPEN,
        step="Containment",
        commander="admin1",
        declared_by="admin1",
        declared_at=ago(minutes=13),
        updated_at=ago(minutes=2),
    )


def overview() -> Overview:
    """The floor with an incident and things left to do."""
    return models.overview().model_copy(
        update={
            "alerts": alerts(),
            "alert_counts": AlertCounts(critical=1, high=2, medium=1),
            "incidents": [incident()],
            "follow_ups_open": 5,
            "follow_ups_overdue": 2,
        }
    )


def silence(ident: str = "silence-1", *, state: SilenceState = SilenceState.ACTIVE, muted_now: int = 1) -> Silence:
    """One silence, made in an Alertmanager too."""
    ended = state is SilenceState.ENDED
    return Silence(
        id=ident,
        matchers=[
            Matcher(name="alertname", value="RelaySilent"),
            Matcher(name="instance", op=MatchOp.MATCHES, value="relay-.*"),
        ],
        state=state,
        starts_at=ago(minutes=35),
        ends_at=ago(minutes=5) if ended else NOW + timedelta(minutes=25),
        comment="relay moves to the new rack",
        created_by="ana",
        created_at=ago(minutes=35),
        ended_by="bob" if ended else None,
        copies=[SilenceCopy(source="prod", id="0c1e"), SilenceCopy(source="staging", error="Connection refused")],
        muted_now=0 if ended else muted_now,
    )


def events() -> list[AlertEvent]:
    """What happened to the first alert, oldest first."""
    return [
        AlertEvent(
            id="1", kind="raised", at=ago(minutes=4), recorded_at=ago(minutes=4), actor="watchfloor",
            text="Lost 7.2 ETH today on arbitrum, limit 10 ETH.",
        ),
        AlertEvent(
            id="2", kind="notified", at=ago(minutes=3, seconds=55), recorded_at=ago(minutes=3, seconds=55),
            actor="watchfloor", text="oncall", facts={"channel": "oncall"},
        ),
        AlertEvent(
            id="3", kind="noted", at=ago(minutes=3), recorded_at=ago(minutes=1), actor="ana",
            text="Two bots trade against each other since the last deploy; stopping the older one first.",
        ),
    ]  # fmt: skip


def around() -> Around:
    """Two changes before it and a freeze after it."""
    return Around(
        since=ago(minutes=34),
        until=NOW,
        items=[
            Nearby(
                at=ago(minutes=19), kind="audit", id="e-7", text="config.risk.changed max_daily_loss", actor="admin1"
            ),
            Nearby(at=ago(minutes=9), kind="alert", id="alert-4", text="NodeDown raised: node-7 has not answered."),
            Nearby(
                at=ago(minutes=1), kind="freeze", id="freeze-1", text="FRZ-0031 chain zksync halt", actor="officer1"
            ),
        ],
        missing=["changes of settings, without view_configurations"],
    )


@dataclass
class Desk(Paper):
    """A backend whose alerts can be worked on."""

    overview: Overview = field(default_factory=overview)
    alerts: list[Alert] = field(default_factory=alerts)
    silences: list[Silence] = field(default_factory=lambda: [silence()])
    events: list[AlertEvent] = field(default_factory=events)
    refused_ids: frozenset[str] = frozenset()
    """Alerts that no act changes."""
    _states: list[str] = field(default_factory=list)
    """States of silences that were asked for last."""
    _statuses: list[str] = field(default_factory=list)
    """Statuses of alerts that were asked for last."""

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self._states = request.url.params.get_list("state")
        self._statuses = request.url.params.get_list("status")
        return await super()._handle(request)

    def _answer(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        parts = path.split("/")
        if path == "/v1/alerts/acts":
            return told(self._act(body))
        if path == "/v1/alerts/groups":
            found = grouped([one for one in self.alerts if self._is_meant(one, body)])
            return told(Page[AlertGroup](items=found[: int(str(body["limit"]))], total=len(found)))
        if path == "/v1/alerts" and "group" in body:
            return told(Page[Alert](items=self._of_group(str(body["group"]))))
        if path.startswith("/v1/alerts/") and parts[-1] in {"events", "around"}:
            return told(self._history(body) if parts[-1] == "events" else around())
        if path.startswith("/v1/silences"):
            return self._silence(method, parts, body)
        return super()._answer(method, path, body)

    def _is_meant(self, one: Alert, body: dict[str, object]) -> bool:
        in_status = not self._statuses or one.status in self._statuses
        return in_status and ("muted" not in body or bool(one.muted_by) == (body["muted"] == "true"))

    def _of_group(self, ident: str) -> list[Alert]:
        return [one for one in self.alerts if group_id(one) == ident and one.status in self._statuses]

    def _history(self, body: dict[str, object]) -> Page[AlertEvent]:
        """Newest first, as many as were asked for behind the cursor."""
        start, limit = int(str(body.get("cursor") or 0)), int(str(body["limit"]))
        newest = sorted(self.events, key=lambda one: int(one.id), reverse=True)
        more = start + limit < len(newest)
        return Page(items=newest[start : start + limit], next_cursor=str(start + limit) if more else None)

    def _act(self, body: dict[str, object]) -> AlertActAnswer:
        wanted = body["ids"]
        assert isinstance(wanted, list)
        meant = [one for one in self.alerts if one.id in wanted and one.id not in self.refused_ids]
        done = [one.model_copy(update=self._change(body)) for one in meant]
        for one in done:
            self.emit(Topic.ALERT, one)
        changed = {one.id: one for one in done}
        self.alerts = [changed.get(one.id, one) for one in self.alerts]
        refused = [
            RefusedAct(id=ident, code="conflict", message="It has cleared.")
            for ident in wanted
            if ident in self.refused_ids
        ]
        return AlertActAnswer(done=done, refused=refused)

    @staticmethod
    def _change(body: dict[str, object]) -> dict[str, object]:
        if body["act"] == AlertAct.ACKNOWLEDGE:
            return {"status": AlertStatus.ACKNOWLEDGED, "acknowledged_by": "officer1", "acknowledged_at": NOW}
        return {"assigned_to": body.get("to")} if body["act"] == AlertAct.ASSIGN else {}

    def _silence(self, method: str, parts: list[str], body: dict[str, object]) -> httpx.Response:
        if parts[-1] == "preview":
            return self._preview(body)
        if parts[-1] == "end":
            self.silences = [silence(one.id, state=SilenceState.ENDED) for one in self.silences]
            return told(self.silences[0])
        if method == "GET":
            shown = [one for one in self.silences if one.state in self._states]
            return told(Page[Silence](items=shown))
        made = silence("silence-2", muted_now=2)
        self.silences = [made, *self.silences]
        return told(made)

    def _preview(self, body: dict[str, object]) -> httpx.Response:
        matchers = [Matcher.model_validate(one) for one in body["matchers"]]  # type: ignore[attr-defined]
        if any(one.value == "(" for one in matchers):
            return refusal(422, "invalid_request", "( is no pattern.")
        hit = [
            alert
            for alert in self.alerts
            if all(alert.labels.get(one.name, "") == one.value for one in matchers if one.op is MatchOp.IS)
        ]
        return told(SilencePreview(total=len(hit), alerts=hit[:50], sources=["prod"] if hit else []))


def group_id(alert: Alert) -> str:
    """The id of its group."""
    return sha256(alert.group.encode()).hexdigest()


def grouped(known: list[Alert]) -> list[AlertGroup]:
    """One row a group, as the backend counts them."""
    groups: dict[str, list[Alert]] = {}
    for one in known:
        if one.status is not AlertStatus.CLEARED:
            groups.setdefault(one.group, []).append(one)
    found = [_group(members) for members in groups.values()]
    return sorted(found, key=lambda one: (list(Severity).index(one.severity), -one.newest_at.timestamp()))


def _group(members: list[Alert]) -> AlertGroup:
    waiting = [one.raised_at for one in members if one.status is AlertStatus.OPEN]
    newest = max(members, key=lambda one: one.raised_at)
    return AlertGroup(
        id=group_id(newest),
        group=newest.group,
        severity=min((one.severity for one in members), key=list(Severity).index),
        total=len(members),
        open=len(waiting),
        acknowledged=len(members) - len(waiting),
        muted=sum(bool(one.muted_by) for one in members),
        rules=len({one.rule for one in members}),
        newest_at=newest.raised_at,
        oldest_open_at=min(waiting, default=None),
        newest=newest,
    )


def told(model: BaseModel) -> httpx.Response:
    """An answer."""
    return httpx.Response(200, content=model.model_dump_json(), headers={"content-type": "application/json"})
