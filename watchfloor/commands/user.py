"""`watchfloor user`: accounts, directly in the database. For the first accounts and for when nobody can sign in."""

import os
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO, TextIO

import click
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import accounts
from backend.auth.accounts import Authenticator, Credentials
from backend.auth.totp import provisioning_uri
from backend.context import Caller, Runtime
from console.commands.output import write_json, write_lines
from contract.certificates import fingerprint_in
from contract.permissions import Permission
from contract.service_tokens import ExecutorPattern
from watchfloor.commands.user_base import (
    as_json_option,
    recovery_lines,
    run_in_database,
    totp_lines,
    tried_out,
    unconfirmed_option,
)
from watchfloor.commands.user_factors import FACTOR_COMMANDS
from watchfloor.commands.user_sso import SSO_COMMANDS

MACHINE_PERMISSIONS = (Permission.RENEW_PERMIT, Permission.OBSERVE_HALTS, Permission.IMPORT_TRANSACTIONS)
"""What machines do; everything else is for people."""


@click.group()
def command() -> None:
    """Add or disable accounts, directly in the database of WATCHFLOOR_DATABASE_URL; each act is recorded."""


for _one in (*FACTOR_COMMANDS, *SSO_COMMANDS):
    command.add_command(_one)


@command.command("add")
@click.argument("name")
@click.option("--role", required=True, help="A role of the policy, such as mev_operator.")
@click.option(
    "--password-file",
    type=click.File(encoding="utf-8"),
    help="File whose first line is the password, - for standard input. Default: one is generated.",
)
@click.option("--again", is_flag=True, help="The name was erased and comes back, as somebody new.")
@unconfirmed_option
@as_json_option
def add(name: str, role: str, password_file: TextIO | None, *, again: bool, unconfirmed: bool, as_json: bool) -> None:
    """Make an account and print, once, what its holder signs in with."""
    password = password_file.readline().rstrip("\r\n") if password_file else None
    secret = tried_out(name, wanted=not (unconfirmed or as_json))

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> Credentials:
        return await accounts.add_user(
            session, runtime, caller, name=name, role=role, password=password, totp_secret=secret, again=again
        )

    made = run_in_database(work)
    if as_json:
        secrets = {
            "totp_secret": made.totp_secret,
            "provisioning_uri": made.provisioning_uri,
            "recovery_codes": list(made.recovery_codes),
        }
        generated = {} if password else {"password": made.password}
        write_json("user.add", {"name": made.name, "role": made.role, **generated, **secrets})
        return
    lines = [f"Account    {made.name} ({made.role})", f"Password   {'as given' if password else made.password}"]
    shown = [] if secret else totp_lines(made.totp_secret, made.provisioning_uri)
    write_lines([*lines, *shown, *recovery_lines(made.recovery_codes), "Shown once: keep them now."])


@command.command("disable")
@click.argument("name")
@click.option("--even-last", is_flag=True, help="Also the last account that may freeze, as when it is in wrong hands.")
@as_json_option
def disable(name: str, *, even_last: bool, as_json: bool) -> None:
    """Shut an account; its sessions end at once on every backend.

    The last account that may freeze is refused: nobody could stop trading then but whoever opens the envelopes.
    """

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> int:
        return await accounts.disable_user(session, runtime, caller, name=name, even_last=even_last)

    ended = run_in_database(work)
    if as_json:
        write_json("user.disable", {"name": name, "sessions_ended": ended})
    else:
        write_lines([f"{name} is disabled; sessions ended: {ended}."])


@command.command("reset-totp")
@click.argument("name")
@unconfirmed_option
@as_json_option
def reset_totp(name: str, *, unconfirmed: bool, as_json: bool) -> None:
    """Give an account a new authenticator and recovery codes, printed once; its sessions and waits end."""
    secret = tried_out(name, wanted=not (unconfirmed or as_json))

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> Authenticator:
        return await accounts.reset_totp(session, runtime, caller, name=name, totp_secret=secret)

    made = run_in_database(work)
    uri = provisioning_uri(made.totp_secret, name)
    if as_json:
        body = {"name": name, "totp_secret": made.totp_secret, "provisioning_uri": uri}
        write_json("user.reset_totp", body | {"recovery_codes": list(made.recovery_codes)})
    else:
        shown = [] if secret else totp_lines(made.totp_secret, uri)
        write_lines([*shown, *recovery_lines(made.recovery_codes), "Shown once: keep them now."])


@command.command("token")
@click.argument("name")
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    required=True,
    type=click.Choice([one.value for one in MACHINE_PERMISSIONS]),
    help="What it may do; again for more.",
)
@click.option("--to", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A new file, 0600.")
@click.option(
    "--certificate",
    type=click.File("rb"),
    help="The machine's certificate (PEM; of a chain the first): the token then works over that one only.",
)
@click.option(
    "--max-trade-eth", "limit", metavar="ETH", help="What its executors may trade at once; else the policy's."
)
@click.option(
    "--executor", "executors", multiple=True, metavar="NAME", help="For whom it may speak; * for any characters."
)
def token(  # noqa: PLR0917  click hands these in by name
    name: str,
    permissions: Sequence[str],
    path: Path,
    certificate: BinaryIO | None,
    limit: str | None,
    executors: Sequence[str],
) -> None:
    """Make a token for a machine and write it to a file; one of that name that was made before ends.

    A watcher needs observe_halts, and nothing else; an executor or an adapter renew_permit. `watchfloor token` does the
    same over the backend, and rotates without a gap.
    """
    wanted = [Permission(one) for one in permissions]
    if {Permission.OBSERVE_HALTS, Permission.RENEW_PERMIT} <= set(wanted):
        raise click.UsageError("Who renews permits cannot be a second source: give the watcher a token of its own.")
    bound_to = None if certificate is None else _fingerprint(certificate)
    max_trade_eth = None if limit is None else _amount(limit)
    patterns = _patterns(executors)
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be made: {error.strerror}.") from error

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> str:
        return await accounts.ensure_service_token(
            session, runtime, caller, name=name, permissions=wanted, certificate=bound_to, max_trade_eth=max_trade_eth,
            executors=patterns,
        )  # fmt: skip

    with os.fdopen(opened, "w") as file:
        try:
            file.write(f"{run_in_database(work)}\n")
        except BaseException:
            path.unlink()
            raise
    write_lines([f"The token of {name} is in {path}."])


def _patterns(executors: Sequence[str]) -> list[str]:
    try:
        return TypeAdapter(list[ExecutorPattern]).validate_python(list(executors))
    except ValidationError as error:
        raise click.UsageError(f"--executor: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from error


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise click.UsageError(f"{text!r} is not an amount of ETH.")
    return amount


def _fingerprint(certificate: BinaryIO) -> str:
    try:
        return fingerprint_in(certificate.read())
    except ValueError as error:
        raise click.UsageError(f"{certificate.name} has no certificate (PEM).") from error
