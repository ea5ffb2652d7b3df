"""`watchfloor privacy erase|hold` and `audit reveal`: erase a person by two people, keep what a legal hold covers."""

import click

from console.client import privacy as client
from console.commands.base import Call, command, paging
from console.commands.output import instant, outside, wrapped
from console.commands.times import instant_option
from contract.privacy import (
    Erasure,
    ErasurePreview,
    ErasureRequest,
    LegalHold,
    LegalHoldRequest,
    LegalHoldState,
    Reasoned,
    RevealRequest,
)

_REASON = click.option("--reason", required=True, help="Why; it stays on record.")

_STATES = {
    LegalHoldState.IN_FORCE: "in force",
    LegalHoldState.LIFT_REQUESTED: "in force",
    LegalHoldState.LIFTED: "lifted",
}


@click.group()
def privacy() -> None:
    """Personal data: erase a person by two people, and legal holds."""


@privacy.group()
def erase() -> None:
    """Erasures: asked for by one person, approved by another. What is erased cannot be brought back."""


@erase.command("preview")
@click.argument("name", metavar="NAME")
@command("privacy.erase.preview")
def preview(call: Call, name: str) -> None:
    """Say what erasing a person would destroy; does nothing."""
    found = call.ask(lambda api: client.preview_erasure(api, name))
    call.answer(found, lambda: _preview(found))


def _preview(found: ErasurePreview) -> list[str]:
    kept = f"{_capped(found.entries, found.count_cap)} written by them stay, under {outside(found.surrogate, 60)}"
    lines = [
        f"{outside(found.subject, 60)}: {_capped(found.sealed_values, found.count_cap)} sealed values are destroyed",
        f"  entries: {kept}",
    ]
    return [*lines, *([f"  legal holds that forbid it: {found.legal_holds}"] if found.legal_holds else [])]


def _capped(number: int, cap: int) -> str:
    return f"{number:,}{'+' if number >= cap else ''}"


@erase.command("request")
@click.argument("name", metavar="NAME")
@_REASON
@command("privacy.erase.request")
def request(call: Call, name: str, reason: str) -> None:
    """Ask for the person of an account to be erased."""
    asked = ErasureRequest(subject=name, reason=reason)
    _show(call, call.ask(lambda api: client.request_erasure(api, asked)))


@erase.command("approve")
@click.argument("ident", metavar="ID")
@command("privacy.erase.approve")
def approve(call: Call, ident: str) -> None:
    """Erase a person as the second one who wants it. Cannot be taken back."""
    _show(call, call.ask(lambda api: client.decide_erasure(api, ident, "approve")))


@erase.command("withdraw")
@click.argument("ident", metavar="ID")
@command("privacy.erase.withdraw")
def withdraw(call: Call, ident: str) -> None:
    """Take back or turn down a request."""
    _show(call, call.ask(lambda api: client.decide_erasure(api, ident, "withdraw")))


