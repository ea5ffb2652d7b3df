"""Wire types of recovery drills: plans, the run of one, the cluster it is run on, what it measured, its report."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from contract.base import UtcDatetime, Wire, WireRequest, storable
from contract.reasons import MAX_REASON_CHARS, has_words
from contract.recovery_states import ENDED, ClusterAction, DrillState, NodeRole, StepKind, StepState

__all__ = ["ENDED", "ClusterAction", "DrillState", "NodeRole", "StepKind", "StepState"]
"""From `contract.recovery_states`, for whoever reads the wire types."""

MAX_EVIDENCE_CHARS = 10_000
"""What a person writes as the evidence of a manual step."""

MAX_ACTION_CHARS = 200
"""As long as any follow-up action of an incident."""

Why = Annotated[str, Field(max_length=MAX_REASON_CHARS), AfterValidator(has_words)]
Key = Annotated[str, Field(max_length=64), AfterValidator(storable)]


class ClusterNode(Wire):
    """One server of the cluster as it was last seen."""

    name: str
    role: NodeRole
    state: str = ""
    """The cluster's own word: running, streaming, start failed, …"""
    timeline: int | None = None
    lag_bytes: int | None = None
    """How far a standby is behind; None where nobody knows."""
    synchronous: bool = False
    """Commits wait for this standby."""
    address: str = ""


class Topology(Wire):
    """Who is primary and who follows it."""

    cluster: str
    """The cluster's name; typed before something destructive."""
    provider: str
    """patroni, pair, or none."""
    synchronous_mode: bool = False
    """Whether commits are meant to wait for a standby."""
    nodes: list[ClusterNode] = []
    paused: bool = False
    """Whether the cluster's own failover is switched off."""
    as_of: UtcDatetime
    problem: str = ""
    """Why nobody could be asked, or what is wrong; empty when all is well."""
    remarks: list[str] = []
    """What the cluster's own settings mean for a drill, in sentences; nothing of it is wrong."""
    leads: str = ""
    """Which node is the primary by the cluster's own record, also while it is down; empty where there is none."""
    under_way: str = ""
    """What is being done to the cluster now, and may yet change who is what; empty while nothing is."""

    @property
    def primary(self) -> ClusterNode | None:
        """The primary; None while there is none, or more than one."""
        found = [node for node in self.nodes if node.role is NodeRole.PRIMARY]
        return found[0] if len(found) == 1 else None


class PlannedStep(Wire):
    """A step as the plan has it."""

    number: int
    name: str
    title: str
    kind: StepKind
    does: str
    """One sentence: what it would do now, and on what."""
    passes_when: str
    rollback: str
    """One sentence: how it is undone; empty where nothing has to be."""
    timeout_seconds: int
    destructive: bool = False
    roles: list[str] = []
    """Who may run it; empty: everybody who may run drills."""
    problem: str = ""
    """Why it could not run here now."""


class Precondition(Wire):
    """One thing that has to be so before a drill may touch anything, and again after it."""

    name: str
    title: str
    ok: bool
    found: str
    """What is so, with figures."""
    blocking: bool = True
    """False: said and kept, but it does not keep the drill from starting."""
    refs: list[str] = []
    """What was found by name, where that is compared afterwards: the freezes in force."""


class RecoveryPlan(Wire):
    """A plan of the policy."""

    name: str
    title: str
    protects: str
    """The class of system of the policy's recovery time objectives: critical, high, medium, low."""
    rto_seconds: int
    rpo_seconds: int
    data: list[str]
    """Kinds of data whose recovery point objectives apply; the strictest counts."""
    steps: list[PlannedStep]
    destructive: bool
    practice: bool = False
    """It does not count as the test that the audit schedule wants."""
    problems: list[str] = []
    """Why it cannot be run here; empty when it can."""


class RecoveryPlans(Wire):
    """The plans of the policy."""

    items: list[RecoveryPlan]
    cluster: str
    """The name of the cluster that they would be run on."""
    provider: str
    as_of: UtcDatetime


