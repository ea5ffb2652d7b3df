"""An incident as an Incident Finding of the Open Cybersecurity Schema Framework. Pure; adds nothing to the record.

What has no attribute there travels in `unmapped`. Version 1.4 is named: the class has had the same required attributes
since 1.1, and a reader of a later one takes it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from backend.incidents.postmortem.facts import Facts
from contract.incidents import Incident, IncidentStatus, Severity
from contract.version import __version__

OCSF_VERSION: Final = "1.4.0"
_CLASS: Final = 2005
_CATEGORY: Final = 2
_TYPE_FACTOR: Final = 100
"""A type is its class times this plus its activity."""
_MILLISECONDS: Final = 1_000
_ACTIVITIES: Final[Mapping[int, str]] = {1: "Create", 2: "Update", 3: "Close"}
_SEVERITIES: Final[Mapping[Severity, tuple[int, str]]] = {
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
_IN_PROGRESS: Final = (2, "In Progress")
_STATUSES: Final[Mapping[IncidentStatus, tuple[int, str]]] = {
    IncidentStatus.OPEN: _IN_PROGRESS,
    IncidentStatus.RESOLVED: (4, "Resolved"),
    IncidentStatus.CLOSED: (5, "Closed"),
}
_TEST: Final = (6, "Test")
"""The verdict on a drill."""


def finding_of(facts: Facts) -> dict[str, Any]:
    """One incident as one finding, as it stands now."""
    incident = facts.incident
    activity = _activity(facts)
    severity_id, severity = _SEVERITIES[incident.severity]
    status_id, status = _STATUSES[incident.status]
    finding: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity],
        "category_uid": _CATEGORY,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Incident Finding",
        "type_uid": _CLASS * _TYPE_FACTOR + activity,
        "type_name": f"Incident Finding: {_ACTIVITIES[activity]}",
        "time": _stamp(incident.declared_at),
        "start_time": _stamp(facts.began_at),
        "end_time": _stamp(facts.over_at),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "message": incident.title,
        "desc": incident.impact.description or None,
        "assignee": {"name": incident.commander or incident.declared_by, "type_id": 1, "type": "User"},
        "finding_info_list": _findings(incident),
        "metadata": _metadata(),
        "unmapped": _unmapped(facts),
    }
    if incident.drill:
        finding["verdict_id"], finding["verdict"] = _TEST
    return {name: value for name, value in finding.items() if value is not None}


def _activity(facts: Facts) -> int:
    if facts.incident.status is IncidentStatus.CLOSED:
        return 3
    return 2 if facts.entries > 1 else 1


def _stamp(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * _MILLISECONDS)


def _findings(incident: Incident) -> list[dict[str, Any]]:
    """What the incident is made of; without an alert or a freeze it is a finding of its own."""
    linked = [{"uid": f"{link.kind}:{link.id}", "title": link.label or link.id} for link in incident.links]
    return linked or [{"uid": incident.id, "title": incident.title, "created_time": _stamp(incident.declared_at)}]


def _metadata() -> dict[str, Any]:
    product = {"name": "Watchfloor", "vendor_name": "Watchfloor", "version": __version__}
    return {"version": OCSF_VERSION, "profiles": ["incident"], "product": product}


def _unmapped(facts: Facts) -> dict[str, Any]:
    incident = facts.incident.model_dump(mode="json", exclude={"title", "severity", "status", "links"})
    evidence = [{"name": one.name, "sha256": one.sha256, "size_bytes": one.size_bytes} for one in facts.evidence]
    follow_ups = [one.model_dump(mode="json") for one in facts.follow_ups]
    return {"incident": incident, "evidence": evidence, "follow_ups": follow_ups, "timeline_entries": facts.entries}
