"""`watchfloor freeze`, `freezes list|show|watch` and `thaw`: stop, see that it has stopped, let go by two people."""

import asyncio
import sys
import time
from functools import partial
from typing import Final

import click

from console.client.api import Api, new_idempotency_key
from console.client.errors import ClientError, TimedOut
from console.client.signing_in import approve_thaw as approve
from console.client.stream import Change, ConnectionState, Feed, Line, Snapshot
from console.commands import output
from console.commands.base import Call, cell, command, finish, glyph_set, paging
from console.commands.freeze_drills import drill
from console.commands.freeze_options import reason_given, scope_typed
from console.commands.output import age, counted, instant, now_of, outside, table, wrapped
from console.commands.thawing import DIGEST_PREFIX, covered_by
from console.commands.unanswered import unanswered
from console.state.freezing import Outcome, Wanted, effect_of, latched_text, unmet
from console.state.headline import DRILL
from console.widgets import words
from console.widgets.thaw import stage_text
from contract.errors import ExitCode
from contract.freeze import Freeze, FreezeMode, FreezeRequest, FreezeStatus, LatchedFreezes
from contract.scope import Scope
from contract.stream import Topic
from contract.thaw import DIGEST_CHARS

POLL_S: Final = 0.3
"""How often an answer of the executors is looked for while a command waits."""
_NOT_YET: Final = frozenset({ExitCode.UNREACHABLE, ExitCode.TIMED_OUT})
"""While a command waits, a backend that cannot be asked is asked again."""
WAIT_S: Final = 60
"""Executors renew their permits every few seconds; one that is silent for a minute needs a person."""


@click.command()
@click.option(
    "--scope", callback=scope_typed, required=True, help="global, chain:X, strategy:X … or chain:X+strategy:Y."
)
@click.option("--mode", type=click.Choice([m.value for m in FreezeMode]), default="halt", show_default=True)
@click.option("--reason", required=True, callback=reason_given, help="Why; it becomes evidence.")
@click.option("--wait", type=click.Choice([w.value for w in Wanted]), help="Wait until everybody is so far.")
@click.option("--timeout", type=click.IntRange(1, 3600), default=WAIT_S, show_default=True, help="Seconds to wait.")
@command("freeze")
def freeze(call: Call, *, scope: Scope, mode: str, reason: str, wait: str | None, timeout: int) -> None:
    """Stop trading in a scope, now."""
    wanted = Wanted(wait) if wait else None
    request = FreezeRequest(scope=scope, mode=FreezeMode(mode), reason=reason, idempotency_key=new_idempotency_key())
    frozen, failure = call.ask(lambda api: _freeze(api, request, wanted, timeout))
    outcome = _outcome(frozen, wanted)
    waiting_for = list(unmet(frozen, wanted or Wanted.ACKED))
    body = frozen.model_dump(mode="json") | {"outcome": outcome, "not_confirmed": waiting_for}
    call.answer(body, lambda: _told(frozen, outcome, waiting_for))
    if failure is not None:
        output.note(f"Not known whether all have stopped: {failure.message}")
    finish(failure.exit_code if failure else _exit_code(outcome))


async def _freeze(
    api: Api, request: FreezeRequest, wanted: Wanted | None, timeout_s: int
) -> tuple[Freeze, ClientError | None]:
    try:
        frozen = await api.freeze(request)
    except TimedOut as error:
        error.hint = "See what became of it: watchfloor freezes unanswered"
        raise
    return (frozen, None) if wanted is None else await confirmed(api, frozen, wanted, timeout_s)