class DryRun(Wire):
    """What a drill would do now, without doing any of it."""

    plan: RecoveryPlan
    topology: Topology
    preconditions: list[Precondition]
    would_start: bool
    blast_radius: list[str]
    """In plain sentences: what stops, who notices, what is in flight."""
    as_of: UtcDatetime


class DrillStep(Wire):
    """A step of a run."""

    number: int
    name: str
    title: str
    kind: StepKind
    state: StepState
    destructive: bool = False
    started_at: UtcDatetime | None = None
    ended_at: UtcDatetime | None = None
    duration_ms: int | None = None
    """By the backend's monotonic clock, where one process saw begin and end; else by the two instants."""
    timeout_seconds: int = 0
    progress_percent: int | None = None
    summary: str = ""
    """What came of it, in one sentence."""
    output: str = ""
    """What it printed, cut; filled on the detail route."""
    evidence_sha256: str | None = None
    """Of the whole output and what was found, as the ledger has it."""
    waits_for: str = ""
    """What a person has to do now: empty, `step`, `evidence`, `cluster_name`."""
    instructions: str = ""
    undone_at: UtcDatetime | None = None
    undo_summary: str = ""
    by: str = ""
    """Who let it run, or gave its evidence."""


class Recovered(Wire):
    """What a drill measured. Everything is None until it is known; nothing is guessed."""

    outage_began_at: UtcDatetime | None = None
    first_write_at: UtcDatetime | None = None
    """The first write that was acknowledged after the outage began."""
    ledger_checked_at: UtcDatetime | None = None
    rto_ms: int | None = None
    """From the beginning of the outage to the later of first write and ledger check."""
    rto_target_seconds: int
    rto_met: bool | None = None
    markers_acknowledged: int | None = None
    """Marker rows that the old primary had acknowledged before the outage."""
    markers_lost: int | None = None
    """Of these, how many the new primary does not have."""
    rpo_ms: int | None = None
    """From the last marker that survived to the last that was acknowledged; 0 when none was lost."""
    rpo_target_seconds: int
    rpo_met: bool | None = None
    transactions_lost: int | None = None
    """Committed transactions that only the old primary has, counted in its log; None where it could not be read."""
    transactions_unacknowledged: int | None = None
    """Of these, how many cannot have been acknowledged, because commits waited for the standby."""


class RecoveryDrill(Wire):
    """One run of a plan."""

    ref: str
    """DR-TEST-20261121, with -2 and so on where there are several on a day."""
    plan: str
    title: str
    state: DrillState
    sentence: str
    """The most important thing about it now, in plain English."""
    cluster: str
    provider: str
    hands_off: bool
    reason: str
    started_by: str
    started_at: UtcDatetime
    ended_at: UtcDatetime | None = None
    backend: str
    """The process that runs it."""
    heard_at: UtcDatetime
    """When that process last said that it is at it."""
    step: int | None = None
    """The number of the step that is at work or waits; None before the first and after the last."""
    steps: list[DrillStep]
    before: list[Precondition] = []
    after: list[Precondition] = []
    """The steady state once it was over."""
    measured: Recovered
    topology: Topology | None = None
    """As the runner last saw it."""
    left_to_do: list[str] = []
    """What a person has to do, each with the command; empty when the cluster is as before."""
    log: list[str] = []
    """The newest lines, each with its time; filled on the detail route."""
    incident: str | None = None
    signed_by: str | None = None
    signed_at: UtcDatetime | None = None
    report_sha256: str | None = None
    findings: int = 0
    """How many of its findings became follow-up actions."""
    version: int = 1


class DrillRequest(WireRequest):
    """Run a plan."""

    plan: str = Field(min_length=1, max_length=100)
    reason: Why
    hands_off: bool = False
    """One step after the other without asking; destructive ones too, since the name below was typed."""
    cluster: Annotated[str, Field(max_length=100), AfterValidator(storable)] = ""
    """The cluster's name as typed: wanted at once when hands-off and any step is destructive."""
    idempotency_key: Key = ""