@erase.command("list")
@paging
@command("privacy.erase.list")
def list_erasures(call: Call, limit: int, cursor: str | None) -> None:
    """Requests, newest first."""
    page = call.ask(lambda api: client.erasures(api, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: [line for one in page.items for line in _erasure(one)] or ["No requests."])


def _show(call: Call, one: Erasure) -> None:
    call.answer(one, lambda: _erasure(one))


def _erasure(one: Erasure) -> list[str]:
    lines = [
        f"{one.status.value}  {outside(one.subject, 40)}  {outside(one.id, 36)}",
        f"  asked by {outside(one.requested_by, 40)} at {instant(one.requested_at)}",
        *wrapped(outside(one.reason, 500), 2),
    ]
    if one.decided_by:
        values = "" if one.values_erased is None else f", {one.values_erased:,} values"
        lines.append(f"  decided by {outside(one.decided_by, 40)} at {instant(one.decided_at)}{values}")
    return lines


@privacy.group()
def hold() -> None:
    """Legal holds: what they cover is neither erased nor dropped until two people lift them."""


@hold.command("place")
@click.option("--subject", metavar="NAME", help="Keep this person's data.")
@click.option("--log", metavar="NAME", help="Keep this log of the ledger.")
@click.option("--since", callback=instant_option, default="", metavar="TIME", help="Only entries from then on.")
@click.option("--until", callback=instant_option, default="", metavar="TIME", help="Only entries before then.")
@_REASON
@command("privacy.hold.place")
def place(call: Call, /, *, subject: str | None, log: str | None, since: str, until: str, reason: str) -> None:
    """Place a legal hold; it counts at once."""
    if subject is None and log is None:
        raise click.UsageError("Say --subject or --log: what is to be kept.")
    body = {"subject": subject, "log": log, "since": since or None, "until": until or None, "reason": reason}
    asked = LegalHoldRequest.model_validate(body)
    _show_hold(call, call.ask(lambda api: client.place_legal_hold(api, asked)))


@hold.command("lift")
@click.argument("ident", metavar="ID")
@_REASON
@command("privacy.hold.lift")
def lift(call: Call, ident: str, reason: str) -> None:
    """Ask for a legal hold to be lifted."""
    asked = Reasoned(reason=reason)
    _show_hold(call, call.ask(lambda api: client.lift_legal_hold(api, ident, asked)))


@hold.command("approve")
@click.argument("ident", metavar="ID")
@command("privacy.hold.approve")
def approve_lift(call: Call, ident: str) -> None:
    """Lift a legal hold as the second person."""
    _show_hold(call, call.ask(lambda api: client.lift_legal_hold(api, ident, None)))


@hold.command("list")
@click.option("--lifted", is_flag=True, help="Those that were lifted too.")
@paging
@command("privacy.hold.list")
def list_holds(call: Call, *, lifted: bool, limit: int, cursor: str | None) -> None:
    """Legal holds, newest first."""
    page = call.ask(lambda api: client.legal_holds(api, lifted=lifted, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: [line for one in page.items for line in _hold(one)] or ["No legal holds."])


@hold.command("show")
@click.argument("ident", metavar="ID")
@command("privacy.hold.show")
def show_hold(call: Call, ident: str) -> None:
    """One legal hold, with how much it keeps."""
    _show_hold(call, call.ask(lambda api: client.legal_hold(api, ident)))


def _show_hold(call: Call, one: LegalHold) -> None:
    call.answer(one, lambda: _hold(one))


def _hold(one: LegalHold) -> list[str]:
    what = " ".join(filter(None, (one.subject and f"person {one.subject}", one.log and f"log {one.log}")))
    asked = f", lift asked by {outside(one.lift_requested_by, 40)}" if one.lift_requested_by else ""
    return [
        f"{_STATES[one.state]}  {outside(what, 60)}  {outside(one.id, 36)}",
        f"  placed by {outside(one.placed_by, 40)} at {instant(one.placed_at)}{asked}",
        *wrapped(outside(one.reason, 500), 2),
        *_reach(one),
    ]


def _reach(one: LegalHold) -> list[str]:
    if one.reach is None:
        return []
    entries = f"{_capped(one.reach.entries, one.reach.count_cap)} entries"
    if one.reach.sealed_values is None:
        return [f"  keeps {entries}"]
    values = _capped(one.reach.sealed_values, one.reach.count_cap)
    return [f"  keeps {entries} written by the person, those that name them, and {values} sealed values"]


@click.command("reveal")
@click.argument("ident", metavar="ID")
@_REASON
@command("audit.reveal")
def reveal(call: Call, ident: str, reason: str) -> None:
    """Open the sealed values of one entry. That you did, and why, is recorded with it."""
    asked = RevealRequest(reason=reason)
    found = call.ask(lambda api: api.reveal(ident, asked))

    def lines() -> list[str]:
        told = [f"  {outside(name, 40)}  {outside(value, 300) or 'erased'}" for name, value in found.values.items()]
        return [*(told or ["  nothing is sealed in it"]), f"recorded as {outside(found.recorded_as, 36)}"]

    call.answer(found, lines)