async def confirmed(api: Api, frozen: Freeze, wanted: Wanted, timeout_s: float) -> tuple[Freeze, ClientError | None]:
    """The freeze as last seen once it is settled or time is up; and what hid it, if anything.

    Settled: all are as far as wanted, somebody went on, or it was lifted.
    """
    ends_s = time.monotonic() + timeout_s
    failure: ClientError | None = None
    while True:
        try:
            frozen, failure = await api.freeze_detail(frozen.id), None
        except ClientError as error:
            failure = error
            if error.exit_code not in _NOT_YET and not (
                error.exit_code is ExitCode.NOT_FOUND and frozen.status is FreezeStatus.LATCHED
            ):
                return frozen, failure
        if failure is None and (not unmet(frozen, wanted) or _failed(frozen)):
            return frozen, None
        if time.monotonic() >= ends_s:
            return frozen, failure
        await asyncio.sleep(POLL_S)


def _failed(frozen: Freeze) -> bool:
    return frozen.status is FreezeStatus.THAWED or frozen.violations > 0


def _outcome(frozen: Freeze, wanted: Wanted | None) -> str:
    if _failed(frozen):
        return "failed"
    if frozen.status is FreezeStatus.LATCHED and wanted is None:
        return "latched"
    if not unmet(frozen, wanted or Wanted.ACKED):
        return "done"
    return "unknown" if wanted else "requested"


def _exit_code(outcome: str) -> ExitCode:
    match outcome:
        case "failed":
            return ExitCode.CHECK_FAILED
        case "unknown":
            return ExitCode.TIMED_OUT
        case _:
            return ExitCode.OK


def _told(frozen: Freeze, outcome: str, waiting_for: list[str]) -> list[str]:
    g = glyph_set()
    head = f"{g.frozen} {outside(frozen.ref)} {outside(str(frozen.scope))} {frozen.mode}: "
    halted = f"{frozen.halted} of {counted(frozen.covered, 'executor')} halted"
    if frozen.verified:
        halted += f", {frozen.verified} verified"
    match outcome:
        case _ if frozen.status is FreezeStatus.LATCHED:
            said = "UNKNOWN, " if outcome == "unknown" else ""
            return wrapped(f"{head}{said}{latched_text(frozen)} See: watchfloor freezes show {outside(frozen.id)}", 0)
        case "done" if frozen.covered == 0:
            return [head + "in force; no executor is known under this scope."]
        case "done":
            return [f"{head}done, {halted}."]
        case "failed" if frozen.violations:
            gone_on = counted(frozen.violations, "executor")
            return wrapped(f"{head}FAILED, {gone_on} went on after the freeze; {halted}.", 0)
        case "failed":
            return [head + f"lifted by {outside(frozen.thawed_by)} before all had stopped; {halted}."]
        case "unknown":
            text = f"UNKNOWN, {halted}. Not confirmed: {', '.join(outside(name, 60) for name in waiting_for)}."
        case _:
            text = f"in force, {halted}. Follow it: watchfloor freezes show {outside(frozen.ref)}"
    return wrapped(head + text, 0)


@click.group()
def freezes() -> None:
    """Freezes: what is stopped, by whom, and who has confirmed."""


freezes.add_command(drill)
freezes.add_command(unanswered)


@freezes.command("list")
@click.option("--status", type=click.Choice(["in-force", "all"]), default="in-force", show_default=True)
@paging
@command("freezes.list")
def list_freezes(call: Call, status: str, limit: int, cursor: str | None) -> None:
    """Freezes, newest first."""
    page = call.ask(lambda api: api.freezes(status=status, limit=limit, cursor=cursor))
    now = now_of(page.as_of)

    def lines() -> list[str]:
        if not page.items:
            return [page.partial or f"No freezes ({status}). As of {instant(now)}."]
        return [line for one in page.items for line in _entry(one, age(one.created_at, now))]

    call.answer_page(page, lines)
    if page.partial is not None and page.items:
        output.note(page.partial)
    if page.journals_elsewhere:
        output.note(f"Freezes wait in {counted(page.journals_elsewhere, 'journal')} beside this backend's as well.")


