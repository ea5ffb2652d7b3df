"""`watchfloor drill …`: recovery drills, which really fail over. Freeze drills are `watchfloor freezes drill`."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Final

import click

from console.client import recovery as client
from console.client.api import Api, new_idempotency_key
from console.client.errors import ApiError, Unreachable
from console.commands import drill_words as words
from console.commands.base import Call, command, finish, paging
from console.commands.drill_report import finding, report, sign
from console.commands.freeze_options import reason_given
from console.commands.output import note, now_of, outside, write_lines
from console.state.recovery import newly_over, waiting_step
from contract.errors import ErrorCode, ExitCode
from contract.recovery import (
    MAX_EVIDENCE_CHARS,
    AbortRequest,
    DrillRequest,
    DryRun,
    RecoveryDrill,
    StepRequest,
)
from contract.recovery_states import ENDED, DrillState

POLL_S: Final = 0.5
WAIT_S: Final = 3600
"""A drill that a person lets run step by step may well take this long."""
_PASSING: Final = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.BUSY, ErrorCode.NOT_FOUND, ErrorCode.RATE_LIMITED})
"""While the primary is away: the backend has no database, or one that has not got the drill's rows yet."""

Said = Callable[[list[str]], None]


@click.group()
def drill() -> None:
    """Recovery drills: fail the database over, measure RTO and RPO, fail back. Freeze drills: `freezes drill`."""


drill.add_command(report)
drill.add_command(sign)
drill.add_command(finding)


@drill.command("plans")
@command("drill.plans")
def plans(call: Call) -> None:
    """The plans of the policy: what each step would do here, and what keeps a plan from being run."""
    found = call.ask(client.plans)
    call.answer(found, lambda: words.plans(found))


@drill.command("dry-run")
@click.argument("plan")
@command("drill.dry-run")
def dry_run(call: Call, plan: str) -> None:
    """What a plan would do now, and on what, without doing any of it. Exit code 6 when it would not start."""
    found = call.ask(lambda api: client.dry_run(api, plan))
    call.answer(found, lambda: words.dry_run(found))
    finish(ExitCode.OK if found.would_start else ExitCode.REFUSED_BY_POLICY)


@drill.command("start")
@click.option("--plan", required=True, help="A plan of `drill plans`.")
@click.option("--reason", required=True, callback=reason_given, help="Why; it becomes evidence.")
@click.option("--hands-off", is_flag=True, help="One step after the other without asking, destructive ones too.")
@click.option("--cluster", default="", help="The cluster's name, typed: for a hands-off drill that is destructive.")
@click.option("--yes", is_flag=True, help="Do not ask here: what it would do has been read.")
@click.option("--wait", is_flag=True, help="Say each step as it ends; exit code 0 only if the drill passed.")
@click.option("--timeout", type=click.IntRange(1), default=WAIT_S, show_default=True, help="Seconds to wait.")
@command("drill.start")
def start(
    call: Call, *, plan: str, reason: str, hands_off: bool, cluster: str, yes: bool, wait: bool, timeout: int
) -> None:
    """Run a plan. The run belongs to the backend: it goes on whatever becomes of this terminal."""
    if not yes:
        cluster = _asked(call.ask(lambda api: client.dry_run(api, plan)), cluster)
    request = DrillRequest(
        plan=plan, reason=reason, hands_off=hands_off, cluster=cluster, idempotency_key=new_idempotency_key()
    )
    made = call.ask(lambda api: client.start(api, request))
    if wait:
        made = call.ask(lambda api: _followed(api, made, timeout, _said(call)))
    call.answer(made, lambda: words.drill(made, now_of(made.heard_at)))
    if wait:
        finish(_exit_code(made))


def _asked(found: DryRun, cluster: str) -> str:
    """Have somebody who has read what it would do type the cluster's name; returns the name."""
    for row in words.dry_run(found):
        note(row)
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked: say --yes, after `watchfloor drill dry-run`.")
    if not found.plan.destructive:
        click.confirm("Run it?", abort=True, err=True)
        return cluster
    typed = str(click.prompt("Type the cluster's name to run it", err=True)).strip()
    if typed != found.topology.cluster:
        raise click.UsageError(
            f"That is not the cluster's name: nothing was done, {found.topology.cluster} is untouched."
        )
    return typed


