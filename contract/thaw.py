"""Wire types of what a thaw is bound to and how far it has come."""

from contract.base import UtcDatetime, Wire
from contract.states import Severity

DIGEST_CHARS = 64
"""SHA-256 in hex."""


class ThawAlert(Wire):
    """An open alert that touches the scope of a hold."""

    id: str
    rule: str
    severity: Severity
    message: str


class ThawStage(Wire):
    """Executors that are let go together."""

    executors: int
    executor_names: list[str]
    """At most 50."""
    watch_seconds: int
    """How long they are watched before the next stage, or before the thaw is over."""


class Thaw(Wire):
    """What lifting a hold means at this moment: shown before anybody asks, and again before anybody approves."""

    digest: str
    """SHA-256, in hex, of the hold, of the other holds and open alerts below and of the executors let go."""
    alerts: list[ThawAlert] = []
    """Open alerts that touch the scope, the gravest first."""
    other_holds: list[str] = []
    """Refs of holds that stay over its executors."""
    executors_released: int
    """Executors that no other hold covers."""
    stages: list[ThawStage] = []
    """In which order they are let go."""
    changed: list[str] = []
    """What is no longer as it was when the thaw was asked for: it has to be asked for again."""
    anti_flap_until: UtcDatetime
    """No approval is taken before."""
    requested_by: str | None = None
    requested_at: UtcDatetime | None = None
    expires_at: UtcDatetime | None = None
    """When the request lapses without a second person."""
    approved_by: str | None = None
    watch_until: UtcDatetime | None = None
    """While the first stage is watched: when the rest follows."""
