"""Wire types of the overview and of `watchfloor status`."""

from contract.access import Elevation
from contract.alerts import Alert, AlertCounts
from contract.base import UtcDatetime, Wire
from contract.executors import Executor
from contract.freeze import Freeze
from contract.incidents import Incident
from contract.risk import RiskSnapshot


class Overview(Wire):
    """Everything the first screen shows, read in one transaction."""

    server_time: UtcDatetime
    event_id: int
    """The last stream event contained in here: resume the stream after it."""
    risk: RiskSnapshot
    alerts: list[Alert]
    """The 50 most urgent alerts that are not cleared."""
    alert_counts: AlertCounts
    freezes: list[Freeze]
    """All holds in force, those among them that the answering backend has latched."""
    executors: list[Executor]
    """At most 500."""
    executors_total: int
    journals_elsewhere: int = 0
    """Journals of other backends or databases in the backend's data directory in which freezes wait."""
    elevations: list[Elevation] = []
    """At most 50 that are in force or wait for a decision."""
    incidents: list[Incident] = []
    """At most 20 that are open, the most severe first; without milestones, steps and links."""
    follow_ups_open: int = 0
    """Follow-up actions of incidents that nobody has done yet."""
    follow_ups_overdue: int = 0
    """Those of them whose due date is over."""


class Status(Wire):
    """One line's worth: is the floor up, is anything frozen or burning."""

    server_time: UtcDatetime
    version: str
    alert_counts: AlertCounts
    freezes: int
    latched: int = 0
    """Of these, how many the answering backend has latched: the database has not taken them yet."""
    journals_elsewhere: int = 0
    """As in the overview."""
    executors_total: int
    executors_trading: int
    executors_silent: int
    assessed_at: UtcDatetime | None


class ComplianceMetrics(Wire):
    """The dashboard body of the compliance document: `{risks, metrics, alerts}`."""

    risks: dict[str, str]
    """regulatory, operational, security → LOW | MEDIUM | HIGH | CRITICAL | UNKNOWN."""
    metrics: RiskSnapshot
    alerts: list[Alert]