def _entry(one: Freeze, created: str) -> list[str]:
    g = glyph_set()
    in_force = one.status is not FreezeStatus.THAWED
    mark = output.painted(g.frozen if in_force else g.done, "frozen" if in_force else "ok")
    stands = f"{_word(one.status)}  {one.halted} of {one.covered} halted"
    if one.status is FreezeStatus.LATCHED:
        mark, stands = output.painted(g.near, "near"), "waiting for the database"
    mode = f"{DRILL} {one.mode}" if one.drill else one.mode.value
    head = f"{mark} {outside(one.ref, 12)}  {outside(str(one.scope), 30)}  {mode}  {stands}"
    by = f"by {outside(one.automatic_rule or one.created_by, 40)} {created} ago: {outside(one.reason, 300)}"
    return [head, *wrapped(by, 2)]


def _word(status: FreezeStatus) -> str:
    return status.value.replace("_", " ")


@freezes.command("show")
@click.argument("ident", metavar="ID")
@command("freezes.show")
def show(call: Call, ident: str) -> None:
    """One freeze, with the answer of every executor it covers."""
    one = call.ask(lambda api: api.freeze_detail(ident))
    call.answer(one, lambda: _details(one))


def _details(one: Freeze) -> list[str]:
    lines = _entry(one, age(one.created_at, now_of(None)))
    lines.append(f"  since  {instant(one.created_at)}")
    if one.thaw_requested_by and one.status is not FreezeStatus.ACTIVE:
        asked = f"thaw asked for by {outside(one.thaw_requested_by)} at {instant(one.thaw_requested_at)}: "
        lines += wrapped(asked + outside(one.thaw_reason), 2)
    if one.thaw is not None and one.status is not FreezeStatus.ACTIVE:
        lines += [f"  {row}" for row in covered_by(one, one.thaw, now_of(None))]
    if one.thawed_by:
        lines.append(f"  thawed by {outside(one.thawed_by)} at {instant(one.thawed_at)}")
    if one.proofs:
        waited_s = (now_of(None) - one.created_at).total_seconds()
        late = effect_of(one, waited_s).outcome is Outcome.UNKNOWN
        rows = [
            (
                cell(words.halted(proof, glyph_set(), late=late)),
                outside(proof.executor, 40),
                "-" if proof.halted_after_seconds is None else f"{proof.halted_after_seconds} s",
                words.number(proof.in_flight),
                outside(proof.proof, 80),
            )
            for proof in one.proofs
        ]
        lines += table(("state", "executor", "halted after", "in flight", "proof"), rows, right=(2, 3))
    return lines


@freezes.command("watch")
@click.argument("ident", metavar="[ID]", required=False)
@command("freezes.watch")
def watch(call: Call, ident: str | None) -> None:
    """Freezes as they change, one line each, until Ctrl-C; with ID only that one, until it is thawed."""
    call.ask(lambda api: _watch(call, api, ident))


async def _watch(call: Call, api: Api, ident: str | None) -> None:
    async for update in Feed(api).updates():
        match update:
            case ConnectionState() if update.line is not Line.CONNECTING:
                output.note(f"{update.line}: {update.detail}" if update.detail else str(update.line))
            case Snapshot():
                changed = update.overview.freezes
            case Change(topic=Topic.FREEZE, model=Freeze() as one):
                changed = [one]
            case Change(model=LatchedFreezes() as latched):
                changed = latched.items
            case _:
                continue
        if isinstance(update, ConnectionState):
            continue
        for one in changed:
            if ident is None or ident in {one.id, one.ref}:
                line = _entry(one, age(one.created_at, now_of(None)))[0]
                call.answer(one, partial(list, [line]))
                if ident is not None and one.status is FreezeStatus.THAWED:
                    return


