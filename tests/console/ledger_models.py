"""The ledger on paper: verifications with fixed times, for the console's tests."""

from typing import Any

from contract.audit import AuditEntry
from contract.heads import LedgerHeads, LedgerKeeper, LogHead, Readiness, WritePath
from contract.privacy import (
    Erasure,
    ErasurePreview,
    ErasureStatus,
    LegalHold,
    LegalHoldReach,
    LegalHoldState,
    Revealed,
)
from contract.retention import LogRetention, PartitionRetention, RetentionReport
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


def heads(*, silent: bool = False, fault: str | None = None) -> LedgerHeads:
    """Two logs, a signer, two witnesses of which one is needed."""
    problem = "No answer within 10 s." if silent else None
    witnesses = [
        LedgerKeeper(name="file:witness", since=ago(hours=3)),
        LedgerKeeper(name="https://witness.auditor.example", problem=problem, since=ago(minutes=12)),
    ]
    working = 1 if silent else 2
    logs = [
        LogHead(
            log="7y", origin="floor/7y", size=1_204_812, signed=1_204_800, witnessed=1_204_800, signed_at=ago(seconds=4)
        ),
        LogHead(log="meta", origin="floor/meta", size=412, signed=412, witnessed=412, signed_at=ago(minutes=9)),
        LogHead(log="90d", origin="floor/90d", size=0, signed=0, witnessed=0),
    ]
    return LedgerHeads(
        summary=f"The ledger's heads are signed and held by {working} of 2 witnesses.",
        fault=fault,
        signer=LedgerKeeper(name="signer", since=ago(hours=3)),
        witnesses=witnesses,
        witnesses_required=1,
        logs=logs,
    )


def readiness(*, rows: int = 3, age: float = 0.1, quarantined: int = 0) -> Readiness:
    """A write path that flows."""
    audit = WritePath(outbox_rows=rows, outbox_age_seconds=age, quarantined=quarantined)
    return Readiness(version="0.1.0", audit=audit)


def retention() -> RetentionReport:
    """One log with something due that a legal hold keeps."""
    due = PartitionRetention(seq_from=0, seq_until=262_144, due_at=ago(days=2), held_back_by=["a legal hold on 90d"])
    return RetentionReport(
        as_of=models.NOW,
        places=["file:archive"],
        copies_needed=1,
        logs=[
            LogRetention(
                log="7y",
                keep_days=2_555,
                entries=1_204_812,
                dropped=0,
                oldest=ago(days=31),
                full_partitions=4,
                due_partitions=0,
            ),
            LogRetention(
                log="90d",
                keep_days=90,
                entries=9_000,
                dropped=0,
                oldest=ago(days=92),
                full_partitions=1,
                due_partitions=1,
                next=due,
            ),
            LogRetention(
                log="meta",
                keep_days=None,
                entries=412,
                dropped=0,
                oldest=ago(days=31),
                full_partitions=0,
                due_partitions=0,
            ),
        ],
        sound_copies=5,
    )


def erasure(ident: str = "erasure-1", *, subject: str = "jane.doe", **changes: Any) -> Erasure:
    """A request that waits for a second person."""
    fields: dict[str, Any] = {
        "id": ident,
        "subject": subject,
        "surrogate": "person:pabcdefgh234567ij",
        "reason": "left the company and asked for it in writing",
        "status": ErasureStatus.REQUESTED,
        "requested_by": "ana",
        "requested_at": ago(hours=2),
    }
    return Erasure(**{**fields, **changes})


def erasures() -> list[Erasure]:
    """One that waits, and one that was done."""
    done = erasure(
        "erasure-0",
        subject="person:pzyxwvuts765432zy",
        status=ErasureStatus.ERASED,
        decided_by="officer1",
        decided_at=ago(days=9),
        values_erased=1_204,
        requested_at=ago(days=10),
    )
    return [done, erasure()]


def preview(subject: str = "jane.doe", *, legal_holds: int = 0) -> ErasurePreview:
    """What an erasure would destroy: more values than anybody counts."""
    return ErasurePreview(
        subject=subject,
        surrogate="person:pabcdefgh234567ij",
        entries=230,
        sealed_values=10_000,
        count_cap=10_000,
        legal_holds=legal_holds,
    )


def legal_hold(ident: str = "hold-1", **changes: Any) -> LegalHold:
    """A legal hold on a person."""
    fields: dict[str, Any] = {
        "id": ident,
        "state": LegalHoldState.IN_FORCE,
        "subject": "jane.doe",
        "reason": "regulator's inquiry into the losses of February; counsel asked for everything of hers",
        "placed_by": "ana",
        "placed_at": ago(days=3),
    }
    return LegalHold(**{**fields, **changes})


def legal_holds() -> list[LegalHold]:
    """One in force, one that somebody wants lifted, one that was lifted."""
    asked = legal_hold(
        "hold-2",
        state=LegalHoldState.LIFT_REQUESTED,
        subject=None,
        log="90d",
        since=ago(days=40),
        until=ago(days=33),
        reason="dispute with a venue",
        lift_reason="the venue has withdrawn",
        lift_requested_by="ana",
        lift_requested_at=ago(hours=5),
    )
    lifted = legal_hold(
        "hold-0",
        state=LegalHoldState.LIFTED,
        subject=None,
        log="1y",
        reason="an audit",
        placed_at=ago(days=200),
        lift_reason="the audit is over",
        lift_requested_by="ana",
        lift_requested_at=ago(days=100),
        lifted_by="officer2",
        lifted_at=ago(days=99),
    )
    return [legal_hold(), asked, lifted]


def reach(hold: LegalHold) -> LegalHoldReach:
    """How much a legal hold keeps."""
    return LegalHoldReach(entries=9_000, sealed_values=812 if hold.subject else None, count_cap=10_000)
