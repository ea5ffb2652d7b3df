"""The ledger on paper: verifications with fixed times, for the console's tests."""

from typing import Any

from contract.audit import AuditEntry
from contract.privacy import Revealed
from contract.verification import EntryProof, Finding, Verdict, VerdictReport, Verification
from tests.console import floor_models as models
from tests.console.floor_models import ago

VERDICTS: tuple[Verdict, ...] = ("linkage", "content", "projection", "erasure", "external", "completeness")
NO_WITNESS = "No witness is configured, so nobody else can say."


def report(outcome: Any = "ok", *, findings: list[Finding] | None = None, count: int | None = None) -> VerdictReport:
    """How one verdict came out."""
    found = findings or []
    return VerdictReport(
        outcome=outcome,
        checked=1_204_331,
        findings=len(found) if count is None else count,
        first=found,
        reason=NO_WITNESS if outcome == "not_checked" else "",
    )


def verification(ident: str = "run-1", *, minutes: float = 2, by: str = "officer1", **changes: Any) -> Verification:
    """A verification that found nothing, done so many minutes ago."""
    fields: dict[str, Any] = {
        "id": ident,
        "state": "done",
        "full": True,
        "requested_by": by,
        "started": ago(minutes=minutes, seconds=11),
        "seen_at": ago(minutes=minutes),
        "verified_at": ago(minutes=minutes),
        "entries_done": 1_204_331,
        "entries_total": 1_204_331,
        "entries": 1_204_331,
        "passed": True,
        "verdicts": {name: report() for name in VERDICTS},
    }
    return Verification(**{**fields, **changes})


def running(done: int = 403_000, *, seconds: float = 0, **changes: Any) -> Verification:
    """A verification that reads."""
    return verification(
        "run-2",
        state="running",
        started=ago(seconds=42),
        seen_at=ago(seconds=seconds),
        entries_done=done,
        entries_total=1_204_331,
        entries=0,
        passed=None,
        verified_at=None,
        verdicts={},
        **changes,
    )


def failed(**changes: Any) -> Verification:
    """A verification that speaks against the ledger."""
    found = [
        Finding(log="7y", seq=812_004, what="hash_differs", detail="the bytes are not those the tree was built from"),
        Finding(log="7y", seq=812_005, what="hash_differs", detail="the bytes are not those the tree was built from"),
    ]
    verdicts = {name: report() for name in VERDICTS}
    verdicts["content"] = report("failed", findings=found, count=3)
    verdicts["projection"] = report("failed", findings=[Finding(log="7y", seq=812_004, what="column_differs")])
    verdicts["external"] = report("not_checked")
    return verification("run-3", passed=False, verdicts=verdicts, **changes)


def history() -> list[Verification]:
    """A good one, and some before it."""
    return [
        verification(),
        verification("run-0", minutes=26 * 60, by="ana", full=False, entries=812, entries_done=812, entries_total=812),
        verification("run-b", minutes=50 * 60, state="broken", error="the database went away", verdicts={}, entries=0),
    ]


def sealed_entry(ident: str = "e-s") -> AuditEntry:
    """An entry whose address and program are sealed."""
    return models.entry(ident).model_copy(
        update={
            "ip_address": "•••",
            "user_agent": "•••",
            "metadata": {"request_id": "req-77", "role": "mev_admin", "sealed": {"new_contact": "•••"}},
        }
    )


def revealed(ident: str = "e-s") -> Revealed:
    """What lies behind the seals; one value was erased."""
    values = {"ip_address": "10.4.0.7", "user_agent": None, "new_contact": "ana@floor.example"}
    return Revealed(entry=ident, values=values, recorded_as="e-900")


def proof(*, checkpoint: str | None = "signed") -> EntryProof:
    """A proof that leads to a signed head."""
    return EntryProof(
        format="watchfloor-proof/1",
        origin="floor/7y",
        log="7y",
        seq=41,
        size=1_204_800,
        root="ab12" * 16,
        entry="",
        path=["aGFzaA=="] * 21,
        checkpoint=checkpoint,
    )
