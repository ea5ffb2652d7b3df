"""`watchfloor token`: the credentials of machines. A secret goes into a new private file and is never printed."""

import os
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO, Final

import click

from console.client import service_tokens as client
from console.commands.base import Call, command, paging
from console.commands.output import instant, outside, wrapped
from contract.certificates import fingerprint_in
from contract.permissions import Permission
from contract.service_tokens import (
    MAX_DAYS,
    IssuedToken,
    RotateRequest,
    ServiceToken,
    ServiceTokenRequest,
    ServiceTokenState,
)

_PRIVATE: Final = 0o600
_TO = click.option(
    "--to", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A new file, 0600."
)


@click.group()
def token() -> None:
    """The tokens of machines: executors, watchers, alert routers, scripts."""


@token.command("issue")
@click.argument("name")
@click.option("--permission", "permissions", multiple=True, required=True, help="What it may do; again for more.")
@click.option(
    "--executor", "executors", multiple=True, metavar="NAME", help="For whom it may speak; * for any characters."
)
@click.option("--days", type=click.IntRange(1, MAX_DAYS), help="How long it works; else as the policy says.")
@click.option("--certificate", type=click.File("rb"), help="The machine's certificate (PEM): works over that one only.")
@click.option("--max-trade-eth", "limit", metavar="ETH", help="What its executors may trade at once.")
@_TO
@command("token.issue")
def issue(
    call: Call,
    /,
    *,
    name: str,
    permissions: tuple[str, ...],
    executors: tuple[str, ...],
    days: int | None,
    certificate: BinaryIO | None,
    limit: str | None,
    path: Path,
) -> None:
    """Make a machine a token and write its secret to a file.

    A watcher needs observe_halts, and nothing else; an executor or an adapter renew_permit.
    """
    asked = ServiceTokenRequest(
        name=name,
        permissions=[_permission(one) for one in permissions],
        executors=list(executors),
        days=days,
        certificate=_fingerprint(certificate) if certificate else None,
        max_trade_eth=_amount(limit) if limit is not None else None,
    )
    _show_issued(call, path, _into(path, lambda: call.ask(lambda api: client.issue(api, asked))))


@token.command("rotate")
@click.argument("name")
@click.option("--now", is_flag=True, help="The present secret may have leaked: it ends at once.")
@_TO
@command("token.rotate")
def rotate(call: Call, /, *, name: str, now: bool, path: Path) -> None:
    """Give a machine another secret, written to a file; the one before works until the new one is used."""
    asked = RotateRequest(now=now)
    _show_issued(call, path, _into(path, lambda: call.ask(lambda api: client.rotate(api, name, asked))))


@token.command("revoke")
@click.argument("name")
@command("token.revoke")
def revoke(call: Call, name: str) -> None:
    """End a machine's token at once, on every backend."""
    found = call.ask(lambda api: client.revoke(api, name))
    call.answer(found, lambda: _token(found))


@token.command("list")
@click.option("--ended", is_flag=True, help="Those that no longer work too.")
@paging
@command("token.list")
def list_tokens(call: Call, *, ended: bool, limit: int, cursor: str | None) -> None:
    """Tokens by name: what they may do, when last used, when they end."""
    page = call.ask(lambda api: client.tokens(api, ended=ended, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: [line for one in page.items for line in _token(one)] or ["No tokens."])


def _into(path: Path, made: Callable[[], IssuedToken]) -> IssuedToken:
    """Ask for a secret once there is a private file to keep it in, which is removed if none comes."""
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _PRIVATE)
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be made: {error.strerror}.", param_hint="--to") from error
    with os.fdopen(opened, "w") as file:
        try:
            issued = made()
            file.write(f"{issued.secret}\n")
        except BaseException:
            path.unlink()
            raise
    return issued


def _show_issued(call: Call, path: Path, issued: IssuedToken) -> None:
    body = {"file": str(path), "token": issued.token.model_dump(mode="json")}
    call.answer(body, lambda: [f"The secret is in {path}, and nowhere else.", *_token(issued.token)])


def _token(one: ServiceToken) -> list[str]:
    bound = ", ".join(outside(name, 60) for name in one.executors)
    over = f"over the certificate {one.certificate[:16]}…" if one.certificate else ""
    limit = f"trades up to {one.max_trade_eth:f} ETH" if one.max_trade_eth is not None else ""
    ends = "ended" if one.state is ServiceTokenState.EXPIRED else "ends"
    lines = [
        f"{one.state.value}  {outside(one.subject, 110)}",
        *wrapped(", ".join(one.permissions), 2),
        *(wrapped(f"speaks for {bound}", 2) if bound else []),
        *(f"  {note}" for note in (over, limit) if note),
        f"  made {instant(one.created_at)}, {ends} {instant(one.expires_at)}",
        f"  last used {instant(one.last_used_at)}",
    ]
    if one.overlap_until is not None:
        lines.append(f"  the secret before works until this one is used, at most to {instant(one.overlap_until)}")
    return lines


def _permission(name: str) -> Permission:
    try:
        return Permission(name)
    except ValueError:
        raise click.BadParameter(f"there is no permission {name!r}", param_hint="--permission") from None


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise click.BadParameter(f"{text!r} is not an amount of ETH", param_hint="--max-trade-eth") from None


def _fingerprint(certificate: BinaryIO) -> str:
    try:
        return fingerprint_in(certificate.read())
    except ValueError as error:
        raise click.BadParameter("has no certificate (PEM)", param_hint="--certificate") from error