class StepRequest(WireRequest):
    """Let the waiting step run, or give a manual one's evidence."""

    number: int = Field(ge=1, le=100)
    """The step that the person saw waiting; another one is a conflict."""
    cluster: Annotated[str, Field(max_length=100), AfterValidator(storable)] = ""
    """Typed before a destructive step."""
    evidence: Annotated[str, Field(max_length=MAX_EVIDENCE_CHARS), AfterValidator(storable)] = ""
    passed: bool = True
    """Of a manual step: what the person found."""


class AbortRequest(WireRequest):
    """End a drill and roll back exactly what ran, last first."""

    reason: Why


class SignRequest(WireRequest):
    """Sign a drill's report off, as another person than who ran it."""

    report_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """The report that was read."""
    statement: Why

    _statement = field_validator("statement")(storable)


class FindingRequest(WireRequest):
    """Make a finding of a drill a follow-up action."""

    action: Annotated[str, Field(max_length=MAX_ACTION_CHARS), AfterValidator(has_words)]
    owner: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(storable)]
    due: date
    idempotency_key: Key = ""


class Trend(Wire):
    """RTO and RPO of earlier drills against their targets, oldest first."""

    ref: str
    at: UtcDatetime
    plan: str
    state: DrillState
    rto_ms: int | None = None
    rto_target_seconds: int
    rpo_ms: int | None = None
    rpo_target_seconds: int


class Schedule(Wire):
    """When the next drill is due by the policy's audit schedule."""

    name: str
    every: str
    last_passed: date | None = None
    due: date | None = None
    """None while nothing says from when on it counts."""
    why: str = ""
    """Why then: a period after the last one that passed, or never drilled."""
    overdue_days: int = 0
    """0 while it is not."""
    reviewer: str = ""


class DrillHistory(Wire):
    """Drills, newest first."""

    items: list[RecoveryDrill]
    next_cursor: str | None = None
    running: str | None = None
    """The ref of the one that has not ended, on whichever page."""
    trend: list[Trend] = []
    schedule: Schedule
    as_of: UtcDatetime


class BackupState(StrEnum):
    """How a row of the backup matrix stands."""

    OK = "ok"
    STALE = "stale"
    """It exists and is older than its frequency allows."""
    MISSING = "missing"
    FAILED = "failed"
    """It is there and could not be restored, or is not what it should be."""
    NOT_CHECKED = "not_checked"
    """Nothing here can look at it: said, never counted as good."""


class BackupCheck(Wire):
    """One look at one row of the backup matrix."""

    data: str
    frequency: str
    retention_days: int | str
    storage: str
    recovery_method: str
    state: BackupState
    found: str
    """What was found, in one sentence."""
    source: str = ""
    """Where was looked: pg_dump, pg_basebackup, pgbackrest, wal-g, or empty."""
    newest_at: UtcDatetime | None = None
    size_bytes: int | None = None
    restored_at: UtcDatetime | None = None
    """When it was last restored into a scratch server and compared."""
    restore_found: str = ""
    restore_ok: bool | None = None
    restore_ms: int | None = None
    restoring: bool = False
    """It is being restored into a scratch server, by the backend that answers."""
    checked_at: UtcDatetime | None = None
    facts: dict[str, Any] = {}


class BackupCheckRequest(WireRequest):
    """Look at one row of the backup matrix now."""

    data: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(storable)]
    restore: bool = False
    """Restore it into a scratch server too, and compare."""


class BackupMatrix(Wire):
    """Every row of the policy's matrix and how it stands."""

    rows: list[BackupCheck]
    as_of: UtcDatetime


class DrillReport(Wire):
    """A drill's report in one form."""

    ref: str
    format: str
    """md, html or json; the PDF is a route of its own."""
    text: str
    sha256: str
    """Of the report's facts, the same for every form: what is signed off."""
    signed_by: str | None = None
    signed_at: UtcDatetime | None = None
    proposed_findings: list[str] = []
    """What the facts themselves ask to be looked into, each as the text of an action, and perhaps too long for one."""
