"""`watchfloor freezes drill`: freeze canaries for practice, and see what past drills have measured."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Final

import click

from console.client import freeze_drills
from console.client.api import Api, new_idempotency_key
from console.commands.base import Call, cell, command, finish, glyph_set, paging, write_new
from console.commands.freeze_options import reason_given, scope_typed
from console.commands.output import age, counted, instant, now_of, outside, table, wrapped
from console.widgets import words
from contract.errors import ExitCode
from contract.freeze import FreezeMode
from contract.freeze_drills import DrillHistory, FreezeDrill, FreezeDrillRequest, HaltTimes
from contract.scope import Scope

POLL_S: Final = 0.5
WAIT_S: Final = 120
"""Longer than the policies of both documents let a drill run."""


@click.group()
def drill() -> None:
    """Freeze canaries by the same path as in earnest, measure, and let them go."""


@drill.command("start")
@click.option(
    "--scope", "scopes", multiple=True, callback=scope_typed, help="executor:NAME; else the policy's canaries."
)
@click.option("--mode", type=click.Choice([m.value for m in FreezeMode]), default="halt", show_default=True)
@click.option("--reason", required=True, callback=reason_given, help="Why; it becomes evidence.")
@click.option("--wait", is_flag=True, help="Wait until it is over and show what it measured.")
@click.option("--timeout", type=click.IntRange(1, 3600), default=WAIT_S, show_default=True, help="Seconds to wait.")
@command("freezes.drill.start")
def start(call: Call, *, scopes: tuple[Scope, ...], mode: str, reason: str, wait: bool, timeout: int) -> None:
    """Freeze canaries, now; the drill ends by itself and lifts its own holds only."""
    request = FreezeDrillRequest(
        scopes=list(scopes), mode=FreezeMode(mode), reason=reason, idempotency_key=new_idempotency_key()
    )
    made = call.ask(lambda api: _start(api, request, timeout if wait else 0))
    call.answer(made, lambda: _details(made))
    if wait:
        finish(_exit_code(made))


async def _start(api: Api, request: FreezeDrillRequest, wait_s: float) -> FreezeDrill:
    made = await freeze_drills.start(api, request)
    ends_s = time.monotonic() + wait_s
    while made.ended_at is None and time.monotonic() < ends_s:
        await asyncio.sleep(POLL_S)
        made = await freeze_drills.drill(api, made.id)
    return made


def _exit_code(made: FreezeDrill) -> ExitCode:
    if made.ended_at is None:
        return ExitCode.TIMED_OUT
    return ExitCode.CHECK_FAILED if made.missed or made.orders_after_halt else ExitCode.OK


@drill.command("list")
@paging
@command("freezes.drill.list")
def list_drills(call: Call, limit: int, cursor: str | None) -> None:
    """Past drills, newest first, with p50 and p99 over all that are listed."""
    history = call.ask(lambda api: freeze_drills.history(api, limit=limit, cursor=cursor))
    call.answer(history, lambda: _history(history))


@drill.command("show")
@click.argument("ident", metavar="ID")
@click.option(
    "--evidence",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write everything an auditor needs into this file, the executors' signed statements among it.",
)
@command("freezes.drill.show")
def show(call: Call, ident: str, evidence: Path | None) -> None:
    """One drill, with what it measured of every canary."""
    one = call.ask(lambda api: freeze_drills.drill(api, ident))
    if evidence is not None:
        pack = call.ask(lambda api: freeze_drills.evidence(api, ident))
        write_new(evidence, pack.model_dump_json(indent=1).encode() + b"\n", option="--evidence")
    call.answer(one, lambda: [*_details(one), *([f"written to {evidence}"] if evidence else [])])


def _history(history: DrillHistory) -> list[str]:
    if not history.items:
        return [f"No freeze drills. As of {instant(now_of(history.as_of))}."]
    now = now_of(history.as_of)
    rows = [
        (
            outside(one.ref, 12),
            f"{age(one.started_at, now)} ago",
            outside(" ".join(map(str, one.scopes)), 28),
            words.number(one.covered),
            "running" if one.ended_at is None else words.number(one.missed),
            _seconds(one.times.p50_seconds),
            _seconds(one.times.p99_seconds),
            words.number(one.orders_after_halt),
        )
        for one in history.items
    ]
    head = ("drill", "started", "canaries", "bots", "missed", "p50", "p99", "after halt")
    return [*table(head, rows, right=(3, 4, 5, 6, 7)), *wrapped(_together(history), 0)]


def _together(history: DrillHistory) -> str:
    drills = counted(history.ended, "drill")
    return (
        f"{drills} that ended: {_times(history.times)}, {history.missed} missed, "
        f"{counted(history.orders_after_halt, 'order')} after a signed halt."
    )


def _times(times: HaltTimes) -> str:
    if not times.count:
        return "time to halt n/a (0 of 0)"
    return (
        f"time to halt p50 {_seconds(times.p50_seconds)}, p99 {_seconds(times.p99_seconds)}, "
        f"longest {_seconds(times.max_seconds)} (n={times.count})"
    )


def _seconds(value: Decimal | None) -> str:
    return "n/a" if value is None else f"{value:.2f} s"


def _details(one: FreezeDrill) -> list[str]:
    scopes = outside(" ".join(map(str, one.scopes)), 200)
    head = f"{outside(one.ref)} {scopes} {one.mode}, holds {', '.join(one.holds)}: "
    if one.ended_at is None:
        ends = f"running, {counted(one.covered, 'executor')}; it ends by itself at {instant(one.ends_at)}"
        return wrapped(f"{head}{ends}. Follow it: watchfloor freezes drill show {outside(one.ref)}", 0)
    figures = (
        f"{_times(one.times)}, {one.missed} missed, {counted(one.orders_after_halt, 'order')} after a signed halt."
    )
    lines = [*wrapped(head + figures, 0), f"  by {outside(one.started_by, 40)}, {instant(one.started_at)}"]
    lines += wrapped(f"reason {outside(one.reason, 300)}", 2)
    rows = [
        (
            cell(words.outcome(outcome, glyph_set())),
            outside(outcome.executor, 40),
            _seconds(outcome.halted_after_seconds),
            words.number(outcome.orders_until_halt_at_most),
            words.number(outcome.orders_after_halt),
            outside(outcome.proof, 80),
        )
        for outcome in one.outcomes
    ]
    columns = ("state", "executor", "halted", "before", "after", "proof")
    return [*lines, *(table(columns, rows, right=(2, 3, 4)) if rows else [])]
