"""The policy's numbers of machines' tokens: what they may hold, and how they are replaced."""

from typing import Final, Self

from pydantic import model_validator

from backend.policy.access import Permissions
from backend.policy.base import PolicyTable, PositiveCount
from contract.permissions import Permission

NEVER_A_MACHINES: Final = frozenset(
    {
        Permission.APPROVE_THAW,
        Permission.APPROVE_ELEVATION,
        Permission.GRANT_ACCESS,
        Permission.REVIEW_ACCESS,
        Permission.MANAGE_SERVICE_TOKENS,
        Permission.REVEAL_PERSONAL_DATA,
        Permission.ERASE_PERSONAL_DATA,
        Permission.APPROVE_POSTMORTEMS,
    }
)
"""What a person answers for."""


class ServiceTokenRules(PolicyTable):
    """What machines' tokens may hold, and how they are replaced."""

    grantable: Permissions
    """What a token may be issued with."""
    overlap_hours: PositiveCount
    """After a rotation: for how long the secret before works, unless the new one is used earlier."""
    warning_days: PositiveCount
    """From how many days before its end on a token is warned about."""

    @model_validator(mode="after")
    def _people_decide(self) -> Self:
        never = sorted(NEVER_A_MACHINES.intersection(self.grantable))
        if never:
            raise ValueError(f"grantable must not name {', '.join(never)}")
        return self
