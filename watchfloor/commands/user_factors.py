"""`watchfloor user`: hardware keys and the break-glass account beside the database, one's own password over HTTP."""

import sys
from typing import TextIO

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import accounts, hardware_keys
from backend.auth.breakglass import Envelopes
from backend.auth.identity_tables import HardwareKeyRow
from backend.context import Caller, Runtime
from console.client.signing_in import change_password, confirm_authenticator, new_authenticator
from console.commands.base import Call
from console.commands.base import command as http_command
from console.commands.output import instant, outside, write_json, write_lines
from watchfloor.commands.user_base import as_json_option, recovery_lines, run_in_database, show_authenticator

_FORM_FEED = "\f"
"""Between the two envelopes: a printer puts each on a sheet of its own."""


@click.command("enroll-key")
@click.argument("name")
@click.option(
    "--public-key",
    "file",
    required=True,
    type=click.File(encoding="utf-8"),
    help="The .pub file of a key made with ssh-keygen -t ed25519-sk, - for standard input.",
)
@as_json_option
def enroll_key(name: str, file: TextIO, *, as_json: bool) -> None:
    """Give an account a hardware key: the public half of one that lies on a device."""
    line = file.read(8192)

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> HardwareKeyRow:
        return await hardware_keys.enrol(session, runtime, caller, name=name, line=line)

    row = run_in_database(work)
    if as_json:
        write_json("user.enroll_key", {"name": name, **_key(row)})
    else:
        write_lines([f"{name} signs in with {row.fingerprint}."])


@click.command("keys")
@click.argument("name")
@as_json_option
def keys(name: str, *, as_json: bool) -> None:
    """List the hardware keys of an account."""

    async def work(session: AsyncSession, runtime: Runtime, _: Caller) -> list[HardwareKeyRow]:
        return await hardware_keys.of_account(session, runtime, name=name)

    rows = run_in_database(work)
    if as_json:
        write_json("user.keys", {"name": name, "keys": [_key(row) for row in rows]})
    else:
        write_lines([_key_line(row) for row in rows] or [f"{name} has no hardware key."])


@click.command("remove-key")
@click.argument("name")
@click.argument("fingerprint")
@as_json_option
def remove_key(name: str, fingerprint: str, *, as_json: bool) -> None:
    """Take a hardware key from an account; FINGERPRINT as `watchfloor user keys` shows it."""

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> HardwareKeyRow:
        return await hardware_keys.remove(session, runtime, caller, name=name, fingerprint=fingerprint)

    row = run_in_database(work)
    if as_json:
        write_json("user.remove_key", {"name": name, **_key(row)})
    else:
        write_lines([f"{name} no longer signs in with {row.fingerprint}."])


@click.command("break-glass")
@click.argument("name", default="break-glass")
@as_json_option
def break_glass(name: str, *, as_json: bool) -> None:
    """Make the sealed account for a night on which every key is lost, or seal it again; prints two envelopes, once.

    It can freeze and see freezes, nothing else. Whoever opens both envelopes raises a critical alert, and some hours
    later the account has to be sealed again.
    """

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> Envelopes:
        return await accounts.seal_break_glass(session, runtime, caller, name=name)

    made = run_in_database(work)
    if as_json:
        body = {"name": made.name, "password": made.password, "code": made.code, "hours": made.hours}
        write_json("user.break_glass", body)
        return
    write_lines(_envelope(made, 1, "Password", made.password))
    sys.stdout.write("\n" if sys.stdout.isatty() else _FORM_FEED)
    write_lines(_envelope(made, 2, "Code", made.code))


@click.command("passwd")
@http_command("user.passwd")
def passwd(call: Call) -> None:
    """Choose another password for yourself; your other sessions end. Asks on the terminal, never in the arguments."""
    old, code = _own_factors()
    new: str = click.prompt("New password", hide_input=True, confirmation_prompt="The same again", err=True)
    done = call.ask(lambda api: change_password(api, old, new, code))
    call.answer(done, lambda: [f"Your password is changed; other sessions ended: {done.sessions_ended}."])


@click.command("new-authenticator")
@http_command("user.new_authenticator")
def own_authenticator(call: Call) -> None:
    """Take a new authenticator into use for yourself, also after a recovery code; prints new recovery codes, once."""
    password, code = _own_factors()
    made = call.ask(lambda api: new_authenticator(api, password, code))
    show_authenticator(made.totp_secret, made.provisioning_uri)
    first: str = click.prompt("Code it shows now", err=True)
    done = call.ask(lambda api: confirm_authenticator(api, first))
    told = [f"It counts from now on; other sessions ended: {done.sessions_ended}.", "Shown once: keep them now."]
    call.answer(done, lambda: [*recovery_lines(done.recovery_codes), *told])


def _own_factors() -> tuple[str, str]:
    password: str = click.prompt("Your password", hide_input=True, err=True)
    code: str = click.prompt(
        "One-time code (empty after a recovery code)", default="", show_default=False, hide_input=True, err=True
    )
    return password, code.strip()


def _envelope(made: Envelopes, number: int, label: str, secret: str) -> list[str]:
    return [
        f"ENVELOPE {number} OF 2: break-glass account of Watchfloor",
        f"Account    {made.name}",
        f"{label:<11}{secret}",
        f"Open both only if nobody can sign in. The account can freeze trading, works for {made.hours} hours",
        "from its first use, and raises a critical alert. Keep the two envelopes apart.",
    ]


def _key(row: HardwareKeyRow) -> dict[str, str | None]:
    return {
        "fingerprint": row.fingerprint,
        "type": row.kind,
        "comment": row.comment,
        "enrolled_at": row.enrolled_at.isoformat(),
        "last_used_at": row.last_used_at.isoformat() if row.last_used_at else None,
        "cloned_at": row.cloned_at.isoformat() if row.cloned_at else None,
    }


def _key_line(row: HardwareKeyRow) -> str:
    used = f"used {instant(row.last_used_at)}" if row.last_used_at else "never used"
    cloned = "  REFUSED: a copy was used" if row.cloned_at else ""
    return f"{row.fingerprint}  {row.kind}  {used}{cloned}  {outside(row.comment, 60)}"


FACTOR_COMMANDS = (enroll_key, keys, remove_key, break_glass, passwd, own_authenticator)
"""What this module adds to `watchfloor user`."""
