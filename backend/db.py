"""The database edge: engine, sessions, and the only place that commits. Owns no table of an area."""

import hashlib
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import psycopg
from fastapi import Depends, Request
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import DateTime, MetaData, Numeric, String, event, make_url
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, mapped_column

from backend.events import flush_events
from backend.nodes import DRIVER, Nodes
from backend.settings import Settings

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

UtcTime = Annotated[datetime, mapped_column(DateTime(timezone=True))]
IdColumn = Annotated[UUID, mapped_column(PG_UUID(as_uuid=True), primary_key=True)]
Name = Annotated[str, mapped_column(String(100))]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]
ETH_COLUMN = Numeric(38, 18)
"""Wei precision for amounts up to 10^20 ETH."""
USD_COLUMN = Numeric(38, 18)
"""As precise as ETH; an amount with more decimals is rounded half-even to 18 on its way in."""


class Base(DeclarativeBase):
    """Parent of every table."""

    metadata = MetaData(naming_convention=NAMING)


CONNECT_TIMEOUT_S = 3
"""A request must hear within a few seconds that the database is away; libpq's smallest useful value is 2."""
POOL_TIMEOUT_S = 3.0
"""Longest wait for a free connection of the pool: past it the process is overloaded and says so."""
IDLE_IN_TRANSACTION_MS = 10_000
"""The server ends a transaction whose process was stopped in the middle, so that its locks go free."""
_NETWORK = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""Seconds, seconds, tries, milliseconds: a silent peer is given up after about ten seconds."""
DEDICATED_PREFIX = "watchfloor "
"""A connection outside the pool shows on the server under this and its purpose."""
_BEFORE_COMMIT, _AFTER_COMMIT, _AFTER_ROLLBACK = "before_commit", "after_commit", "after_rollback"
_IN_DOUBT = "in_doubt"
_OUTCOME = "outcome"
_DECIDED_CLASSES = frozenset({"22", "23", "25", "40", "42", "P0"})
"""SQLSTATE classes with which the server refuses a COMMIT; anything else may have come after it took effect."""


def place_of(database_url: str) -> str:
    """A short name of a database without a secret: two floors on one machine never take each other's files."""
    url = make_url(database_url)
    parts = (url.host, url.port, url.database, *sorted((name, str(value)) for name, value in url.query.items()))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


async def let_go(session: AsyncSession) -> None:
    """Give a session's connection back before something that takes long; its next statement takes another one.

    Only for a session that has read: what it wrote before is rolled back.
    """
    await session.rollback()


def before_commit(session: AsyncSession, action: Callable[[], Awaitable[None]]) -> None:
    """Have something written as one of the last statements of the session's transaction."""
    session.info.setdefault(_BEFORE_COMMIT, []).append(action)


def after_commit(session: AsyncSession, action: Callable[[], None]) -> None:
    """Have something done once the session's transaction is durable, e.g. counting. It must not fail or wait."""
    session.info.setdefault(_AFTER_COMMIT, []).append(action)


def after_rollback(session: AsyncSession, action: Callable[[], None]) -> None:
    """Have something done once the session's transaction is known not to be durable. It must not fail or wait."""
    session.info.setdefault(_AFTER_ROLLBACK, []).append(action)


def on_outcome(
    session: AsyncSession, committed: Callable[[], Awaitable[None]], rolled_back: Callable[[], Awaitable[None]]
) -> None:
    """Have one of two things awaited before anybody is answered. Neither may fail, and each bounds its own wait.

    If nobody can say whether the transaction is durable, it is neither.
    """
    session.info.setdefault(_OUTCOME, []).append((committed, rolled_back))


def if_in_doubt(session: AsyncSession, action: Callable[[], None]) -> None:
    """Have something done if nobody can say whether the session's COMMIT took effect. It must not fail or wait.

    The connection is given up, so that its transaction ends on the server soon.
    """
    session.info.setdefault(_IN_DOUBT, []).append(action)


