"""Recovery drills for tests of what is drawn."""

from datetime import date, timedelta
from typing import Any

from contract.recovery import (
    BackupCheck,
    BackupMatrix,
    BackupState,
    ClusterNode,
    DrillHistory,
    DrillStep,
    DryRun,
    PlannedStep,
    Precondition,
    Recovered,
    RecoveryDrill,
    RecoveryPlan,
    RecoveryPlans,
    Schedule,
    Topology,
    Trend,
)
from contract.recovery_states import DrillState, NodeRole, StepKind, StepState
from tests.console.floor_models import NOW, ago

CLUSTER = "floor-pair"
SHA = "9f3c1a77" * 8
_TITLES = (
    ("Simulate primary site failure", StepKind.CLUSTER, True),
    ("Activate secondary site", StepKind.CLUSTER, False),
    ("Verify data integrity", StepKind.LEDGER, False),
    ("Test transaction processing", StepKind.CANARY, False),
    ("Fail back to primary", StepKind.CLUSTER, True),
)
_SUMMARIES = (
    "pg-a was killed at 03:12:05.020 and answers nobody",
    "pg-b is primary; the first write was taken after 4.1 s",
    "1,204,800 entries, every verdict good, nothing signed is missing",
    "10 canary transactions are stored; 58 of 58 executors hold permits",
    "pg-a is primary again and pg-b follows it in step",
)


def topology(*, primary: str = "pg-a", down: str = "") -> Topology:
    """Two nodes."""
    nodes = []
    for name in ("pg-a", "pg-b"):
        role = NodeRole.STOPPED if name == down else NodeRole.PRIMARY if name == primary else NodeRole.STANDBY
        streaming = "streaming" if role is NodeRole.STANDBY else "stopped" if role is NodeRole.STOPPED else "running"
        nodes.append(
            ClusterNode(
                name=name, role=role, state=streaming, timeline=7, synchronous=role is NodeRole.STANDBY,
                lag_bytes=0 if role is NodeRole.STANDBY else None,
            )
        )  # fmt: skip
    return Topology(cluster=CLUSTER, provider="pair", synchronous_mode=True, nodes=nodes, as_of=NOW)


def no_cluster() -> Topology:
    """Nothing to drill."""
    problem = "WATCHFLOOR_CLUSTER is not set: patroni:URL,URL or pair:SOCKET."
    return Topology(cluster="", provider="none", as_of=NOW, problem=problem)


def step(number: int, state: StepState, **facts: Any) -> DrillStep:
    """A step of the failover plan."""
    title, kind, destructive = _TITLES[number - 1]
    told: dict[str, Any] = {}
    if state is StepState.PASSED:
        told = {
            "started_at": ago(seconds=10 - number), "ended_at": ago(seconds=9 - number), "by": "admin1",
            "duration_ms": (130, 4_120, 38_000, 2_410, 61_500)[number - 1], "summary": _SUMMARIES[number - 1],
            "evidence_sha256": SHA, "output": f"what step {number} printed",
        }  # fmt: skip
    return DrillStep(
        number=number, name=f"step_{number}", title=title, kind=kind, destructive=destructive, timeout_seconds=120,
        **{"state": state, **told, **facts},
    )  # fmt: skip


def steps(*, passed: int, then: StepState = StepState.PENDING, **facts: Any) -> list[DrillStep]:
    """So many passed, one in a state, the others to come."""
    found = [step(number, StepState.PASSED) for number in range(1, passed + 1)]
    if passed < len(_TITLES):
        found.append(step(passed + 1, then, **facts))
    rest = StepState.SKIPPED if then in {StepState.FAILED, StepState.TIMED_OUT} else StepState.PENDING
    return [*found, *(step(number, rest) for number in range(len(found) + 1, len(_TITLES) + 1))]


def measured(**facts: Any) -> Recovered:
    """Figures against the document's targets."""
    return Recovered(**{"rto_target_seconds": 900, "rpo_target_seconds": 60, **facts})


def _done() -> Recovered:
    return measured(
        outage_began_at=ago(seconds=120), first_write_at=ago(seconds=116), rto_ms=42_130, rto_met=True, rpo_ms=0,
        rpo_met=True, markers_acknowledged=812, markers_lost=0, transactions_lost=0,
    )  # fmt: skip


