"""One function per route about recovery drills: typed arguments in, contract models out. No rule lives here."""

from typing import Final
from urllib.parse import quote

from console.client.api import Api
from contract.incidents import FollowUp
from contract.recovery import (
    AbortRequest,
    BackupCheck,
    BackupCheckRequest,
    BackupMatrix,
    DrillHistory,
    DrillReport,
    DrillRequest,
    DryRun,
    FindingRequest,
    RecoveryDrill,
    RecoveryPlans,
    SignRequest,
    StepRequest,
    Topology,
)

_ROOM: Final = "recovery"
_DRILLS: Final = f"{_ROOM}/drills"


def _of(ref: str, *rest: str) -> str:
    """The path of one drill, whatever was typed as its name."""
    return "/".join((_DRILLS, *(quote(part, safe="") for part in (ref, *rest))))


async def plans(api: Api) -> RecoveryPlans:
    """The plans of the policy, as they would be run here."""
    return await api.ask(f"{_ROOM}/plans", RecoveryPlans)


async def dry_run(api: Api, plan: str) -> DryRun:
    """What a plan would do now, without doing any of it."""
    return await api.ask(f"{_ROOM}/plans/{quote(plan, safe='')}/dry-run", DryRun)


async def cluster(api: Api) -> Topology:
    """Who is primary and who follows it."""
    return await api.ask(f"{_ROOM}/cluster", Topology)


async def start(api: Api, request: DrillRequest) -> RecoveryDrill:
    """Run a plan; the same key again is the same drill."""
    return await api.act(_DRILLS, RecoveryDrill, request)


async def history(api: Api, *, limit: int | None = None, cursor: str | None = None) -> DrillHistory:
    """Drills, newest first, with their trend and when the next is due."""
    return await api.ask(_DRILLS, DrillHistory, {"limit": limit, "cursor": cursor})


async def drill(api: Api, ref: str) -> RecoveryDrill:
    """One drill with what its steps printed."""
    return await api.ask(_of(ref), RecoveryDrill)


async def step(api: Api, ref: str, request: StepRequest) -> RecoveryDrill:
    """Let the waiting step run, or say what a manual one found."""
    return await api.act(_of(ref, "step"), RecoveryDrill, request)


async def abort(api: Api, ref: str, request: AbortRequest) -> RecoveryDrill:
    """End a drill and roll back what ran."""
    return await api.act(_of(ref, "abort"), RecoveryDrill, request)


async def report(api: Api, ref: str, form: str = "md") -> DrillReport:
    """The report as md, html or json."""
    return await api.ask(_of(ref, "report"), DrillReport, {"format": form})


async def report_pdf(api: Api, ref: str) -> bytes:
    """The report on paper."""
    return await api.fetch(_of(ref, "report.pdf"))


async def sign(api: Api, ref: str, request: SignRequest) -> RecoveryDrill:
    """Sign the report off, as another person than who ran the drill."""
    return await api.act(_of(ref, "sign"), RecoveryDrill, request)


async def finding(api: Api, ref: str, request: FindingRequest) -> FollowUp:
    """Make a finding a follow-up action."""
    return await api.act(_of(ref, "findings"), FollowUp, request)


async def backups(api: Api) -> BackupMatrix:
    """Every row of the backup matrix and how it stands."""
    return await api.ask(f"{_ROOM}/backups", BackupMatrix)


async def check_backup(api: Api, request: BackupCheckRequest) -> BackupCheck:
    """Look at one row now; a restore goes on in the background."""
    return await api.act(f"{_ROOM}/backups/check", BackupCheck, request)