def is_decided(error: BaseException) -> bool:
    """Whether an error of a COMMIT says that the transaction was rolled back; a lost connection says nothing."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    return state is not None and state[:2] in _DECIDED_CLASSES


def _refuse_dead_connection(connection: Any, _record: Any, _proxy: Any) -> None:
    """Have the pool replace a connection that ended while it lay there, before anything is sent on it.

    An idle connection has nothing to read. Its socket turns readable when the server closes it, also when the kernel
    gives up a silent peer (see `_NETWORK`), so that looking at it costs no round trip.
    """
    driver: psycopg.AsyncConnection[Any] = connection.driver_connection
    if driver.closed:
        raise DisconnectionError("the connection is closed")
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)  # errors and hang-ups are always reported
    if poll.poll(0):
        raise DisconnectionError("the server ended the connection")


def _run(session: AsyncSession, which: str) -> None:
    for action in session.info.pop(which, []):
        action()


async def _tell_outcome(session: AsyncSession, *, durable: bool) -> None:
    for committed, rolled_back in session.info.pop(_OUTCOME, []):
        await (committed if durable else rolled_back)()


async def _last_statements(session: AsyncSession) -> None:
    await session.flush()
    while writes := session.info.pop(_BEFORE_COMMIT, []):  # one may ask for another
        for write in writes:
            await write()
    await flush_events(session)


async def _roll_back(session: AsyncSession) -> None:
    try:
        await session.rollback()
    finally:  # also when the connection is gone: what was never asked to commit is rolled back by the server
        _run(session, _AFTER_ROLLBACK)
        await _tell_outcome(session, durable=False)


async def _give_up(session: AsyncSession) -> None:
    """End a transaction that was never asked to commit."""
    try:
        await session.close()
    finally:
        _run(session, _AFTER_ROLLBACK)
        await _tell_outcome(session, durable=False)


async def _leave_in_doubt(session: AsyncSession) -> None:
    try:
        await session.invalidate()
    finally:
        _run(session, _IN_DOUBT)


class Database:
    """One engine and its sessions. `transaction()` is the only way to change anything."""

    def __init__(self, settings: Settings, nodes: Nodes | None = None) -> None:
        self.nodes = nodes or Nodes(settings.database_url)
        """Shared by all databases of a process: what one finds out the others need not."""
        options = (
            f"-c statement_timeout={settings.statement_timeout_ms} -c lock_timeout={settings.lock_timeout_ms}"
            f" -c timezone=UTC -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
            " -c plan_cache_mode=force_custom_plan -c jit=off"
        )
        self._url = settings.database_url
        self._connect_args: dict[str, Any] = {"options": options, "connect_timeout": CONNECT_TIMEOUT_S, **_NETWORK}
        self.engine: AsyncEngine = create_async_engine(
            settings.database_url,
            pool_size=settings.pool_size,
            max_overflow=settings.pool_overflow,
            pool_timeout=POOL_TIMEOUT_S,
            native_inet_types=False,  # addresses are text, as the tables say
            hide_parameters=True,  # an error that is logged must not print what was in the statement
            connect_args={**self._connect_args, "application_name": "watchfloor"},
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_dead_connection)
        event.listen(self.engine.sync_engine, "do_connect", self._order_nodes)
        event.listen(self.engine.sync_engine, "connect", self._note_node)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One unit of work: commits on a clean exit together with its stream events, rolls back on any exception."""
        async with self._sessions() as session:
            try:
                yield session
            except BaseException:
                await _give_up(session)
                raise
            try:
                await _last_statements(session)
            except BaseException:
                await _roll_back(session)
                raise
            try:
                await session.commit()
            except BaseException as error:
                await (_roll_back(session) if is_decided(error) else _leave_in_doubt(session))
                raise
            _run(session, _AFTER_COMMIT)
            await _tell_outcome(session, durable=True)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that is never committed."""
        async with self._sessions() as session:
            yield session

    async def dedicated(self, purpose: str) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        """A connection outside the pool, autocommit: for listening and leases, which must not wait for a free one.

        Raises:
            psycopg.OperationalError: the database is not reachable.
        """
        url = self._url.replace(DRIVER, "postgresql://", 1)
        connection: psycopg.AsyncConnection[tuple[Any, ...]] = await psycopg.AsyncConnection.connect(
            url,
            autocommit=True,
            application_name=f"{DEDICATED_PREFIX}{purpose}",
            **{**self._connect_args, **self.nodes.order(conninfo_to_dict(url))},
        )
        self.nodes.connected(connection)
        return connection

    def _order_nodes(self, _dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        parameters.update(self.nodes.order(parameters))

    def _note_node(self, connection: Any, _record: Any) -> None:
        self.nodes.connected(connection.driver_connection)

    async def close(self) -> None:
        """Give every connection back."""
        await self.engine.dispose()


async def request_session(request: Request) -> AsyncIterator[AsyncSession]:
    """The one transaction of a request."""
    database: Database = request.app.state.runtime.database
    async with database.transaction() as session:
        yield session


Tx = Annotated[AsyncSession, Depends(request_session, scope="function")]
"""A route's session. Scope "function": the commit happens before the answer is sent, so a 2xx is never a lie."""
