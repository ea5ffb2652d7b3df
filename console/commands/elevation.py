"""`watchfloor elevation`: permissions for a time, asked for with a reason, granted by another, seen by everybody."""

import click

from console.client import access as client
from console.commands.base import Call, command, paging
from console.commands.output import instant, outside, wrapped
from contract.access import Elevation, ElevationRequest, ElevationStatus
from contract.permissions import Permission


@click.group()
def elevation() -> None:
    """Permissions for a time."""


@elevation.command("request")
@click.argument("permissions", metavar="PERMISSION...", nargs=-1, required=True)
@click.option("--minutes", required=True, type=click.IntRange(1, 10_080), help="For how long.")
@click.option("--reason", required=True, help="Why; it stays on record.")
@command("elevation.request")
def request(call: Call, permissions: tuple[str, ...], minutes: int, reason: str) -> None:
    """Ask for permissions beyond your role; somebody else decides."""
    asked = ElevationRequest(permissions=[_permission(name) for name in permissions], minutes=minutes, reason=reason)
    _show(call, call.ask(lambda api: client.request_elevation(api, asked)))


def _permission(name: str) -> Permission:
    try:
        return Permission(name)
    except ValueError:
        raise click.BadParameter(f"there is no permission {name!r}", param_hint="PERMISSION") from None


@elevation.command("approve")
@click.argument("ident", metavar="ID")
@command("elevation.approve")
def approve(call: Call, ident: str) -> None:
    """Grant what somebody else has asked for; it ends by itself."""
    _show(call, call.ask(lambda api: client.decide_elevation(api, ident, "approve")))


@elevation.command("deny")
@click.argument("ident", metavar="ID")
@command("elevation.deny")
def deny(call: Call, ident: str) -> None:
    """Turn a request down."""
    _show(call, call.ask(lambda api: client.decide_elevation(api, ident, "deny")))


@elevation.command("end")
@click.argument("ident", metavar="ID")
@command("elevation.end")
def end(call: Call, ident: str) -> None:
    """Give an elevation back, or take it away."""
    _show(call, call.ask(lambda api: client.decide_elevation(api, ident, "end")))


@elevation.command("list")
@click.option("--over", is_flag=True, help="Those that are over too.")
@paging
@command("elevation.list")
def list_elevations(call: Call, *, over: bool, limit: int, cursor: str | None) -> None:
    """Who holds, or asks for, more than their role; newest first."""
    page = call.ask(lambda api: client.elevations(api, over=over, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: [line for one in page.items for line in _elevation(one)] or ["No elevations."])


def _show(call: Call, one: Elevation) -> None:
    call.answer(one, lambda: _elevation(one))


def _elevation(one: Elevation) -> list[str]:
    when = f"for {one.minutes} min, asked at {instant(one.requested_at)}"
    if one.status is ElevationStatus.APPROVED:
        when = f"until {instant(one.ends_at)}"
    decided = f", decided by {outside(one.decided_by, 40)}" if one.decided_by else ""
    ended = f", ended by {outside(one.ended_by, 40)}" if one.ended_by else ""
    return [
        f"{one.status.value}  {outside(one.account, 40)} ({outside(one.role, 40)})  {outside(one.id, 36)}",
        *wrapped(", ".join(permission.value for permission in one.permissions), 2),
        f"  {when}{decided}{ended}",
        *wrapped(outside(one.reason, 500), 2),
    ]
