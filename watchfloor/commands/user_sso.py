"""`watchfloor user`: who at the provider of SSO is which account, beside the database."""

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import oidc_accounts
from backend.auth.oidc_tables import SsoIdentity
from backend.context import Caller, Runtime
from console.commands.output import outside, write_json, write_lines
from watchfloor.commands.user_base import as_json_option, run_in_database


@click.command("link-sso")
@click.argument("name")
@click.option("--subject", required=True, metavar="TEXT", help="Who it is at the provider; a refused sign-in says it.")
@as_json_option
def link_sso(name: str, subject: str, *, as_json: bool) -> None:
    """Let somebody at the provider of SSO sign in to an account; the account keeps its own factors."""

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> SsoIdentity:
        return await oidc_accounts.link(session, runtime, caller, name=name, subject=subject)

    row = run_in_database(work)
    if as_json:
        write_json("user.link_sso", {"name": name, "issuer": row.issuer, "subject": row.subject})
    else:
        write_lines([f"{name} signs in as {outside(row.subject)} at {outside(row.issuer)}."])


@click.command("unlink-sso")
@click.argument("name")
@as_json_option
def unlink_sso(name: str, *, as_json: bool) -> None:
    """Cut an account's link with the provider of SSO; sessions that came through it end."""

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> int:
        return await oidc_accounts.unlink(session, runtime, caller, name=name)

    ended = run_in_database(work)
    if as_json:
        write_json("user.unlink_sso", {"name": name, "sessions_ended": ended})
    else:
        write_lines([f"{name} no longer signs in through SSO; sessions ended: {ended}."])


SSO_COMMANDS = (link_sso, unlink_sso)
"""What this module adds to `watchfloor user`."""
