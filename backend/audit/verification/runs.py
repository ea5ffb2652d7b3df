"""Verifications as they are asked for, run and kept. One at a time, by a duty with one leader; the reading itself is a
process of its own. A run that its backend left behind is taken up where it was saved.
"""

import asyncio
from typing import Any, Final, cast
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import delete, func, literal, select
from sqlalchemy.dialects.postgresql import array, insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.events import AuditEvent
from backend.audit.heads.configured import signer_of, witnesses_of
from backend.audit.heads.holding import gather, known_of
from backend.audit.heads.parties import PartyError
from backend.audit.introducing import surrogate_of
from backend.audit.meta import META_LOG
from backend.audit.service import AuditDraft, record
from backend.audit.tables import Subject
from backend.audit.verification.generations import HeldHead
from backend.audit.verification.process import WorkerFailedError, work
from backend.audit.verification.records import run_digest
from backend.audit.verification.worker import TRUSTED, job_state
from backend.audit.verification_tables import VerificationJob, VerificationRun, VerificationState
from backend.context import Caller, Runtime, system_caller
from backend.errors import ConfigurationError
from backend.lookup import row_named
from backend.monitors import Duty, Lead
from contract.verification import State, Verification, VerificationRequest
from contract.version import __version__

log = structlog.get_logger(__name__)

POLL_S: Final = 0.5
"""How soon a verification that was asked for begins."""
_OPEN: Final = ("waiting", "running")
_MAX_ERROR_CHARS: Final = 500
_RESOURCE: Final = "audit_verification"


async def request(
    session: AsyncSession, runtime: Runtime, caller: Caller, wanted: VerificationRequest
) -> VerificationJob:
    """Ask for a verification; one that is under way is joined instead."""
    running = await session.scalar(
        select(VerificationJob).where(VerificationJob.state.in_(_OPEN)).order_by(VerificationJob.started).limit(1)
    )
    if running is not None:
        return running
    who = await surrogate_of(session, runtime, caller.subject) if caller.kind == "user" else caller.subject
    now = runtime.clock.now()
    job = VerificationJob(
        id=runtime.clock.new_id(),
        state="waiting",
        full=wanted.full,
        logs=wanted.logs,
        requested_by=who,
        started=now,
        seen_at=now,
        entries_done=0,
        entries_total=0,
    )
    session.add(job)
    facts = {"full": wanted.full, "logs": wanted.logs}
    draft = AuditDraft(AuditEvent.VERIFICATION_REQUESTED, "verify the ledger", _RESOURCE, str(job.id), new_value=facts)
    await record(session, runtime, caller, draft)
    return job


async def find(session: AsyncSession, ident: str) -> VerificationJob:
    """One verification that was asked for.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    return await row_named(session, VerificationJob, "verification", ident)


async def latest(session: AsyncSession, limit: int) -> list[VerificationJob]:
    """The newest verifications first."""
    return list(await session.scalars(select(VerificationJob).order_by(VerificationJob.started.desc()).limit(limit)))


async def unanswered_failure(session: AsyncSession) -> VerificationRun | None:
    """The last verification that failed, unless a later one passed over every log that it read."""
    failed = await session.scalar(
        select(VerificationRun).where(~VerificationRun.passed).order_by(VerificationRun.verified_at.desc()).limit(1)
    )
    if failed is None:
        return None
    later = select(VerificationRun.id).where(
        VerificationRun.passed,
        VerificationRun.verified_at > failed.verified_at,
        VerificationRun.to_heads.has_all(array(list(failed.to_heads))),
    )
    return None if await session.scalar(later.limit(1)) else failed


async def shown(session: AsyncSession, *jobs: VerificationJob) -> list[Verification]:
    """Verifications for the wire, with the names of those who asked for them."""
    people = {job.requested_by for job in jobs}
    rows = await session.execute(select(Subject.pid, Subject.name).where(Subject.pid.in_(people)))
    names = {pid: name for pid, name in rows if name is not None}
    return [_shown(job, names.get(job.requested_by, job.requested_by)) for job in jobs]


def _shown(job: VerificationJob, requested_by: str) -> Verification:
    return Verification(
        id=str(job.id),
        requested_by=requested_by,
        state=cast("State", job.state),
        full=job.full,
        logs=job.logs,
        started=job.started,
        seen_at=job.seen_at,
        entries_done=job.entries_done,
        entries_total=job.entries_total,
        error=job.error,
        **(job.report or {}),
    )


async def _run(runtime: Runtime, lead: Lead) -> None:
    while True:
        async with runtime.database.read() as session:
            job = await session.scalar(
                select(VerificationJob)
                .where(VerificationJob.state.in_(_OPEN))
                .order_by(VerificationJob.started)
                .limit(1)
            )
        if job is None:
            await asyncio.sleep(POLL_S)
        else:
            await carry_out(runtime, lead, job.id)


async def carry_out(runtime: Runtime, lead: Lead, ident: UUID) -> None:
    """Run one verification that was asked for, or go on with it, and keep its result."""
    async with runtime.database.transaction() as session:
        await _require(session, lead)
        job = await session.get_one(VerificationJob, ident)
        job.state, job.seen_at = "running", runtime.clock.now()
    try:
        result = await work(runtime.keyring.master, await _order(runtime, job))
    except WorkerFailedError as error:
        log.warning("verification_broke_off", job=str(ident), error=str(error))
        async with runtime.database.transaction() as session:
            await _require(session, lead)
            job = await session.get_one(VerificationJob, ident)
            job.state, job.error, job.seen_at = "broken", str(error)[:_MAX_ERROR_CHARS], runtime.clock.now()
            await _clear(session)
        return
    async with runtime.database.transaction() as session:
        await _require(session, lead)
        await _keep(session, runtime, ident, result)


async def _require(session: AsyncSession, lead: Lead) -> None:
    raw = await (await session.connection()).get_raw_connection()
    connection: psycopg.AsyncConnection[Any] = cast("psycopg.AsyncConnection[Any]", raw.driver_connection)
    await lead.require(connection)


async def _order(runtime: Runtime, job: VerificationJob) -> dict[str, Any]:
    return {
        "url": runtime.settings.database_url.replace("postgresql+psycopg://", "postgresql://", 1),
        "job": str(job.id),
        "full": job.full,
        "logs": job.logs,
        "witnesses": witness_keys(runtime.settings.witnesses),
        "genesis": await _first_key(runtime),
        "held": [one.to_tree() for one in await _held(runtime)],
        "verification_key": runtime.keyring.verification.hex(),
        "blinding_key": runtime.keyring.blinding.hex(),
        "outbox_key": runtime.keyring.outbox.hex(),
    }


async def _first_key(runtime: Runtime) -> str | None:
    """The ledger's first signing key, from the signer itself; None when it cannot be asked or has none."""
    try:
        signer = signer_of(runtime.settings)
        try:
            return (await signer.keys(0)).genesis or None
        finally:
            await signer.close()
    except (PartyError, ConfigurationError):
        return None


