"""Incidents on paper: contract models with fixed times, for the console tests."""

import hashlib
from datetime import date, datetime, timedelta

from contract.alerts import Link, Severity
from contract.incidents import (
    Clock,
    Evidence,
    FollowUp,
    Impact,
    Incident,
    IncidentStats,
    IncidentStatus,
    Interval,
    IntervalStat,
    Milestone,
    MilestoneName,
    ResponseCompliance,
    Role,
    StatGroup,
    Step,
    StepAction,
    TimelineEntry,
)
from contract.postmortem import (
    ImportedReport,
    Postmortem,
    PostmortemSection,
    PostmortemState,
    PostmortemTemplate,
    PostmortemTemplates,
)
from contract.scope import Scope
from tests.console.floor_models import NOW, ago

IDENT = "INC-2026-014"
PROCEDURE = {
    "Detection": ["confirm that it is real", "declare the incident"],
    "Triage": ["assess severity and scope", "name the commander"],
    "Containment": ["isolate affected systems", "prevent further damage", "preserve evidence"],
    "Resolution": ["find the cause", "apply the fix"],
    "Recovery": ["restore normal operation", "watch closely"],
    "Post-mortem": ["write the report", "agree on follow-ups"],
}
SECTIONS = {
    "summary": "Summary",
    "timeline": "Timeline",
    "impact": "Impact",
    "root_cause": "Root Cause",
    "resolution": "Resolution",
    "lessons": "Lessons Learned",
    "follow_ups": "Follow-up Actions",
}


def milestone(name: MilestoneName, at: datetime, *, auto: bool = True) -> Milestone:
    """One milestone."""
    return Milestone(
        name=name, occurred_at=at, recorded_at=at, recorded_by="watchfloor" if auto else "admin1", auto=auto
    )


def steps(current: str = "Containment") -> list[Step]:
    """The procedure; everything before the current step is done, and its first action."""
    found, before = [], True
    for name, texts in PROCEDURE.items():
        before = before and name != current
        done = [ago(minutes=2) if before or (name == current and not index) else None for index in range(len(texts))]
        actions = [
            StepAction(number=number, text=text, done_at=at, done_by="admin1" if at else None)
            for number, (text, at) in enumerate(zip(texts, done, strict=True), 1)
        ]
        found.append(Step(name=name, actions=actions, done_at=ago(minutes=3) if before else None))
    return found


def incident(ident: str = IDENT, **changed: object) -> Incident:
    """An incident that goes on."""
    return Incident(
        id=ident,
        title="Losses on arbitrum",
        type="trading loss",
        severity=Severity.HIGH,
        status=IncidentStatus.OPEN,
        step="Containment",
        commander="admin1",
        roles=[
            Role(role="commander", person="admin1", since=ago(minutes=13)),
            Role(role="scribe", person="officer1", since=ago(minutes=9)),
        ],
        scopes=[Scope.parse("chain:arbitrum")],
        declared_by="admin1",
        declared_at=ago(minutes=12),
        updated_at=ago(minutes=1),
        milestones=[
            milestone(MilestoneName.STARTED, ago(minutes=20)),
            milestone(MilestoneName.DETECTED, ago(minutes=13)),
            milestone(MilestoneName.ACKNOWLEDGED, ago(minutes=11)),
            milestone(MilestoneName.CONTAINED, ago(minutes=7, seconds=24)),
        ],
        steps=steps(),
        impact=Impact(services=["arbitrage"]),
        links=[
            Link(kind="alert", id="alert-1", label="DAILY_LOSS_LIMIT"),
            Link(kind="freeze", id="freeze-1", label=""),
        ],
        clocks=[Clock(name="initial", due_at=NOW + timedelta(hours=3, minutes=48))],
        follow_ups_open=1,
        postmortem_required=True,
        version=4,
    ).model_copy(update=changed)


def incidents() -> list[Incident]:
    """One that goes on, one that is resolved, one that is closed."""
    return [
        incident(),
        incident(
            "INC-2026-013",
            title="RPC endpoint of base down",
            severity=Severity.MEDIUM,
            status=IncidentStatus.RESOLVED,
            commander="oscar",
            declared_at=ago(days=2),
        ),
        incident("INC-2026-012", title="Gas spike", status=IncidentStatus.CLOSED, declared_at=ago(days=9)),
    ]


def entry(number: int, at: datetime, text: str, **changed: object) -> TimelineEntry:
    """One line of a timeline, written by itself."""
    return TimelineEntry(
        id=f"line-{number}",
        number=number,
        occurred_at=at,
        recorded_at=at,
        actor="watchfloor",
        auto=True,
        kind="alert",
        text=text,
    ).model_copy(update=changed)


def timeline() -> list[TimelineEntry]:
    """Newest first, as the backend gives it."""
    note = {"actor": "admin1", "auto": False, "kind": "note"}
    alert = Link(kind="alert", id="alert-1", label="DAILY_LOSS_LIMIT")
    return [
        entry(6, ago(minutes=1), "oracle for token X lags 40 blocks", **note),
        entry(5, ago(minutes=4), "the oracle was fine until 03:06", recorded_at=ago(minutes=2), **note),
        entry(4, ago(minutes=7), "FRZ-0031 of chain:arbitrum: 12 of 12 halted, 12 verified", kind="halt_proven"),
        entry(3, ago(minutes=11), "admin1 acknowledged DAILY_LOSS_LIMIT on chain:arbitrum", kind="acknowledged"),
        entry(2, ago(minutes=12), "declared by admin1: Losses on arbitrum", kind="status"),
        entry(1, ago(minutes=13), "DAILY_LOSS_LIMIT on chain:arbitrum: 7.2 of 10 ETH", link=alert),
    ]


