"""`watchfloor access`: when auditors may come in, and the review of who has what."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from console.client import access as client
from console.commands.base import Call, command, paging, write_new
from console.commands.output import counted, instant, outside, wrapped
from console.commands.times import instant_option
from contract.access import (
    AccessReview,
    AccessReviewItem,
    AccessWindow,
    AccessWindowRequest,
    ReviewDecision,
    ReviewDecisionRequest,
)
from contract.privacy import Reasoned

_REASON = click.option("--reason", required=True, help="Why; it stays on record.")


@click.group()
def access() -> None:
    """Access windows, and the review of who has what."""


@access.command("grant")
@click.argument("account", metavar="ACCOUNT")
@click.option("--from", "starts", callback=instant_option, default="", metavar="TIME", help="Else now; UTC.")
@click.option("--until", "ends", callback=instant_option, default="", metavar="TIME", help="As 2026-03-09T20:42; UTC.")
@click.option("--hours", type=click.IntRange(1, 24 * 366), help="Instead of --until: so long after the start.")
@_REASON
@command("access.grant")
def grant(call: Call, /, *, account: str, starts: str, ends: str, hours: int | None, reason: str) -> None:
    """Let somebody whose role needs it in for a time."""
    if bool(ends) == (hours is not None):
        raise click.UsageError("Say either --until or --hours: when the window closes.")
    if hours is not None:
        start = datetime.fromisoformat(starts) if starts else datetime.now(UTC)
        ends = (start + timedelta(hours=hours)).isoformat()
    body = {"account": account, "starts_at": starts or None, "ends_at": ends, "reason": reason}
    asked = AccessWindowRequest.model_validate(body)
    _show_window(call, call.ask(lambda api: client.grant_window(api, asked)))


@access.command("revoke")
@click.argument("ident", metavar="ID")
@_REASON
@command("access.revoke")
def revoke(call: Call, ident: str, reason: str) -> None:
    """Close a window now, or keep it from opening; open sessions end with it."""
    asked = Reasoned(reason=reason)
    _show_window(call, call.ask(lambda api: client.revoke_window(api, ident, asked)))


@access.command("list")
@click.option("--closed", is_flag=True, help="Those that are over too.")
@paging
@command("access.list")
def list_windows(call: Call, *, closed: bool, limit: int, cursor: str | None) -> None:
    """Access windows, newest first."""
    page = call.ask(lambda api: client.windows(api, closed=closed, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: [line for one in page.items for line in _window(one)] or ["No access windows."])


def _show_window(call: Call, one: AccessWindow) -> None:
    call.answer(one, lambda: _window(one))


def _window(one: AccessWindow) -> list[str]:
    revoked = f", revoked by {outside(one.revoked_by, 40)}" if one.revoked_by else ""
    return [
        f"{one.state.value}  {outside(one.account, 40)}  {outside(one.id, 36)}",
        f"  {instant(one.starts_at)} to {instant(one.ends_at)}",
        f"  granted by {outside(one.granted_by, 40)}{revoked}",
        *wrapped(outside(one.reason, 500), 2),
    ]


@access.group()
def review() -> None:
    """Access reviews: who has what, since when, last used, and what is decided about each."""


@review.command("open")
@command("access.review.open")
def open_review(call: Call) -> None:
    """Open a review out of turn; the policy's schedule opens its own."""
    _show_review(call, call.ask(client.open_review))


@review.command("list")
@paging
@command("access.review.list")
def list_reviews(call: Call, limit: int, cursor: str | None) -> None:
    """Reviews, newest first."""
    page = call.ask(lambda api: client.reviews(api, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: [line for one in page.items for line in _review(one)] or ["No access reviews."])


@review.command("show")
@click.argument("ident", metavar="ID")
@command("access.review.show")
def show_review(call: Call, ident: str) -> None:
    """One review with everything in it."""
    _show_review(call, call.ask(lambda api: client.review(api, ident)))


@review.command("decide")
@click.argument("ident", metavar="ID")
@click.argument("number", metavar="NUMBER", type=click.IntRange(1, 100_000))
@click.argument("decision", type=click.Choice([one.value for one in ReviewDecision]))
@click.option("--role", metavar="ROLE", help="The new role, for `change`.")
@_REASON
@command("access.review.decide")
def decide(call: Call, /, *, ident: str, number: int, decision: str, role: str | None, reason: str) -> None:
    """Keep, change or revoke one account's or token's access; counts at once."""
    asked = ReviewDecisionRequest(decision=ReviewDecision(decision), role=role, reason=reason)
    found = call.ask(lambda api: client.decide_item(api, ident, number, asked))
    call.answer(found, lambda: _item(found))


@review.command("close")
@click.argument("ident", metavar="ID")
@command("access.review.close")
def close_review(call: Call, ident: str) -> None:
    """Finish a review in which everything is decided."""
    _show_review(call, call.ask(lambda api: client.close_review(api, ident)))


@review.command("export")
@click.argument("ident", metavar="ID")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A file that is not there yet.")
@command("access.review.export")
def export_review(call: Call, ident: str, out: Path) -> None:
    """Write a finished review to a file."""
    found = call.ask(lambda api: client.export_review(api, ident))
    body = found.model_dump(mode="json")
    write_new(out, (json.dumps(body, indent=2, sort_keys=True) + "\n").encode())
    call.answer({"file": str(out), "sha256": found.sha256}, lambda: [f"{out} written, review sha256 {found.sha256}"])


def _show_review(call: Call, one: AccessReview) -> None:
    call.answer(one, lambda: _review(one))


def _review(one: AccessReview) -> list[str]:
    state = "closed" if one.closed_at else "open"
    closed = f", closed by {outside(one.closed_by, 40)} at {instant(one.closed_at)}" if one.closed_at else ""
    return [
        f"{state}  {outside(one.period or 'out of turn', 20)}  {outside(one.id, 36)}",
        f"  opened by {outside(one.opened_by or 'schedule', 40)} at {instant(one.opened_at)}{closed}",
        f"  {one.decided} of {counted(one.total, 'item')} decided, due {instant(one.due_at)}",
        *(line for item in one.items for line in _item(item)),
    ]


def _item(one: AccessReviewItem) -> list[str]:
    findings = "".join(f"  {finding.value.upper()}" for finding in one.findings)
    decided = "undecided"
    if one.decision is not None:
        new = f" to {outside(one.new_role, 40)}" if one.new_role else ""
        decided = f"{one.decision.value}{new} by {outside(one.decided_by, 40)} at {instant(one.decided_at)}"
    return [
        f"{one.number:>4}  {outside(one.name, 40)}  {outside(one.role, 40)}{findings}",
        f"      since {instant(one.since)}, last used {instant(one.last_used_at)}; {decided}",
    ]