def drill(state: DrillState, sentence: str, **facts: Any) -> RecoveryDrill:
    """One drill."""
    return RecoveryDrill(
        **{
            "ref": "DR-TEST-20261121", "plan": "failover", "title": "Fail over to the standby and back",
            "state": state, "sentence": sentence, "cluster": CLUSTER, "provider": "pair", "hands_off": False,
            "reason": "the quarterly test", "started_by": "admin1", "started_at": ago(seconds=14),
            "backend": "backend-1", "heard_at": ago(seconds=0.4), "steps": steps(passed=0), "measured": measured(),
            "topology": topology(), "before": [_check()], "version": 20,
            "log": ["03:12:05.020 pg-a was killed", "03:12:09.140 pg-b took the first write"],
            **facts,
        }
    )  # fmt: skip


def _check(*, ok: bool = True, found: str = "0 bytes behind") -> Precondition:
    return Precondition(name="standby_lag", title="The standby is in step", ok=ok, found=found)


def running() -> RecoveryDrill:
    """The ledger is being verified; the clock runs."""
    return drill(
        DrillState.RUNNING, "Step 3 of 5, Verify data integrity, is at work.",
        steps=steps(passed=2, then=StepState.RUNNING, started_at=ago(seconds=3), progress_percent=67), step=3,
        measured=measured(outage_began_at=ago(seconds=7.1), first_write_at=ago(seconds=3)),
        topology=topology(primary="pg-b", down="pg-a"), incident="INC-2026-015",
    )  # fmt: skip


def waiting() -> RecoveryDrill:
    """For the cluster's name."""
    sentence = "Step 1 of 5, Simulate primary site failure, waits for the cluster's name."
    return drill(
        DrillState.WAITING, sentence, steps=steps(passed=0, then=StepState.WAITING, waits_for="cluster_name"), step=1
    )  # fmt: skip


def manual() -> RecoveryDrill:
    """For what a person finds."""
    facts = {"waits_for": "evidence", "instructions": "Ask each desk whether it trades."}
    found = step(1, StepState.WAITING, **facts).model_copy(update={"kind": StepKind.MANUAL, "destructive": False})
    sentence = "Step 1 of 5, Ask the desks, waits for what somebody finds."
    return drill(DrillState.WAITING, sentence, steps=[found, *steps(passed=0)[1:]], step=1)


def passed(**facts: Any) -> RecoveryDrill:
    """All is well."""
    sentence = "Every step passed: RTO 42 s of 15 min, RPO 0 ms of 1 min, nothing lost."
    return drill(
        DrillState.PASSED, sentence,
        **{
            "steps": steps(passed=5), "measured": _done(), "ended_at": NOW, "after": [_check()],
            "started_at": ago(minutes=2), **facts,
        },
    )  # fmt: skip


def signed() -> RecoveryDrill:
    """All is well, and another person says so."""
    return passed(signed_by="auditor1", signed_at=NOW, report_sha256=SHA, findings=1)


def failed() -> RecoveryDrill:
    """A promotion failed; what ran was undone."""
    summary = "pg-b did not become primary within 120 s: it waits for WAL that nobody has"
    found = steps(passed=1, then=StepState.TIMED_OUT, summary=summary, duration_ms=120_000, evidence_sha256=SHA)
    undone = {"undone_at": NOW, "undo_summary": "pg-a was started again and takes writes"}
    found[0] = found[0].model_copy(update=undone)
    sentence = f"Step 2 (Activate secondary site) took too long: {summary}; 1 step was rolled back, and the steady "
    return drill(
        DrillState.FAILED, f"{sentence}state is as before.", steps=found, ended_at=NOW, after=[_check()],
        measured=measured(outage_began_at=ago(minutes=2)),
    )  # fmt: skip


def unresolved() -> RecoveryDrill:
    """It could not be undone."""
    found = steps(passed=1, then=StepState.FAILED, summary="the promotion was refused: the disk of pg-b is full")
    left = [
        "Free space on pg-b: /var/lib/postgresql has 0 bytes left.",
        "Start pg-a again: watchfloor pair start pg-a",
    ]
    sentence = "Step 2 (Activate secondary site) failed: the disk of pg-b is full; 2 things are left to do."
    return drill(
        DrillState.UNRESOLVED, sentence, steps=found, ended_at=NOW, left_to_do=left,
        after=[_check(ok=False, found="pg-b does not answer")], topology=topology(primary="", down="pg-a"),
    )  # fmt: skip


