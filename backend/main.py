"""Puts one backend process together: areas' routes, the edge, the stream and the monitors. Owns no rule."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from fastapi import APIRouter, FastAPI
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeoutError

from backend import (
    alert_acts,
    archivewatch,
    around,
    auditwatch,
    backupwatch,
    executorwatch,
    feedwatch,
    headwatch,
    http,
    limits_store,
    ops,
    settling,
    unusualwatch,
)
from backend.alerts import clocks as alert_clocks
from backend.alerts import routes as alerts_routes
from backend.alerts import silence_routes
from backend.alerts.alertmanager import asking as alertmanagers
from backend.alerts.alertmanager import routes as alertmanager_routes
from backend.alerts.alertmanager.admitting import Strangers
from backend.alerts.alertmanager.receiving import Deliveries
from backend.audit import exchange_routes, sequencer
from backend.audit import routes as audit_routes
from backend.audit.apart import keep_apart
from backend.audit.heads import keeping
from backend.audit.heads import routes as heads_routes
from backend.audit.heads.configured import witnesses_of
from backend.audit.identity import ledger_of
from backend.audit.retention import keeper as retention
from backend.audit.retention import routes as retention_routes
from backend.audit.verification import periods as ledger_periods
from backend.audit.verification import routes as verification_routes
from backend.audit.verification import runs as verification_runs
from backend.auth import (
    access_monitor,
    access_routes,
    oidc_routes,
    service_token_routes,
    service_token_use,
    sessions_routes,
)
from backend.auth import routes as auth_routes
from backend.auth.machines import Machines
from backend.auth.oidc_configured import provider_of
from backend.auth.presence import keeping_presence
from backend.auth.service import admit, keeping_known
from backend.auth.watching import Watch
from backend.changes import routes as changes_routes
from backend.clock import SYSTEM_CLOCK, Clock
from backend.compliance import routes as compliance_routes
from backend.context import Runtime
from backend.continuity import backup_routes
from backend.continuity import overdue as recovery_overdue
from backend.continuity import report_routes as recovery_report_routes
from backend.continuity import routes as recovery_routes
from backend.continuity.backups import Checks
from backend.continuity.equipment import parts_of
from backend.continuity.running import Drills
from backend.documents.pressing import Presses
from backend.drafts import routes as drafts_routes
from backend.executors import fencing
from backend.executors import monitor as executors_monitor
from backend.executors import routes as executors_routes
from backend.executors import socket as executors_socket
from backend.executors.desk import Desk
from backend.executors.fencing import Fences
from backend.executors.socket import Gates
from backend.freeze import routes as freeze_routes
from backend.freeze import thaw_monitor
from backend.freeze.draining import latching
from backend.freeze.rollcall import attending
from backend.guard import refuse_unguarded_routes
from backend.incidents import kept_routes as incident_kept_routes
from backend.incidents import routes as incident_routes
from backend.incidents import scribe as incident_scribe
from backend.incidents import telling as incident_telling
from backend.incidents.postmortem import routes as postmortem_routes
from backend.intake import routes as intake_routes
from backend.leader import run_monitors
from backend.limits import Limiter
from backend.limits_store import Accounts
from backend.monitors import Duty, Monitor
from backend.notifications import absent, delivering, following
from backend.notifications import routes as notifications_routes
from backend.notifications.channels import configured_channels
from backend.openapi import DescribedApi
from backend.privacy import routes as privacy_routes
from backend.privacy import service as privacy
from backend.risk import monitor as risk_monitor
from backend.risk import routes as risk_routes
from backend.runtime import build_runtime
from backend.settings import Settings
from backend.stores import open_stores
from backend.stream import Broker
from backend.stream import routes as stream_routes
from backend.transactions import routes as transactions_routes
from contract.stream import Topic
from contract.version import __version__

ROUTERS: tuple[APIRouter, ...] = (
    ops.router,
    auth_routes.router,
    oidc_routes.router,
    access_routes.router,
    sessions_routes.router,
    service_token_routes.router,
    compliance_routes.router,
    risk_routes.router,
    alertmanager_routes.router,  # before the routes of one alert, whose id would match these names
    alerts_routes.router,
    silence_routes.router,
    around.router,
    alert_acts.router,
    postmortem_routes.router,  # before the routes of one incident, whose id would match "reports"
    incident_routes.router,
    incident_kept_routes.router,
    freeze_routes.router,
    recovery_routes.router,
    recovery_report_routes.router,
    backup_routes.router,
    executors_routes.router,
    fencing.router,
    executors_socket.router,
    transactions_routes.router,
    intake_routes.router,
    exchange_routes.router,  # before the routes of one entry, whose id would match these names
    audit_routes.router,
    heads_routes.router,
    verification_routes.router,
    retention_routes.router,
    changes_routes.router,
    drafts_routes.router,
    notifications_routes.router,
    privacy_routes.router,
    stream_routes.router,
)
MONITORS: tuple[Monitor, ...] = (
    risk_monitor.MONITOR,
    executors_monitor.MONITOR,
    thaw_monitor.MONITOR,
    alert_clocks.MONITOR,
    incident_scribe.MONITOR,
    access_monitor.MONITOR,
    service_token_use.MONITOR,
    headwatch.MONITOR,
    feedwatch.MONITOR,
    executorwatch.MONITOR,
    unusualwatch.MONITOR,
    recovery_overdue.MONITOR,
    archivewatch.MONITOR,
    backupwatch.MONITOR,
    ledger_periods.PERIODS,
    following.MONITOR,
    incident_telling.REPORTS,
    limits_store.PRUNE,
    *ops.MONITORS,
)

DUTIES: tuple[Duty, ...] = (
    sequencer.SEQUENCER,
    keeping.HEADS,
    verification_runs.VERIFIER,
    retention.RETENTION,
    delivering.DELIVERING,
    alertmanagers.ALERTMANAGERS,
)


HANDSHAKES = 4
"""Connections that are looked at closer at a time; leaves the database's connections to everybody else."""


