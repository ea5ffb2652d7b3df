"""Wire types of the audit ledger's retention: what is due to be dropped, what holds it back, where copies lie."""

from enum import StrEnum

from contract.base import UtcDatetime, Wire


class CopyState(StrEnum):
    """How a copy of a partition was found when it was last read back."""

    SOUND = "sound"
    UNWRITTEN = "unwritten"
    """It could not be stored yet."""
    MISSING = "missing"
    DAMAGED = "damaged"
    UNREACHABLE = "unreachable"
    """The place does not answer: nobody can say."""


class PartitionRetention(Wire):
    """One full partition of a log."""

    seq_from: int
    seq_until: int
    """The first entry after it."""
    due_at: UtcDatetime | None = None
    """When the retention of its newest entry ends; None in a log that is kept for ever."""
    held_back_by: list[str] = []
    """Everything that speaks against dropping it once it is due, in words."""


class LogRetention(Wire):
    """One log of the ledger."""

    log: str
    keep_days: int | None = None
    """None: no retention is stated, so that nothing is ever dropped."""
    entries: int
    """How many it holds now."""
    dropped: int
    """How many of its oldest were dropped; their numbers are not given again."""
    oldest: UtcDatetime | None = None
    """When the oldest entry that is left was placed."""
    full_partitions: int
    """The one that is being filled is never dropped."""
    due_partitions: int
    next: PartitionRetention | None = None
    """Its oldest full partition: only that one can be dropped next."""


class ArchiveCopy(Wire):
    """One copy of one partition that is not as it should be."""

    log: str
    seq_from: int
    place: str
    state: CopyState
    problem: str | None = None
    last_checked: UtcDatetime


class KeptCopy(Wire):
    """One copy of an archived partition in one place, as it was when it was last looked at."""

    place: str
    manifest: str
    """Name of its manifest within the place."""
    sha256: str | None = None
    """Of the manifest; None until it was written."""
    size_bytes: int
    state: CopyState
    problem: str | None = None
    written_at: UtcDatetime | None = None
    checked_sound: UtcDatetime | None = None
    """When it was last read back and found sound."""
    last_checked: UtcDatetime


class ArchivedPartition(Wire):
    """One partition of which there are copies."""

    log: str
    seq_from: int
    seq_until: int
    """The first entry after it."""
    is_dropped: bool
    """Whether its entries are in the copies only."""
    copies: list[KeptCopy]


class RetentionReport(Wire):
    """How the retention of the whole ledger stands."""

    as_of: UtcDatetime
    places: list[str] = []
    """Where copies are kept."""
    copies_needed: int
    logs: list[LogRetention] = []
    sound_copies: int
    failing_copies: list[ArchiveCopy] = []
