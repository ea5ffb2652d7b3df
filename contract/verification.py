"""Wire types of verification, proofs and periods of the ledger."""

from typing import Any, Literal

from contract.base import UtcDatetime, Wire, WireRequest

Verdict = Literal["linkage", "content", "projection", "erasure", "external", "completeness"]
"""What is judged, each for itself."""
State = Literal["waiting", "running", "done", "broken"]
"""Where a verification stands; `broken` is one that could not be carried out."""


class VerificationRequest(WireRequest):
    """What to verify."""

    full: bool = False
    """From the first entry on; else from where the last good verification ended."""
    logs: list[str] | None = None
    """Only these logs; completeness is then not judged."""


class Finding(Wire):
    """One thing that is wrong."""

    log: str
    seq: int | None = None
    what: str
    detail: str = ""


class VerdictReport(Wire):
    """How one verdict came out."""

    outcome: Literal["ok", "failed", "not_checked"]
    checked: int
    findings: int
    first: list[Finding] = []
    reason: str = ""
    """Why it was not checked."""
    noted: int = 0
    notes: list[Finding] = []
    """What is not wrong and should be known, e.g. processes that did not end in order; the first of so many."""


class Verification(Wire):
    """A verification: how far it is, and once it is done, its verdicts."""

    id: str
    state: State
    full: bool
    logs: list[str] | None = None
    requested_by: str = ""
    """Who asked for it."""
    started: UtcDatetime
    seen_at: UtcDatetime
    entries_done: int
    entries_total: int
    error: str | None = None
    passed: bool | None = None
    """Whether no verdict is against the ledger; None until it is done."""
    verdicts: dict[Verdict, VerdictReport] = {}
    verified_at: UtcDatetime | None = None
    entries: int = 0
    from_heads: dict[str, int] = {}
    to_heads: dict[str, Any] = {}


class LedgerPeriod(Wire):
    """The integrity record of one period of one log."""

    log: str
    n: int
    period_start: UtcDatetime
    period_end: UtcDatetime
    seq_start: int
    seq_end: int
    record_count: int
    hash_chain: str
    """Root of the log's tree at its end, in hex."""
    prev_period_hash: str | None = None
    sealed_at: UtcDatetime
    verified_at: UtcDatetime | None = None
    verified_by: str | None = None


class EntryProof(Wire):
    """Everything that shows, without us, that an entry is in the ledger."""

    format: str
    origin: str
    log: str
    seq: int
    size: int
    """Size of the tree the proof leads to."""
    root: str
    """Its root, in hex."""
    entry: str
    """The canonical bytes of the entry, in base64."""
    path: list[str]
    """The hashes from the entry to the root, the sibling first, in base64."""
    checkpoint: str | None = None
    """The signed head with that root, or None when none is signed yet."""
    tlog_proof: str | None = None
    """The same as a C2SP tlog-proof, when there is a signed head."""
    keys: list[str] = []
    """The chain of signing keys: the first key, then certificates."""