def _said(call: Call) -> Said:
    """Where the steps are told: stdout is kept for the one object when JSON is asked for."""

    def on_stderr(rows: list[str]) -> None:
        for row in rows:
            note(row)

    return on_stderr if call.as_json else write_lines


async def _followed(api: Api, made: RecoveryDrill, wait_s: float, say: Said) -> RecoveryDrill:
    """Follow a drill to its end, through the time in which nobody can be asked."""
    ends_s = time.monotonic() + wait_s
    before: RecoveryDrill | None = None
    silent = False
    while True:
        say([row for step in newly_over(before, made) for row in words.step_rows(step)])
        if waiting_step(made) is not None and (before is None or waiting_step(before) != waiting_step(made)):
            say(words.next_act(made))
        if made.state in ENDED or time.monotonic() >= ends_s:
            return made
        before = made
        await asyncio.sleep(POLL_S)
        try:
            made, silent = await client.drill(api, made.ref), False
        except (Unreachable, ApiError) as error:
            if isinstance(error, ApiError) and error.code not in _PASSING:
                raise
            if not silent:
                say([f"Nobody answers for {outside(made.ref)} now ({outside(error.message, 150)}); still asking."])
            silent = True


def _exit_code(made: RecoveryDrill) -> ExitCode:
    match made.state:
        case DrillState.PASSED:
            return ExitCode.OK
        case DrillState.REFUSED:
            return ExitCode.REFUSED_BY_POLICY
        case state if state in ENDED:
            return ExitCode.CHECK_FAILED
        case _:
            return ExitCode.TIMED_OUT


@drill.command("list")
@paging
@command("drill.list")
def list_drills(call: Call, limit: int, cursor: str | None) -> None:
    """Recovery drills, newest first, and when the next one is due."""
    found = call.ask(lambda api: client.history(api, limit=limit, cursor=cursor))
    call.answer(found, lambda: words.history(found))
    if found.next_cursor and not call.as_json:
        note(f"More: add --cursor {found.next_cursor}")


@drill.command("show")
@click.argument("ref")
@click.option("--output", "outputs", is_flag=True, help="Also what each step printed.")
@command("drill.show")
def show(call: Call, ref: str, *, outputs: bool) -> None:
    """One drill: where it stands, what it measured, what is left to do."""
    one = call.ask(lambda api: client.drill(api, ref))
    printed = [row for step in one.steps if outputs and step.output for row in _output(step.number, step.output)]
    call.answer(one, lambda: [*words.drill(one, now_of(None)), *printed])


def _output(number: int, text: str) -> list[str]:
    return [f"Output of step {number}:", *(f"  {outside(row, 500)}" for row in text.splitlines())]


@drill.command("step")
@click.argument("ref")
@click.option("--number", type=click.IntRange(1, 100), help="The step you mean. [default: the one that waits]")
@click.option("--cluster", default="", help="The cluster's name, typed: before a destructive step.")
@click.option("--evidence", default="", help=f"What a manual step found; at most {MAX_EVIDENCE_CHARS:,} characters.")
@click.option("--failed", is_flag=True, help="The manual step did not pass.")
@command("drill.step")
def step(call: Call, ref: str, *, number: int | None, cluster: str, evidence: str, failed: bool) -> None:
    """Let the step that waits run, or say what a manual one found."""
    wanted = number if number is not None else _waiting_number(call.ask(lambda api: client.drill(api, ref)))
    request = StepRequest(number=wanted, cluster=cluster, evidence=evidence, passed=not failed)
    made = call.ask(lambda api: client.step(api, ref, request))
    call.answer(made, lambda: words.drill(made, now_of(made.heard_at)))


def _waiting_number(one: RecoveryDrill) -> int:
    found = waiting_step(one)
    if found is None:
        raise click.UsageError(f"No step of {one.ref} waits for anybody: it is {one.state.value}.")
    return found.number


@drill.command("abort")
@click.argument("ref")
@click.option("--reason", required=True, callback=reason_given, help="Why; it becomes evidence.")
@command("drill.abort")
def abort(call: Call, ref: str, *, reason: str) -> None:
    """End a drill: what ran is rolled back, last first, and the steady state is looked at again."""
    made = call.ask(lambda api: client.abort(api, ref, AbortRequest(reason=reason)))
    call.answer(made, lambda: words.drill(made, now_of(made.heard_at)))
