"""Making, resetting and disabling accounts and machine tokens, from code and from the local command line."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.tables import AuditLog
from backend.auth import accounts, bootstrap, passwords, totp
from backend.auth.tables import ServiceToken, User
from backend.context import system_caller
from backend.errors import ConfigurationError, WatchfloorError
from contract.permissions import Permission
from tests.support.app import App
from tests.support.people import OPERATOR, sign_in

LOCAL = system_caller("test")


def _audit_rows(database_url: str) -> list[tuple[str, str, str]]:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT event_type, user_id, resource_id FROM audit_logs WHERE event_type LIKE 'auth.%' ORDER BY id"
                )
            )
            return [(row[0], row[1], row[2]) for row in rows]
    finally:
        engine.dispose()


async def _log_in(app: App, credentials: accounts.Credentials) -> int:
    body = {
        "username": credentials.name,
        "password": credentials.password,
        "totp": totp.code_at(credentials.totp_secret, datetime.now(UTC)),
    }
    return (await app.http.post("/v1/auth/login", json=body)).status_code


async def test_a_new_account_signs_in_with_what_was_printed(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        made = await accounts.add_user(session, app.runtime, LOCAL, name="nora", role="mev_operator")
    assert await _log_in(app, made) == 200
    assert made.password not in repr(made)
    assert made.totp_secret in made.provisioning_uri


@pytest.mark.parametrize(
    "name", ["", "Nora", "no ra", "nora\x1b[31m", "executor:x", "anonymous", "-x", "x" * 101, "ñora"]
)
async def test_names_that_could_mislead_are_refused(app: App, name: str) -> None:
    with pytest.raises(WatchfloorError, match="cannot be an account's name"):
        async with app.runtime.database.transaction() as session:
            await accounts.add_user(session, app.runtime, LOCAL, name=name, role="mev_admin")


async def test_an_unknown_role_and_a_taken_name_are_refused(app: App) -> None:
    await sign_in(app.runtime, OPERATOR)
    async with app.runtime.database.transaction() as session:
        with pytest.raises(WatchfloorError, match="no role 'root'"):
            await accounts.add_user(session, app.runtime, LOCAL, name="nora", role="root")
        with pytest.raises(WatchfloorError, match="already an account"):
            await accounts.add_user(session, app.runtime, LOCAL, name=OPERATOR.name, role="mev_operator")


async def test_resetting_codes_ends_sessions_and_the_old_secret(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        made = await accounts.add_user(session, app.runtime, LOCAL, name="nora", role="mev_operator")
    token = await sign_in(app.runtime, OPERATOR.__class__("nora", "mev_operator"))
    async with app.runtime.database.transaction() as session:
        secret = (await accounts.reset_totp(session, app.runtime, LOCAL, name="nora")).totp_secret
    assert secret != made.totp_secret
    used = await app.http.get("/v1/auth/whoami", headers={"authorization": f"Bearer {token}"})
    assert used.status_code == 401
    assert await _log_in(app, made) == 401
    assert await _log_in(app, accounts.Credentials("nora", made.role, made.password, secret)) == 200


async def test_what_is_not_there_cannot_be_disabled_or_reset(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        for act in (accounts.disable_user, accounts.reset_totp):
            with pytest.raises(WatchfloorError, match="no account 'nobody'"):
                await act(session, app.runtime, LOCAL, name="nobody")


async def test_a_refused_change_leaves_no_entry_and_no_account(app: App) -> None:
    """The entry and the change share one transaction."""

    async def add_then_fail(session: AsyncSession) -> None:
        await accounts.add_user(session, app.runtime, LOCAL, name="nora", role="mev_operator")
        await session.flush()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        async with app.runtime.database.transaction() as session:
            await add_then_fail(session)
    async with app.runtime.database.read() as session:
        assert (await session.scalars(select(User))).all() == []
        assert (await session.scalars(select(AuditLog))).all() == []


def test_ensuring_an_account_twice_changes_nothing_the_second_time(database_url: str) -> None:
    first = bootstrap.ensure_user(database_url, name="demo", role="mev_admin")
    again = bootstrap.ensure_user(
        database_url, name="demo", role="mev_admin", password=first.password, totp_secret=first.totp_secret
    )
    assert (again.password, again.totp_secret) == (first.password, first.totp_secret)
    assert _audit_rows(database_url) == [("auth.user.added", "system:local", "demo")]


def test_ensuring_an_account_without_its_secrets_makes_new_ones(database_url: str) -> None:
    first = bootstrap.ensure_user(database_url, name="demo", role="mev_admin")
    second = bootstrap.ensure_user(database_url, name="demo", role="mev_operator")
    assert first.password != second.password
    assert first.totp_secret != second.totp_secret
    assert [event for event, _, _ in _audit_rows(database_url)] == ["auth.user.added", "auth.user.reset"]
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        role, stored = connection.execute(text("SELECT role, password_hash FROM users")).one()
    engine.dispose()
    assert role == "mev_operator"
    assert passwords._verify(stored, second.password)
    assert not passwords._verify(stored, first.password)


def test_ensuring_a_machines_token_is_idempotent_and_follows_its_permissions(database_url: str) -> None:
    token = bootstrap.ensure_service_token(database_url, name="sim", permissions=[Permission.RENEW_PERMIT])
    same = bootstrap.ensure_service_token(database_url, name="sim", permissions=[Permission.RENEW_PERMIT], token=token)
    assert same == token
    more = [Permission.RENEW_PERMIT, Permission.IMPORT_TRANSACTIONS]
    assert bootstrap.ensure_service_token(database_url, name="sim", permissions=more, token=token) == token
    rotated = bootstrap.ensure_service_token(database_url, name="sim", permissions=more)
    assert rotated != token
    assert [event for event, _, _ in _audit_rows(database_url)] == ["auth.token.issued"] * 3
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        stored = connection.execute(select(ServiceToken.permissions)).scalars().all()
    engine.dispose()
    assert stored == [["import_transactions", "renew_permit"]]


def test_a_machines_token_without_the_prefix_is_refused(database_url: str) -> None:
    with pytest.raises(WatchfloorError, match="starts with wfs_"):
        bootstrap.ensure_service_token(database_url, name="sim", permissions=[], token="hunter2")


def test_an_unreachable_database_is_one_line(database_url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        bootstrap.ensure_user("postgresql://nobody:x@127.0.0.1:1/none", name="demo", role="mev_admin")
    assert "\n" not in str(refused.value)
