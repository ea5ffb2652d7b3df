"""An incident's facts as the pure cores take them, made by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from backend.incidents.postmortem.facts import Facts
from contract.alerts import Link
from contract.incidents import (
    Evidence,
    FollowUp,
    Impact,
    Incident,
    IncidentStatus,
    Milestone,
    MilestoneName,
    Severity,
    Step,
    StepAction,
    TimelineEntry,
)
from contract.scope import Scope

BEGAN = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def after(minutes: int) -> datetime:
    """So many minutes after the incident began."""
    return BEGAN + timedelta(minutes=minutes)


def milestone(name: MilestoneName, minutes: int) -> Milestone:
    """One that Watchfloor has stamped."""
    at = after(minutes)
    return Milestone(name=name, occurred_at=at, recorded_at=at, recorded_by="watchfloor", auto=True)


def line(number: int, text: str, *, minutes: int = 0, **more: Any) -> TimelineEntry:
    """A note in the timeline."""
    at = after(minutes)
    told = {"actor": "officer1", "auto": False, "kind": "note", **more}
    return TimelineEntry(id=f"line-{number}", number=number, occurred_at=at, recorded_at=at, text=text, **told)


def incident(**changes: Any) -> Incident:
    """A resolved incident of high severity."""
    told: dict[str, Any] = {
        "id": "INC-2026-001",
        "title": "Relay refuses bundles",
        "type": "availability",
        "severity": Severity.HIGH,
        "status": IncidentStatus.RESOLVED,
        "step": "Post-Mortem",
        "commander": "officer1",
        "scopes": [Scope.parse("chain:ethereum")],
        "declared_by": "officer1",
        "declared_at": after(4),
        "updated_at": after(90),
        "milestones": [
            milestone(MilestoneName.STARTED, 0),
            milestone(MilestoneName.DETECTED, 2),
            milestone(MilestoneName.ACKNOWLEDGED, 3),
            milestone(MilestoneName.CONTAINED, 10),
            milestone(MilestoneName.RESOLVED, 75),
        ],
        "steps": [
            Step(
                name="Containment",
                actions=[
                    StepAction(number=1, text="Isolate affected systems", done_at=after(9), done_by="admin1"),
                    StepAction(number=2, text="Prevent further damage"),
                ],
            )
        ],
        "impact": Impact(services=["execution"], loss_usd=Decimal("1200.50"), users=12),
        "links": [Link(kind="alert", id="a1", label="LOW_SUCCESS_RATE on chain:ethereum")],
    }
    return Incident(**{**told, **changes})


def facts(**changes: Any) -> Facts:
    """The facts of that incident."""
    timeline = (line(1, "Success rate fell to 0.2", auto=True, actor="watchfloor", kind="alert"), line(2, "On it"))
    follow_up = FollowUp(
        id="INC-2026-001-1",
        incident="INC-2026-001",
        number=1,
        text="Watch the relay",
        owner="trader1",
        due_on=date(2026, 12, 1),
        created_by="officer1",
        created_at=after(80),
    )
    evidence = Evidence(
        id="e1", name="relay.log", media_type="text/plain", size_bytes=2048, sha256="ab" * 32, kind="file",
        added_by="officer1", added_at=after(20),
    )  # fmt: skip
    return Facts(incident(**changes), timeline, len(timeline), (evidence,), (follow_up,))