async def _check_ledger(runtime: Runtime) -> None:
    """Refuse to start on a ledger begun under another master key; a database that is away is asked by the sequencer."""
    with suppress(OperationalError, SQLAlchemyTimeoutError, ProgrammingError):
        async with runtime.database.transaction() as session:
            runtime.write_path.ledger = (await ledger_of(session, runtime)).name


@asynccontextmanager
async def _recovering(app: FastAPI) -> AsyncIterator[None]:
    """Conduct drills, and restore backups for comparison, while the context is open."""
    async with app.state.recovery.running(), app.state.backups.running():
        yield


def _equip(app: FastAPI, runtime: Runtime) -> None:
    """Give the application what its routes ask for and nothing has to start."""
    app.state.admit, app.state.certificate = admit, None
    app.state.sso = provider_of(runtime)
    app.state.machines = Machines(runtime)
    app.state.deliveries = Deliveries(runtime)
    app.state.strangers = Strangers()
    app.state.presses = Presses()
    app.state.recovery = Drills(parts_of(runtime))
    app.state.backups = Checks(runtime)
    app.state.handshakes = asyncio.Semaphore(HANDSHAKES)


def create_app(settings: Settings, *, clock: Clock = SYSTEM_CLOCK, monitors: bool = True) -> FastAPI:
    """Build the application; nothing connects to the database before the lifespan starts.

    Raises:
        ConfigurationError: the policy file or a witness is wrong.
        RuntimeError: a route does not state its permission.
    """
    runtime = build_runtime(settings, clock)
    witnesses_of(settings)  # a witness that is written wrongly is told now, not when the first head is signed
    open_stores(settings.archives)
    absent.tell(runtime.policy, configured_channels(settings))
    asking = alertmanagers.Asking(runtime)
    limiter = Limiter(Accounts(runtime.database), runtime.metrics, runtime.clock.monotonic)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(runtime.database.close)
            stack.callback(runtime.revocations.end)
            await stack.enter_async_context(settling.looked_after(runtime))
            await _check_ledger(runtime)
            stack.push_async_callback(runtime.reserve.close)
            await stack.enter_async_context(limiter.running())
            for kept in (auditwatch.watching, keeping_known, keeping_presence, service_token_use.writing_uses):
                await stack.enter_async_context(kept(runtime))
            app.state.latch = await stack.enter_async_context(latching(runtime, keep_apart))
            await stack.enter_async_context(attending(runtime, app.state.latch))
            await stack.enter_async_context(privacy.keeping_in_step(runtime))
            await stack.enter_async_context(asking.running())
            app.state.watch = await stack.enter_async_context(Watch(runtime).running())
            app.state.broker = broker = await stack.enter_async_context(Broker(runtime).running())
            app.state.desk = await stack.enter_async_context(Desk(runtime).running())
            broker.watch(frozenset({Topic.FREEZE}), app.state.desk.wake)
            runtime.holds_changed.connect(app.state.desk.wake)
            app.state.fences = await stack.enter_async_context(Fences(runtime, app.state.desk).running())
            broker.watch(frozenset({Topic.FREEZE}), app.state.fences.wake)
            runtime.holds_changed.connect(app.state.fences.wake)
            app.state.gates = await stack.enter_async_context(Gates(runtime, app.state.desk).running())
            await stack.enter_async_context(_recovering(app))
            if monitors:
                await stack.enter_async_context(run_monitors(runtime, broker, MONITORS, DUTIES))
            yield

    app = DescribedApi(
        title="Watchfloor",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.runtime = runtime
    app.state.alertmanagers = asking
    _equip(app, runtime)
    app.state.check_ledger = partial(_check_ledger, runtime)
    http.install(app, runtime, limiter)
    for router in ROUTERS:  # as they are: include_router would build every route anew for every application
        app.router.routes.extend(router.routes)
    refuse_unguarded_routes(app)
    return app
