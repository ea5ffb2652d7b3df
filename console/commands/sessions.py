"""`watchfloor sessions`: who is signed in, ending that, and unlocking one's own."""

import click

from console.client import sessions as client
from console.client.api import Api
from console.client.errors import ApiError
from console.commands.base import Call, command, glyph_set, paging, sign, touch
from console.commands.output import instant, outside, wrapped
from console.commands.signin import ask_for_code, ask_for_password
from console.widgets.sessions import state, whence
from contract.errors import ErrorCode
from contract.permissions import Permission
from contract.sessions import SessionInfo, SessionsEnded


@click.group()
def sessions() -> None:
    """Sign-ins that have not ended."""


@sessions.command("list")
@click.option("--user", metavar="NAME", help="Those of this account instead of your own.")
@click.option("--all", "everybodys", is_flag=True, help="Those of everybody.")
@paging
@command("sessions.list")
def list_sessions(call: Call, *, user: str | None, everybodys: bool, limit: int, cursor: str | None) -> None:
    """Your sessions, newest first; or other people's, if you may."""
    if user is None and not everybodys:
        page = call.ask(client.own)
    else:
        page = call.ask(lambda api: client.everybodys(api, account=user, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: _lines(page.items))


@sessions.command("end")
@click.argument("ident", metavar="ID")
@command("sessions.end")
def end(call: Call, ident: str) -> None:
    """End one session: your own, or anybody's if you may."""
    _ended(call, call.ask(lambda api: _end(api, ident)))


async def _end(api: Api, ident: str) -> SessionsEnded:
    try:
        return await client.end_own(api, ident)
    except ApiError as error:
        if error.code is not ErrorCode.NOT_FOUND or Permission.MANAGE_USERS not in (await api.whoami()).permissions:
            raise
    return await client.end_anybodys(api, ident)


@sessions.command("end-all")
@click.option("--user", metavar="NAME", help="All of this account; else all of yours but this one.")
@command("sessions.end-all")
def end_all(call: Call, *, user: str | None) -> None:
    """End all of your other sessions, or all of somebody else's."""
    if user is None:
        _ended(call, call.ask(client.end_own_others))
    else:
        _ended(call, call.ask(lambda api: client.end_all_of(api, user)))


@sessions.command("unlock")
@click.option("--password-file", metavar="FILE", help="Its first line is the password; - reads stdin.")
@click.option("--totp", metavar="CODE", help="The one-time code; asked for on a terminal.")
@command("sessions.unlock")
def unlock(call: Call, *, password_file: str | None, totp: str | None) -> None:
    """Unlock your session after nobody has used it for a while."""
    me = call.ask(lambda api: api.whoami())
    password = ask_for_password(me.username, password_file)
    code = totp if totp is not None else ask_for_code()
    opened = call.ask(lambda api: client.unlock(api, password, code, touch()))
    minutes = opened.locks_in_seconds // 60
    call.answer(opened, lambda: [f"Unlocked; it locks again after {minutes} min without use."])


def _ended(call: Call, ended: SessionsEnded) -> None:
    number = ended.sessions_ended
    call.answer(ended, lambda: [f"{number} session{'' if number == 1 else 's'} ended."])


def _lines(items: list[SessionInfo]) -> list[str]:
    return [row for one in items for row in _session(one)] or ["Nobody is signed in."]


def _session(one: SessionInfo) -> list[str]:
    head = f"{sign(state(one.state, glyph_set()), 8)}  {outside(one.account, 40)} ({outside(one.role, 40)})"
    used = f"since {instant(one.created_at)}, last used {instant(one.last_used_at)}, {whence(one)}"
    return [f"{head}  {outside(one.id, 36)}{'  this one' if one.own else ''}", *wrapped(used, 2)]