def _digest(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    digest = value.strip().casefold()
    if not DIGEST_PREFIX <= len(digest) <= DIGEST_CHARS or not set(digest) <= set("0123456789abcdef"):
        raise click.BadParameter(f"give {DIGEST_PREFIX} to {DIGEST_CHARS} hexadecimal digits.")
    return digest


class ThawGroup(click.Group):
    """`thaw ID` asks, `thaw approve ID` approves: a first word that is no subcommand is an id."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the subcommand that is meant in front of an id."""
        if args and args[0] not in self.commands and args[0] not in {"--help", "-h"}:
            args = ["request", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ThawGroup, subcommand_metavar="ID --reason TEXT | approve ID | withdraw ID")
def thaw() -> None:
    """Ask for a freeze to be lifted; somebody else approves."""


@thaw.command("request")
@click.argument("ident", metavar="ID")
@click.option("--reason", required=True, callback=reason_given, help="Why it is safe to go on.")
@command("thaw")
def request_thaw(call: Call, ident: str, reason: str) -> None:
    """Ask for a freeze to be lifted; the word `request` may be left out."""
    one = call.ask(lambda api: api.request_thaw(ident, reason))
    prefix = f" --digest {one.thaw.digest[:DIGEST_PREFIX]}" if one.thaw else ""
    told = f"{outside(one.ref)} stays in force until a second person runs: watchfloor thaw approve {one.ref}{prefix}"
    call.answer(one, lambda: wrapped(told, 0))


@thaw.command("approve")
@click.argument("ident", metavar="ID")
@click.option("--digest", callback=_digest, help=f"First {DIGEST_PREFIX} or more characters of what was shown.")
@command("thaw.approve")
def approve_thaw(call: Call, ident: str, digest: str | None) -> None:
    """Approve a thaw as the second person: shows what it covers, and takes its digest or asks."""
    shown = call.ask(lambda api: api.freeze_detail(ident))
    now = now_of(None)
    if shown.thaw is None:
        output.note(f"{outside(shown.ref)} is {_word(shown.status)}: there is nothing to approve.")
        finish(ExitCode.CHECK_FAILED)
        return
    thaw = shown.thaw
    for row in covered_by(shown, thaw, now):
        output.note(row)
    if digest is None:
        digest = _asked_for_digest(thaw.digest)
    if not thaw.digest.startswith(digest):
        output.note(f"It is no longer what you were shown: its digest now begins with {thaw.digest[:DIGEST_PREFIX]}.")
        finish(ExitCode.REFUSED_BY_POLICY)
        return
    one = call.ask(lambda api: approve(api, shown.id, digest=thaw.digest, version=shown.version))
    call.answer(one, lambda: _approved(one))


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked_for_digest(digest: str) -> str:
    """What a person types who has read what is above: on a terminal only, a script names the digest it was shown.

    Raises:
        UsageError: nobody is there to ask.
    """
    if not _is_terminal():
        raise click.UsageError("Nobody is there to ask: name the digest of what you approve with --digest.")
    wanted = digest[:DIGEST_PREFIX]
    typed: str = click.prompt(f"Type {wanted} to approve this", err=True, default="", show_default=False)
    if typed.strip().casefold() != wanted:
        output.note("Not approved.")
        finish(ExitCode.REFUSED_BY_POLICY)
    return wanted


def _approved(one: Freeze) -> list[str]:
    head = f"{outside(one.ref)} {outside(str(one.scope))} is {_word(one.status)}"
    if one.thaw is None or one.thaw.watch_until is None:
        return [f"{head}."]
    first, until = one.thaw.stages[0], instant(one.thaw.watch_until)
    text = f"{head}: {stage_text(first, first=True)}. The rest follows at {until} unless a critical alert comes up."
    return [*wrapped(text, 0), *wrapped(f"Stop it: watchfloor thaw withdraw {outside(one.ref)}", 2)]


@thaw.command("withdraw")
@click.argument("ident", metavar="ID")
@command("thaw.withdraw")
def withdraw_thaw(call: Call, ident: str) -> None:
    """Take back or turn down a request, or stop a thaw that is taking effect; the freeze stays."""
    one = call.ask(lambda api: api.withdraw_thaw(ident))
    call.answer(one, lambda: [f"{outside(one.ref)} {outside(str(one.scope))} stays in force."])
