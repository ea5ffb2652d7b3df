"""Wire types of what is kept beside an incident: the floor as it was at its declaration, reports to an authority."""

from typing import Final

from pydantic import AwareDatetime, Field, field_validator

from contract.alerts import AlertCounts
from contract.base import UtcDatetime, WireRequest, storable
from contract.risk import RiskSnapshot

REPORTS: Final = ("initial", "intermediate", "final")
"""To an authority, in the order in which they are due."""


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
    to: str = Field(default="", max_length=200)
    """The authority, or whoever took it there."""
    reference: str = Field(default="", max_length=200)
    """Under which it is known there: a file number, the number of a receipt."""

    _texts = field_validator("to", "reference")(storable)
