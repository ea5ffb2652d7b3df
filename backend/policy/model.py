"""The validated shape of a policy file."""

from pydantic import BaseModel


class Policy(BaseModel):
    """A loaded policy."""

    def audit_category(self, event_type: str) -> str:
        """The audit category of an event type."""
        raise NotImplementedError(event_type)
