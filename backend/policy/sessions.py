"""The policy's numbers of sessions: when one locks, and how many a person may have at once."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from backend.policy.base import PolicyTable, PositiveCount


class SessionRules(PolicyTable):
    """How sessions stand while nobody uses them."""

    idle_minutes: Annotated[PositiveCount, Field(ge=2)]
    """After so long without a key or an act a session is locked; a console warns a minute before."""
    most_per_person: PositiveCount
    """One more sign-in ends the oldest session."""

    @property
    def idle(self) -> timedelta:
        """How long a session stays open that nobody uses."""
        return timedelta(minutes=self.idle_minutes)