def schedule(due_in_days: int = 12, *, passed: bool = True) -> Schedule:
    """The next date."""
    due = NOW.date() + timedelta(days=due_in_days)
    last = date(2026, 9, 3) if passed else None
    return Schedule(
        name="Disaster recovery procedures", every="quarterly", last_passed=last, due=due,
        overdue_days=max(-due_in_days, 0),
    )  # fmt: skip


def trend() -> list[Trend]:
    """Six drills."""
    rto = (61_000, 58_000, 1_020_000, None, 44_000, 42_130)
    return [
        Trend(
            ref=f"DR-TEST-2026{number + 5:02d}01", at=ago(days=30 * (6 - number)), plan="failover",
            state=DrillState.PASSED if ms is not None else DrillState.FAILED, rto_ms=ms, rto_target_seconds=900,
            rpo_ms=None if ms is None else 100 * (number % 2), rpo_target_seconds=60,
        )
        for number, ms in enumerate(rto)
    ]  # fmt: skip


def history(*drills: RecoveryDrill, due_in_days: int = 12) -> DrillHistory:
    """These drills, newest first."""
    runs = next((one.ref for one in drills if one.ended_at is None), None)
    return DrillHistory(
        items=list(drills), running=runs, trend=trend() if drills else [],
        schedule=schedule(due_in_days, passed=bool(drills)), as_of=NOW,
    )  # fmt: skip


def plan() -> RecoveryPlan:
    """The document's."""
    planned = [
        PlannedStep(
            number=number, name=f"step_{number}", title=title, kind=kind, does=f"Does what step {number} says.",
            passes_when=_SUMMARIES[number - 1], rollback="pg-a is made primary again." if danger else "",
            timeout_seconds=120, destructive=danger,
        )
        for number, (title, kind, danger) in enumerate(_TITLES, 1)
    ]  # fmt: skip
    return RecoveryPlan(
        name="failover", title="Fail over to the standby and back", protects="critical", rto_seconds=900,
        rpo_seconds=60, data=["transaction_data"], steps=planned, destructive=True,
    )  # fmt: skip


def plans() -> RecoveryPlans:
    """Two plans."""
    other = plan().model_copy(update={"name": "switchover", "title": "Have both change places"})
    return RecoveryPlans(items=[plan(), other], cluster=CLUSTER, provider="pair", as_of=NOW)


def dry_run(name: str = "failover", *, lag: bool = False) -> DryRun:
    """What it would do."""
    checks = [_check(ok=not lag, found="31.0 MB behind" if lag else "0 bytes behind")]
    return DryRun(
        plan=plan().model_copy(update={"name": name}), topology=topology(), preconditions=checks, would_start=not lag,
        blast_radius=[
            "Step 1 (Simulate primary site failure, kill primary) touches the primary pg-a of the cluster floor-pair.",
            "From there until the database takes writes again nothing is stored: executors may only cancel.",
        ],
        as_of=NOW,
    )  # fmt: skip


def backups() -> BackupMatrix:
    """Three rows in three states."""
    return BackupMatrix(
        rows=[
            BackupCheck(
                data="Transaction database", frequency="hourly", retention_days=30, storage="S3", source="pg_dump",
                recovery_method="Automated restore", state=BackupState.OK, found="812 MB, read by pg_restore",
                newest_at=ago(minutes=40), size_bytes=812_000_000, checked_at=ago(minutes=5), restored_at=ago(days=2),
                restore_ok=True, restore_ms=41_000, restore_found="all row counts and the ledger's head are equal",
            ),
            BackupCheck(
                data="Audit logs", frequency="daily", retention_days=2555, storage="S3 Glacier", source="pgbackrest",
                recovery_method="Manual restore", state=BackupState.STALE, found="the newest is 31 hours old",
                newest_at=ago(hours=31), checked_at=ago(minutes=5),
            ),
            BackupCheck(
                data="Private keys", frequency="on change", retention_days="permanent", storage="HSM",
                recovery_method="Multi-party restore", state=BackupState.NOT_CHECKED,
                found="no source is named for it: nothing here can look at it",
            ),
        ],
        as_of=NOW,
    )  # fmt: skip
