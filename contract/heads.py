"""Wire types of the ledger's keys and signed heads."""

from contract.base import UtcDatetime, Wire


class LedgerKeys(Wire):
    """What an outsider needs to verify heads: the first key to trust, and the certificates to every later one."""

    ledger: str
    genesis: str
    """Verifier key of the first epoch: the trust anchor, to be taken from a person."""
    certificates: list[str]
    """One signed note for each later epoch, oldest first."""
    current: str
    """Verifier key of the newest epoch, as the certificates lead to it."""


class LedgerKeeper(Wire):
    """The signer or a witness, and what keeps it from its work."""

    name: str
    problem: str | None = None
    since: UtcDatetime | None = None


class LogHead(Wire):
    """How far one log is signed and witnessed."""

    log: str
    origin: str
    size: int
    """Entries in the database."""
    signed: int
    """Entries under the newest signed head."""
    witnessed: int
    """Entries under the newest head that enough witnesses hold."""
    signed_at: UtcDatetime | None = None
    """When the newest head was signed."""
    unwitnessed_since: UtcDatetime | None = None
    """When the oldest head was signed that too few witnesses hold; None when there is none."""
    checkpoint: str | None = None
    """The newest signed head with its cosignatures, as a signed note."""


class LedgerHeads(Wire):
    """How signing and witnessing stand."""

    summary: str
    fault: str | None = None
    """What is wrong with the ledger itself; nothing is appended while it stands."""
    signer: LedgerKeeper
    witnesses: list[LedgerKeeper]
    witnesses_required: int
    logs: list[LogHead]


class WritePath(Wire):
    """How entries get into the ledger, as the backend that answers sees it."""

    outbox_rows: int
    """Entries that are committed and not in the ledger yet."""
    outbox_age_seconds: float
    """Age of the oldest of them."""
    quarantined: int
    """Rows that could not be entries and were set aside."""
    spool_lines: int = 0
    """Entries that wait in the backend's spool for a database."""
    spool_problem: str | None = None


class Readiness(Wire):
    """What `/readyz` answers when it can serve."""

    version: str
    audit: WritePath