def evidence(number: int = 1, name: str = "node.log") -> Evidence:
    """Something kept."""
    return Evidence(
        id=f"evidence-{number}",
        name=name,
        media_type="text/plain",
        size_bytes=18_422,
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        description="the sequencer's log of the hour",
        kind="file",
        added_by="admin1",
        added_at=ago(minutes=3),
    )


def follow_up(number: int = 1, **changed: object) -> FollowUp:
    """Something to be done."""
    return FollowUp(
        id=f"follow-up-{number}",
        incident=IDENT,
        number=number,
        text="alert when the oracle lags more than 5 blocks",
        owner="oscar",
        due_on=date(2026, 11, 30),
        created_by="admin1",
        created_at=ago(days=3),
        age_days=3,
    ).model_copy(update=changed)


def follow_ups() -> list[FollowUp]:
    """One that is late, one that is not."""
    late = {"due_on": date(2026, 11, 19), "overdue": True, "owner": None, "age_days": 12, "text": "second RPC provider"}
    return [follow_up(2, **late), follow_up()]


def interval(which: Interval, n: int, count: int, median_s: float | None) -> IntervalStat:
    """One interval of so many incidents, of which `n` have both ends."""
    median_s = median_s if n else None
    longer = None if median_s is None else median_s * (3 if n > 1 else 1)
    return IntervalStat(interval=which, n=n, missing=count - n, median_s=median_s, p90_s=longer, max_s=longer)


def group(month: str | None, severity: Severity | None, count: int, over_s: float | None) -> StatGroup:
    """One group of a table."""
    found = [
        interval(Interval.TTD, min(count, 3), count, 72.0),
        interval(Interval.TTA, count, count, 130.0),
        interval(Interval.TTM, min(count, 2), count, 610.0),
        interval(Interval.TTR, max(count - 1, 1) if over_s is not None else 0, count, over_s),
    ]
    return StatGroup(month=month, severity=severity, incidents=count, intervals=found)


def stats(*, drills: bool = False) -> IncidentStats:
    """Three months."""
    return IncidentStats(
        since=ago(days=90),
        until=NOW,
        drills=drills,
        groups=[
            group(None, None, 4, 4_000.0),
            group(None, Severity.CRITICAL, 1, 9_000.0),
            group(None, Severity.HIGH, 3, 3_600.0),
            group("2026-09", None, 1, 9_000.0),
            group("2026-10", None, 2, 3_600.0),
            group("2026-11", None, 1, None),
        ],
        compliance=[
            ResponseCompliance(severity=Severity.CRITICAL, target_minutes=15, in_time=1, late=0, unanswered=0),
            ResponseCompliance(severity=Severity.HIGH, target_minutes=60, in_time=1, late=1, unanswered=1),
        ],
    )


def postmortem(state: PostmortemState = PostmortemState.DRAFT, **changed: object) -> Postmortem:
    """A post-mortem: half of it from the record, the root cause not written yet."""
    texts = {
        "summary": "Losses on arbitrum. **13 minutes**, chain:arbitrum, 7.2 ETH.",
        "timeline": "- 02:59:09 UTC DAILY_LOSS_LIMIT\n- 03:01:09 UTC acknowledged",
        "impact": "| what | how much |\n|---|---|\n| loss | 7.2 ETH |",
    }
    if state is not PostmortemState.DRAFT:
        texts |= dict.fromkeys([key for key in SECTIONS if key not in texts], "Because of the oracle.")
    sections = [
        PostmortemSection(
            key=key,
            title=title,
            text=texts.get(key, ""),
            version=1,
            edited_by="admin1" if key == "summary" else None,
            edited_at=ago(minutes=5) if key == "summary" else None,
            unwritten=key not in texts,
        )
        for key, title in SECTIONS.items()
    ]
    submitted = {"submitted_by": "admin1", "submitted_at": ago(minutes=2)} if state is not PostmortemState.DRAFT else {}
    return Postmortem(
        incident=IDENT,
        version=1,
        template="incident",
        state=state,
        sections=sections,
        created_by="admin1",
        created_at=ago(minutes=9),
        versions=[1],
    ).model_copy(update={**submitted, **changed})


def templates() -> PostmortemTemplates:
    """The policy's."""
    sre = ["Summary", "Impact", "Root Causes", "Trigger", "Resolution", "Detection", "Action Items", "Lessons Learned"]
    return PostmortemTemplates(
        items=[
            PostmortemTemplate(name="incident", sections=list(SECTIONS.values())),
            PostmortemTemplate(name="sre", sections=sre),
        ]
    )


def report(number: int = 1, **changed: object) -> ImportedReport:
    """A report that was written elsewhere."""
    return ImportedReport(
        id=f"IMP-{number:04}",
        name=f"2021/report-{number}.md",
        collection="before-2026",
        title="Connection pool exhausted after the fail-over of the primary database",
        date="2021-05-26",
        sections=["Summary", "Root Cause"],
        sha256="5f" * 32,
        chars=1_234,
    ).model_copy(update=changed)


def contested(mine: str, saved: str, before: str = "") -> str:
    """Both sides of a passage between the marks of the backend."""
    rows = ["<<<<<<< your text", mine, "||||||| before both edits", before, "=======", saved, ">>>>>>> saved text"]
    return "\n".join(rows)


def markdown(one: Postmortem) -> bytes:
    """It as one text."""
    return "\n\n".join(f"## {part.title}\n\n{part.text}" for part in one.sections).encode()
