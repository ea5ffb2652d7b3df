"""What a record says, as the pure cores of post-mortems and exports take it."""

from datetime import datetime
from typing import NamedTuple

from contract.incidents import Evidence, FollowUp, Incident, MilestoneName, TimelineEntry


class Facts(NamedTuple):
    """One incident with everything that is told of it."""

    incident: Incident
    timeline: tuple[TimelineEntry, ...] = ()
    """By the time it happened; lines of one instant by their number."""
    entries: int = 0
    """How many lines there are, those among them that `timeline` leaves out."""
    evidence: tuple[Evidence, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()

    @property
    def began_at(self) -> datetime:
        """When it started, as far as anybody has said; else when it was detected, else when it was declared."""
        known = (self.incident.at(name) for name in (MilestoneName.STARTED, MilestoneName.DETECTED))
        return next((at for at in known if at is not None), self.incident.declared_at)

    @property
    def over_at(self) -> datetime | None:
        """When it was resolved."""
        return self.incident.at(MilestoneName.RESOLVED)
