"""Process probes and metrics. Public: a probe has no credential, and the answers name no person and no amount."""

import asyncio
import functools

import psycopg
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from backend import migrate
from backend.answers import envelope
from backend.audit.heads.status import head_status
from backend.context import CurrentRuntime, Runtime
from backend.guard import public
from backend.monitors import Monitor
from backend.stream import Broker
from backend.stream.service import PRUNE
from backend.tls import Certificate
from contract.errors import ErrorCode
from contract.version import __version__

router = APIRouter(tags=["ops"])
MONITORS: tuple[Monitor, ...] = (PRUNE,)

READY_LIMIT_S = 2.0
"""A database that takes longer to answer a trivial question is not ready."""
_head_revision = functools.cache(migrate.head_revision)


@router.get("/healthz", **public())
async def healthz() -> dict[str, str]:
    """The process runs and answers; says nothing about the database."""
    return {"status": "ok", "version": __version__}


@router.get(
    "/readyz", responses={503: {"description": "The error envelope: what is missing"}}, response_model=None, **public()
)
async def readyz(request: Request, runtime: CurrentRuntime) -> Response:
    """The database answers, is no standby, holds this version's schema, and its events are heard."""
    broker: Broker = request.app.state.broker
    reason = await _schema_problem(runtime)
    if reason is None and not broker.listening:
        reason = "The event stream is not connected."
    if reason is not None:
        return envelope(request, ErrorCode.UNAVAILABLE, reason, hint=_waiting_freezes(runtime))
    ledger = await _ledger_state(runtime)
    return JSONResponse(
        {
            "status": "ready",
            "version": __version__,
            "ledger": ledger,
            "audit": _audit_state(runtime),
            "freezes": _freeze_state(runtime),
            "tls": _tls_state(request, runtime),
        }
    )


def _tls_state(request: Request, runtime: Runtime) -> dict[str, str | None] | None:
    """Until when the certificate is good, and whether somebody should see to it; None where the port speaks no TLS."""
    certificate: Certificate | None = request.app.state.certificate
    if certificate is None:
        return None
    warning = certificate.warning(runtime.clock.now(), runtime.policy.line.certificate_warning_days)
    return {"certificate_until": certificate.until.isoformat(), "warning": warning}


def _freeze_state(runtime: Runtime) -> dict[str, int | str | None]:
    """Freezes that the database has not taken yet, and whether the next one would be kept."""
    latched = runtime.latched
    return {
        "latched": len(latched.latched_holds()),
        "unread": latched.unread,
        "journal_problem": latched.journal_problem,
        "refused_lines": latched.refused_lines,
        "journals_elsewhere": latched.journals_elsewhere,
    }


def _waiting_freezes(runtime: Runtime) -> str | None:
    latched = runtime.latched
    if latched.unread is not None:
        return f"No permit is given: {latched.unread}."
    return latched.sentence()


def _audit_state(runtime: Runtime) -> dict[str, float | str | None]:
    """How the write path does: entries that wait, and whether the local file would hold the next."""
    state = runtime.write_path
    return {
        "outbox_rows": state.waiting,
        "outbox_age_seconds": round(state.oldest_s, 3),
        "quarantined": state.quarantined,
        "spool_lines": state.spool.waiting,
        "spool_problem": state.spool.problem,
    }


async def _ledger_state(runtime: Runtime) -> str:
    """One sentence about the heads of the ledger: what is wrong with them keeps nobody from being served."""
    try:
        async with asyncio.timeout(READY_LIMIT_S), runtime.database.read() as session:
            return (await head_status(session, runtime)).sentence()
    except (SQLAlchemyError, psycopg.Error, OSError, TimeoutError):
        return "The database did not say how the ledger's heads stand."


async def _schema_problem(runtime: Runtime) -> str | None:
    try:
        async with asyncio.timeout(READY_LIMIT_S), runtime.database.read() as session:
            asked = text("SELECT version_num, pg_is_in_recovery() FROM alembic_version")
            revision, in_recovery = (await session.execute(asked)).one_or_none() or (None, False)
    except (SQLAlchemyError, psycopg.Error, OSError, TimeoutError):
        return "The database is not answering, or was never migrated."
    if revision != _head_revision():
        return f"The database is at schema {revision}; this version needs {_head_revision()}."
    if in_recovery:
        return "The database is a standby, which may lag behind: no permit is given from it until it is promoted."
    return None


@router.get("/metrics", response_class=PlainTextResponse, **public())
async def metrics(runtime: CurrentRuntime) -> Response:
    """What this process counts, as OpenMetrics 1.0."""
    pool = runtime.database.engine.pool
    if isinstance(pool, QueuePool):
        runtime.metrics.database_connections.labels("in_use").set(pool.checkedout())
        runtime.metrics.database_connections.labels("idle").set(pool.checkedin())
    written: bytes = generate_latest(runtime.metrics.registry)  # type: ignore[no-untyped-call]
    return Response(written, media_type=CONTENT_TYPE_LATEST)
