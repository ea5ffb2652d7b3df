"""What a process knows of the audit log's write path: what waits, for how long, and whether its spool would hold.

Filled by `backend.audit.watch`, read by probes and by whoever writes. Owns no I/O.
"""

from dataclasses import dataclass

from backend.audit.spool import Spool


@dataclass
class WritePath:
    """The state as it was seen last."""

    spool: Spool
    waiting: int = 0
    """Committed entries without a place in the ledger, counted up to a bound."""
    oldest_s: float = 0.0
    """For how long the oldest of them has waited, by the database's clock."""
    quarantined: int = 0
    """Rows set aside, counted up to a bound."""
    alerted: bool = True
    """An alert about it may be live: not known otherwise when a process starts."""
    seen_at: float | None = None
    """When the database was last asked (seconds of the monotonic clock)."""
