"""Wire types of access that opens, closes and is looked at again: windows, elevations, access reviews."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from contract.auth import MAX_NAME_CHARS
from contract.base import UtcDatetime, Wire, WireRequest
from contract.permissions import Permission
from contract.reasons import MAX_REASON_CHARS, has_words
from contract.states import ElevationStatus

__all__ = [
    "AccessReview", "AccessReviewExport", "AccessReviewItem", "AccessWindow", "AccessWindowRequest", "Elevation",
    "ElevationRequest", "ElevationStatus", "ReviewDecision", "ReviewDecisionRequest", "ReviewFinding", "WindowState",
]  # fmt: skip

Reason = Annotated[str, Field(max_length=MAX_REASON_CHARS), AfterValidator(has_words)]
_Account = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS, pattern=r"^[^\x00]*$")]


class WindowState(StrEnum):
    """Where an access window stands at the time of the answer."""

    AHEAD = "ahead"
    OPEN = "open"
    CLOSED = "closed"
    REVOKED = "revoked"


class AccessWindowRequest(WireRequest):
    """Let somebody in for a time."""

    account: _Account
    starts_at: AwareDatetime | None = None
    """Absent: now."""
    ends_at: AwareDatetime
    reason: Reason


class AccessWindow(Wire):
    """When an account may come in."""

    id: str
    account: str
    state: WindowState
    starts_at: UtcDatetime
    ends_at: UtcDatetime
    reason: str
    granted_by: str
    granted_at: UtcDatetime
    revoked_by: str | None = None
    revoked_at: UtcDatetime | None = None


class ElevationRequest(WireRequest):
    """Ask for permissions beyond one's role, for a time."""

    permissions: Annotated[list[Permission], Field(min_length=1, max_length=20)]
    minutes: Annotated[int, Field(ge=1, le=10_080)]
    reason: Reason


class Elevation(Wire):
    """Permissions that somebody asks for or holds for a time."""

    id: str
    account: str
    role: str
    permissions: list[Permission]
    minutes: int
    status: ElevationStatus
    reason: str
    requested_at: UtcDatetime
    lapses_at: UtcDatetime
    decided_by: str | None = None
    decided_at: UtcDatetime | None = None
    ends_at: UtcDatetime | None = None
    ended_by: str | None = None


class ReviewDecision(StrEnum):
    """What becomes of an account's access."""

    KEEP = "keep"
    CHANGE = "change"
    """It gets another role, at once."""
    REVOKE = "revoke"
    """It is disabled, at once."""


class ReviewFinding(StrEnum):
    """What makes an account look orphaned."""

    NEVER_USED = "never_used"
    UNUSED = "unused"
    ROLE_NOT_IN_POLICY = "role_not_in_policy"


class AccessReviewItem(Wire):
    """One account or machine's token as it was when the review was opened."""

    number: int
    kind: str
    """account | service_token."""
    name: str
    role: str
    """`service` for a machine's token."""
    permissions: list[str]
    since: UtcDatetime
    """When it got this role; a token: when it was made."""
    last_used_at: UtcDatetime | None
    findings: list[ReviewFinding]
    decision: ReviewDecision | None = None
    new_role: str | None = None
    decided_by: str | None = None
    decided_at: UtcDatetime | None = None
    reason: str | None = None


class AccessReview(Wire):
    """One look at who has what."""

    id: str
    period: str | None
    """What the schedule opened it for; none if a person opened it."""
    opened_at: UtcDatetime
    opened_by: str | None
    due_at: UtcDatetime
    closed_at: UtcDatetime | None = None
    closed_by: str | None = None
    total: int
    decided: int
    items: list[AccessReviewItem] = []
    """In the answer about one review only."""


class ReviewDecisionRequest(WireRequest):
    """Decide on one item."""

    decision: ReviewDecision
    role: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    """The new role, for `change`."""
    reason: Reason

    def about(self, review: str, number: int) -> str:
        """What a touch of the hardware key confirms of it: the item of that review, the decision and the role."""
        return " ".join([review, str(number), self.decision.value, *([self.role] if self.role else [])])


class AccessReviewExport(Wire):
    """A finished review, to be kept elsewhere."""

    review: AccessReview
    exported_at: UtcDatetime
    exported_by: str
    sha256: str
    """Of the canonical JSON of `review`: keys sorted, no spaces."""
