"""Accounts and tokens straight in the database, before anybody can sign in. For the local command line and the demo."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from psycopg.errors import UndefinedTable
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import accounts
from backend.auth.accounts import Credentials
from backend.context import Caller, Runtime, system_caller
from backend.errors import ConfigurationError
from backend.runtime import build_runtime
from backend.settings import Settings
from backend.settling import close
from contract.permissions import Permission

T = TypeVar("T")
Work = Callable[[AsyncSession, Runtime, Caller], Awaitable[T]]


def ensure_user(
    database_url: str,
    *,
    name: str,
    role: str,
    password: str | None = None,
    totp_secret: str | None = None,
    policy: str = "mev",
) -> Credentials:
    """Make an account exist with working credentials; what is not given is generated. Safe to repeat.

    Raises:
        ConfigurationError: the database cannot be used, or the policy is wrong.
        WatchfloorError: the name or the role cannot be.
    """

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> Credentials:
        return await accounts.ensure_user(
            session, runtime, caller, name=name, role=role, password=password, totp_secret=totp_secret
        )

    return in_database(Settings(database_url=database_url, policy=policy), work)


def ensure_service_token(
    database_url: str,
    *,
    name: str,
    permissions: Iterable[Permission],
    token: str | None = None,
    policy: str = "mev",
) -> str:
    """Make a machine's token exist and return it; a new one is generated unless one is given. Safe to repeat.

    Raises:
        ConfigurationError: the database cannot be used, or the policy is wrong.
    """

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> str:
        return await accounts.ensure_service_token(
            session, runtime, caller, name=name, permissions=permissions, token=token
        )

    return in_database(Settings(database_url=database_url, policy=policy), work)


def in_database(settings: Settings, work: Work[T]) -> T:
    """Run one unit of work in a transaction of its own, in the name of whoever is at this machine's command line.

    Raises:
        ConfigurationError: the database cannot be reached or is not migrated, or the policy is wrong.
    """
    return asyncio.run(_in_transaction(settings, work))


def in_runtime(settings: Settings, work: Callable[[Runtime, Caller], Awaitable[T]]) -> T:
    """Run work that makes transactions of its own, in the name of whoever is at this machine's command line.

    Raises:
        ConfigurationError: the database cannot be reached, or the policy is wrong.
    """

    async def run() -> T:
        try:
            async with _runtime(settings) as runtime:
                return await work(runtime, local_caller())
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
            raise ConfigurationError(f"The database cannot be reached: {reason}") from error

    return asyncio.run(run())


async def _in_transaction(settings: Settings, work: Work[T]) -> T:
    try:
        async with _runtime(settings) as runtime, runtime.database.transaction() as session:
            return await work(session, runtime, local_caller())
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise ConfigurationError(f"The database cannot be reached: {reason}") from error
    except ProgrammingError as error:
        if isinstance(error.orig, UndefinedTable):
            raise ConfigurationError("The database is empty; run `watchfloor migrate` first.") from error
        raise


@asynccontextmanager
async def _runtime(settings: Settings) -> AsyncIterator[Runtime]:
    runtime = build_runtime(settings)
    try:
        yield runtime
    finally:
        await close(runtime)
        await runtime.database.close()


def local_caller() -> Caller:
    """The caller of a command run beside the database: the system, with the login name of whoever ran it."""
    try:
        person = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        person = f"uid-{os.getuid()}"
    return replace(system_caller("local"), user_agent=f"watchfloor command line, run by {person}")