async def _held(runtime: Runtime) -> list[HeldHead]:
    """What the signer and the witnesses hold, in every generation; of those that can be asked."""
    async with runtime.database.read() as session:
        known = await known_of(session, runtime)
    if known is None:
        return []
    try:
        signer, witnesses = signer_of(runtime.settings), witnesses_of(runtime.settings)
    except ConfigurationError:
        return []
    try:
        found = await gather(known, signer, witnesses)
    finally:
        for party in (signer, *witnesses):
            await party.close()
    return [HeldHead(one.source, str(one.origin), one.head.size, one.head.root) for one in found.evidence]


def witness_keys(setting: str) -> list[str]:
    """Keys of the witnesses that have one: the word after an address."""
    words = iter(setting.split())
    return [next(words, "") for word in words if word.startswith(("http:", "https:"))]


async def _keep(session: AsyncSession, runtime: Runtime, ident: UUID, result: dict[str, Any]) -> None:
    """Keep a finished run, say so in the `meta` log, and trust what it found in order."""
    now = runtime.clock.now()
    job = await session.get_one(VerificationJob, ident)
    job.state, job.seen_at = "done", now
    job.report = {**result, "verified_at": now.isoformat()}
    run = {
        "id": ident,
        "started": job.started,
        "verified_at": now,
        "verified_by": job.requested_by,
        "tool_version": __version__,
        "full": job.full,
        "passed": result["passed"],
        "entries": result["entries"],
        "verdicts": result["verdicts"],
        "from_heads": result["from_heads"],
        "to_heads": {name: head for name, head in result["to_heads"].items() if job.logs is None or name in job.logs},
    }
    session.add(VerificationRun(**run))
    facts = {
        "digest": run_digest(run),
        "full": job.full,
        "passed": result["passed"],
        "entries": result["entries"],
        "outcomes": {name: one["outcome"] for name, one in result["verdicts"].items()},
        "heads": run["to_heads"],
    }
    draft = AuditDraft(
        AuditEvent.VERIFICATION_RUN, "verify the ledger", _RESOURCE, str(ident), new_value=facts, log=META_LOG
    )
    await record(session, runtime, system_caller("verifier"), draft)
    if result["passed"] and job.logs is None:
        await _trust(session, str(ident))
    await _clear(session)


async def _trust(session: AsyncSession, job: str) -> None:
    """Have the next run take up where this one ended."""
    kept = select(literal(TRUSTED), VerificationState.packed, VerificationState.saved_at).where(
        VerificationState.name == job_state(job)
    )
    made = insert(VerificationState).from_select(["name", "packed", "saved_at"], kept)
    changed = {"packed": made.excluded.packed, "saved_at": made.excluded.saved_at}
    await session.execute(made.on_conflict_do_update(index_elements=["name"], set_=changed))


async def _clear(session: AsyncSession) -> None:
    """Forget how far runs came that nobody goes on with."""
    await session.flush()
    going_on = select(func.concat(job_state(""), VerificationJob.id)).where(VerificationJob.state.in_(_OPEN))
    left = VerificationState.name.startswith(job_state("")) & VerificationState.name.not_in(going_on)
    await session.execute(delete(VerificationState).where(left))


VERIFIER = Duty("verifier", _run)
