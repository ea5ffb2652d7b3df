"""Wire types of what is kept beside an incident: the floor as it was at its declaration, reports to an authority."""

from pydantic import AwareDatetime, Field

from contract.alerts import AlertCounts
from contract.base import UtcDatetime, WireRequest
from contract.risk import RiskSnapshot


class IncidentSnapshot(RiskSnapshot):
    """The latest assessment, and the floor, as they were when an incident was declared."""

    incident: str
    taken_at: UtcDatetime
    executors: dict[str, int] = {}
    """How many there were in each state."""
    freezes: list[str] = []
    """Refs and scopes of the holds that were in force; at most 100."""
    alert_counts: AlertCounts = AlertCounts()


class ReportSentRequest(WireRequest):
    """Say that a report went to the authority."""

    report: str = Field(pattern="^(initial|intermediate|final)$")
    sent_at: AwareDatetime | None = None
    """Absent: now."""
