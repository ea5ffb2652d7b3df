"""The policy's recovery drills: plans and their steps, preconditions, and what is looked at of the backups."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from backend.policy.base import Count, Flag, PolicyTable, PositiveCount, Text, Texts, unique
from contract.recovery import ClusterAction
from contract.states import Severity

StepName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
Words = Annotated[tuple[Text, ...], AfterValidator(unique)]
Argv = Annotated[tuple[str, ...], Field(min_length=1)]
PreconditionName = Literal[
    "cluster_reachable", "standby_healthy", "standby_lag", "synchronous_mode", "backup", "no_critical_incident",
    "freezes", "ledger", "disk",
]  # fmt: skip


class Step(PolicyTable):
    """What every step of a plan states."""

    name: StepName
    title: Text
    passes_when: Text
    """What counts as passed, as people read it."""
    timeout_seconds: Annotated[PositiveCount, Field(le=86_400)]
    roles: Words = ()
    """Roles that may run it; none: everybody who may run drills."""
    destructive: Flag = False
    """Somebody types the cluster's name first."""
    begins_outage: Flag = False
    """The recovery time is counted from its beginning."""
    ends_outage: Flag = False
    """The recovery time ends no earlier than when it has passed."""


class ManualStep(Step):
    """A person does it and writes down what they found."""

    kind: Literal["manual"]
    instructions: Text
    rollback: str = ""
    """What a person does to undo it; empty: nothing has to be."""


class CommandStep(Step):
    """A program of this machine, without a shell."""

    kind: Literal["command"]
    argv: Argv
    undo_argv: tuple[str, ...] = ()
    exit_code: Count = 0
    output_contains: str = ""


class HttpStep(Step):
    """An address that has to answer."""

    kind: Literal["http"]
    url: Annotated[Text, Field(pattern="^https?://")]
    status: Annotated[int, Field(strict=True, ge=100, le=599)] = 200
    body_contains: str = ""
    ca_file: str = ""


class SqlStep(Step):
    """A question to the database whose first value has to be as stated; it can change nothing."""

    kind: Literal["sql"]
    statement: Text
    equals: str | None = None
    at_least: int | None = None

    @model_validator(mode="after")
    def _one_expectation(self) -> Self:
        if (self.equals is None) == (self.at_least is None):
            raise ValueError("needs either equals or at_least")
        return self


class ClusterStep(Step):
    """Something the cluster does."""

    kind: Literal["cluster"]
    action: ClusterAction


class LedgerStep(Step):
    """The audit ledger is verified, and nothing that was signed or witnessed is missing."""

    kind: Literal["ledger"]
    full: Flag = False
    """From the first entry on; else from the last good verification."""


class CanaryStep(Step):
    """Canary transactions go through the same door as all others and are read back; executors hold permits again."""

    kind: Literal["canary"]
    transactions: Annotated[PositiveCount, Field(le=1000)]
    executors_percent: Annotated[PositiveCount, Field(le=100)] = 100
    """How many of the executors that had a permit before have to hold one again."""


class FreezeDrillStep(Step):
    """A freeze drill, as the console starts one."""

    kind: Literal["freeze_drill"]
    scopes: tuple[Text, ...] = ()
    """None: the policy's canaries."""


class BackupStep(Step):
    """A backup is restored into a scratch server and compared."""

    kind: Literal["backup"]
    data: Text
    """The row of the backup matrix."""


AnyStep = Annotated[
    ManualStep
    | CommandStep
    | HttpStep
    | SqlStep
    | ClusterStep
    | LedgerStep
    | CanaryStep
    | FreezeDrillStep
    | BackupStep,
    Field(discriminator="kind"),
]


class Plan(PolicyTable):
    """A recovery drill's plan."""

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,39}$")]
    title: Text
    protects: Text
    """A class of `continuity.rto_minutes`."""
    data: Texts
    """Kinds of data of `continuity.rpo_minutes`; the strictest counts."""
    practice: Flag = False
    """It does not count as the test of the audit schedule: a switchover in order proves no recovery."""
    preconditions: Annotated[tuple[PreconditionName, ...], Field(min_length=1), AfterValidator(unique)]
    steps: Annotated[tuple[AnyStep, ...], Field(min_length=1, max_length=50)]

    @property
    def measures(self) -> bool:
        """Whether a drill of it has an outage with a beginning and an end, and so a recovery time."""
        return any(step.begins_outage for step in self.steps) and any(step.ends_outage for step in self.steps)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        unique(tuple(step.name for step in self.steps))
        begins = [at for at, step in enumerate(self.steps) if step.begins_outage]
        ends = [at for at, step in enumerate(self.steps) if step.ends_outage]
        if len(begins) > 1:
            raise ValueError("more than one step begins the outage")
        if ends and (not begins or ends[0] <= begins[0]):
            raise ValueError("a step ends the outage before any step begins it")
        return self


class BackupSource(PolicyTable):
    """Where the backups of one row of the matrix are, and how they are looked at."""

    data: Text
    """The row of the backup matrix."""
    kind: Literal["pg_dump", "pg_basebackup", "pgbackrest", "wal-g"]
    location: Text
    """A directory, or a file that holds what `pgbackrest info --output=json` or `wal-g backup-list --json --detail`
    printed."""
    max_age_hours: PositiveCount
    """An older newest one is stale."""
    stanza: str = ""


class RecoveryRules(PolicyTable):
    """Recovery drills: how they are run and what they are measured by."""

    scheduled_as: Text
    """The entry of the audit schedule that says how often."""
    overdue_severity: Severity
    """Of the alert while the test is overdue."""
    marker_every_ms: Annotated[PositiveCount, Field(ge=20, le=10_000)]
    max_lag_bytes: PositiveCount
    """A standby further behind is not healthy."""
    max_backup_age_hours: PositiveCount
    free_disk_mb: PositiveCount
    """What the backend's data directory has to have left."""
    heard_within_seconds: PositiveCount
    """A drill whose backend has not been heard of for longer is said to be without one."""
    ask_within_seconds: PositiveCount
    """A step that somebody let run at another backend is not taken later than this: the hour may be another one."""
    look_again_seconds: PositiveCount
    """Before a destructive step preconditions are looked at again if the last look is older."""
    keep_output_kb: PositiveCount
    """How much of a step's output is kept."""
    incident_type: Text
    """The incident that a drill is; it pages nobody."""
    incident_severity: Severity
    plans: Annotated[tuple[Plan, ...], Field(min_length=1)]
    backups: tuple[BackupSource, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        unique(tuple(plan.name for plan in self.plans))
        unique(tuple(source.data for source in self.backups))
        return self
