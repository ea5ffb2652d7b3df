"""`watchfloor user`: accounts, directly in the database. For the first accounts and for when nobody can sign in."""

import os
import ssl
import sys
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import accounts
from backend.auth.accounts import Credentials
from backend.auth.bootstrap import in_database
from backend.auth.totp import provisioning_uri
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.peer import fingerprint_of
from backend.settings import Settings
from console.commands.output import write_json, write_lines
from contract.errors import EXIT_CODE
from contract.permissions import Permission

T = TypeVar("T")
MACHINE_PERMISSIONS = (Permission.RENEW_PERMIT, Permission.OBSERVE_HALTS, Permission.IMPORT_TRANSACTIONS)
"""What machines do; everything else is for people."""


class _Refusal(click.ClickException):
    """A rule refused the change: one line, and the code every command uses for it."""

    def __init__(self, error: WatchfloorError) -> None:
        super().__init__(f"{error.message} {error.hint}" if error.hint else error.message)
        self.exit_code = int(EXIT_CODE[error.code])  # type: ignore[misc]  # click reads the instance's

    def show(self, file: Any = None) -> None:  # noqa: ARG002  click's signature
        """Write the one line."""
        sys.stderr.write(f"watchfloor user: {self.message}\n")


def _run(work: Callable[[AsyncSession, Runtime, Caller], Awaitable[T]]) -> T:
    try:
        return in_database(Settings(), work)
    except WatchfloorError as error:
        raise _Refusal(error) from error


@click.group()
def command() -> None:
    """Add or disable accounts, directly in the database of WATCHFLOOR_DATABASE_URL; each act is recorded."""


_as_json = click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")


@command.command("add")
@click.argument("name")
@click.option("--role", required=True, help="A role of the policy, such as mev_operator.")
@click.option(
    "--password-file",
    type=click.File(encoding="utf-8"),
    help="File whose first line is the password, - for standard input. Default: one is generated.",
)
@click.option("--again", is_flag=True, help="The name was erased and comes back, as somebody new.")
@_as_json
def add(name: str, role: str, password_file: TextIO | None, *, again: bool, as_json: bool) -> None:
    """Make an account and print, once, what its holder signs in with."""
    password = password_file.readline().rstrip("\r\n") if password_file else None

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> Credentials:
        return await accounts.add_user(session, runtime, caller, name=name, role=role, password=password, again=again)

    made = _run(work)
    if as_json:
        secrets = {"totp_secret": made.totp_secret, "provisioning_uri": made.provisioning_uri}
        generated = {} if password else {"password": made.password}
        write_json("user.add", {"name": made.name, "role": made.role, **generated, **secrets})
        return
    lines = [f"Account    {made.name} ({made.role})", f"Password   {'as given' if password else made.password}"]
    write_lines([*lines, *_totp_lines(made.totp_secret, made.provisioning_uri), "Shown once: keep them now."])


@command.command("disable")
@click.argument("name")
@_as_json
def disable(name: str, *, as_json: bool) -> None:
    """Shut an account; its sessions end at once on every backend."""

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> int:
        return await accounts.disable_user(session, runtime, caller, name=name)

    ended = _run(work)
    if as_json:
        write_json("user.disable", {"name": name, "sessions_ended": ended})
    else:
        write_lines([f"{name} is disabled; sessions ended: {ended}."])


@command.command("reset-totp")
@click.argument("name")
@_as_json
def reset_totp(name: str, *, as_json: bool) -> None:
    """Give an account a new secret for one-time codes and print it once; its sessions end."""

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> str:
        return await accounts.reset_totp(session, runtime, caller, name=name)

    secret = _run(work)
    uri = provisioning_uri(secret, name)
    if as_json:
        write_json("user.reset_totp", {"name": name, "totp_secret": secret, "provisioning_uri": uri})
    else:
        write_lines([*_totp_lines(secret, uri), "Shown once: keep it now."])


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
    help="The machine's certificate (PEM): the token then works over that one only (WATCHFLOOR_TLS_CLIENT_CA).",
)
@click.option(
    "--max-trade-eth", "limit", metavar="ETH", help="What its executors may trade at once; else the policy's."
)
def token(  # noqa: PLR0917  click hands these in by name
    name: str, permissions: Sequence[str], path: Path, certificate: BinaryIO | None, limit: str | None
) -> None:
    """Make a token for a machine and write it to a file; one of that name that was made before ends.

    A watcher needs observe_halts, and nothing else; an executor or an adapter renew_permit.
    """
    wanted = [Permission(one) for one in permissions]
    if {Permission.OBSERVE_HALTS, Permission.RENEW_PERMIT} <= set(wanted):
        raise click.UsageError("Who renews permits cannot be a second source: give the watcher a token of its own.")
    bound_to = None if certificate is None else _fingerprint(certificate)
    max_trade_eth = None if limit is None else _amount(limit)
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be made: {error.strerror}.") from error

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> str:
        return await accounts.ensure_service_token(
            session, runtime, caller, name=name, permissions=wanted, certificate=bound_to, max_trade_eth=max_trade_eth
        )

    with os.fdopen(opened, "w") as file:
        try:
            file.write(f"{_run(work)}\n")
        except BaseException:
            path.unlink()
            raise
    write_lines([f"The token of {name} is in {path}."])


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
        return fingerprint_of(ssl.PEM_cert_to_DER_cert(certificate.read().decode("ascii")))
    except ValueError as error:
        raise click.UsageError(f"{certificate.name} is not one certificate (PEM).") from error


def _totp_lines(secret: str, uri: str) -> list[str]:
    return [f"TOTP       {secret}", f"           {uri}"]
