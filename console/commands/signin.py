"""`watchfloor login`, `logout` and `whoami`. A password or token never appears in argv, a message or a log."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from console.client import oidc, session
from console.client.errors import ClientError
from console.client.session import Session, SessionError
from console.client.signing_in import log_in
from console.commands import output
from console.commands.base import Call, command, finish, touch
from console.commands.output import instant, note, outside
from console.commands.qr import qr_lines
from contract.auth import LoginAnswer
from contract.errors import ExitCode
from contract.sso import SsoStarted

_MAX_PASSWORD_BYTES: Final = 4_096


@click.command()
@click.option("--user", metavar="NAME", help="The account; not with --sso.")
@click.option("--sso", is_flag=True, help="Sign in through your organisation's own sign-in: shows a page and a code.")
@click.option("--password-file", metavar="FILE", help="Its first line is the password; - reads stdin.")
@click.option("--totp", metavar="CODE", help="The one-time code or a recovery code; asked for on a terminal.")
@command("login")
def login(call: Call, user: str | None, password_file: str | None, totp: str | None, *, sso: bool) -> None:
    """Sign in and keep the session for further commands and the console."""
    if sso == (user is not None) or (sso and (password_file or totp)):
        raise click.UsageError("Give --user NAME to sign in to an account, or --sso alone.")
    user, answer = _through_sso(call) if user is None else _to_account(call, user, password_file, totp)
    kept = Session(call.target.url, user, answer.token, answer.expires_at.isoformat())
    try:
        session.save(os.environ, kept)
    except SessionError as error:
        if not call.as_json:
            raise
        note(f"The session is not kept: {error.message} {error.hint}")
    until = instant(answer.expires_at)
    call.answer(answer, lambda: [f"Signed in to {call.target.url} as {outside(user)} until {until}."])
    if os.environ.get(session.TOKEN_VARIABLE):
        note(f"{session.TOKEN_VARIABLE} is set and wins over the session just stored.")


def _to_account(call: Call, user: str, password_file: str | None, totp: str | None) -> tuple[str, LoginAnswer]:
    password = ask_for_password(user, password_file)
    code = totp if totp is not None else ask_for_code()
    return user, call.ask(lambda api: log_in(api, user, password, code, touch()))


def _through_sso(call: Call) -> tuple[str, LoginAnswer]:
    return call.ask(lambda api: oidc.log_in(api, _show, touch()))


def _show(started: SsoStarted) -> None:
    """Say what to do at the provider, on stderr: stdout is for the answer."""
    if sys.stderr.isatty() and output.unicode_shown() and output.colours_wanted(sys.stderr, os.environ):
        sys.stderr.write("".join(f"{row}\n" for row in qr_lines(started.page_with_code or started.page)))
    note(f"Open   {outside(started.page)}")
    note(f"Enter  {outside(started.user_code)}    only if you began this sign-in yourself; until "
         f"{instant(started.expires_at)}.")  # fmt: skip


def ask_for_password(user: str, file: str | None) -> str:
    """The password, from a file, stdin or the terminal.

    Raises:
        click.UsageError: there is none.
    """
    if file == "-":
        return _first_line(sys.stdin.buffer.read(_MAX_PASSWORD_BYTES + 1), "stdin")
    if file is not None:
        try:
            with Path(file).open("rb") as opened:
                return _first_line(opened.read(_MAX_PASSWORD_BYTES + 1), file)
        except OSError as error:
            raise click.UsageError(f"Cannot read {file}: {error.strerror}.") from error
    if not sys.stdin.isatty():
        raise click.UsageError("No terminal to ask for the password on: give --password-file FILE, or - for stdin.")
    prompted: str = click.prompt(f"Password of {outside(user)}", hide_input=True, err=True)
    return prompted


def _first_line(raw: bytes, name: str) -> str:
    line = raw.split(b"\n", 1)[0].removesuffix(b"\r")
    if len(line) > _MAX_PASSWORD_BYTES or not line:
        raise click.UsageError(f"{name} holds no password in its first line.")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise click.UsageError(f"The password in {name} is not UTF-8.") from None


def ask_for_code() -> str:
    """The one-time code, from the terminal; empty without one."""
    if not sys.stdin.isatty():
        return ""
    prompted: str = click.prompt("One-time code (empty if none)", default="", show_default=False, err=True)
    return prompted.strip()


@click.command()
@command("logout")
def logout(call: Call) -> None:
    """End the session, here and on the server."""
    if call.target.token is None:
        call.answer({"signed_out": False}, lambda: [f"Not signed in to {call.target.url}."])
        return
    failure: ClientError | None = None
    try:
        call.ask(lambda api: api.logout())
    except ClientError as error:
        failure = error
    session.forget(os.environ, call.target.url)
    if failure is not None and failure.exit_code is not ExitCode.NOT_ALLOWED:
        note(f"Forgotten here, but the server was not told: {failure.message}")
        finish(failure.exit_code)
    call.answer({"signed_out": True}, lambda: [f"Signed out of {call.target.url}."])


@click.command()
@command("whoami")
def whoami(call: Call) -> None:
    """Who the session belongs to and what it may do."""
    me = call.ask(lambda api: api.whoami())
    body = me.model_dump(mode="json") | {"permissions": sorted(me.permissions)}
    call.answer(
        body,
        lambda: [
            f"{outside(me.username)} ({outside(me.role)}) at {call.target.url}",
            f"  until  {instant(me.expires_at)}",
            *_folded("may", sorted(me.permissions)),
        ],
    )


def _folded(word: str, names: list[str]) -> list[str]:
    lines = output.wrapped(", ".join(names) or "nothing", 9)
    return [f"  {word}    {lines[0].lstrip()}", *lines[1:]]
