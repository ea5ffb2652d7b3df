"""What people do with alerts from the command line: `watchfloor alerts ack|assign|note|escalate|silence`."""

import re
from typing import Final

import click

from console.client import alert_work as client
from console.client.api import Api, new_idempotency_key
from console.commands.base import Call, command, finish, glyph_set
from console.commands.output import counted, instant, note, outside, wrapped
from console.state.matchers import FORMS, parse_matchers
from console.widgets import words
from console.widgets.alerts import with_people
from contract.alert_work import (
    MAX_SILENCE_MINUTES,
    AlertAct,
    AlertActAnswer,
    AlertActRequest,
    Matcher,
    MatchOp,
    Silence,
    SilencePreview,
    SilenceRequest,
)
from contract.alerts import Alert
from contract.errors import EXIT_CODE, ErrorCode, ExitCode

_PLAIN: Final = re.compile(r'([^\s=!~",{}]+)(=~|!~|!=|=)((?!").*)', re.DOTALL)
_SHOWN: Final = 10
"""Alerts of a preview that fit above the question."""


def who_saw(alert: Alert) -> list[str]:
    """Who acknowledged an alert, as lines; none if nobody has."""
    if alert.acknowledged_by is None:
        return []
    seen = [f"  seen by {outside(alert.acknowledged_by)} at {instant(alert.acknowledged_at)}"]
    return seen + (wrapped(outside(alert.acknowledge_comment, 500), 4) if alert.acknowledge_comment else [])


@click.command("ack")
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@click.option("--comment", default="", help="What you are doing about it.")
@command("alerts.ack")
def acknowledge(call: Call, idents: tuple[str, ...], comment: str) -> None:
    """Say that you have seen alerts; each stays until its rule clears it."""
    if len(idents) > 1:
        _act(call, AlertActRequest(ids=list(idents), act=AlertAct.ACKNOWLEDGE, comment=comment))
        return
    alert = call.ask(lambda api: api.acknowledge(idents[0], comment))
    call.answer(
        alert, lambda: [f"{outside(alert.rule)} {outside(str(alert.scope))} is {alert.status}.", *who_saw(alert)]
    )


@click.command("assign")
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@click.option("--to", metavar="NAME", help="The person; absent gives the alerts back to everybody.")
@click.option("--comment", default="", help="Why, for the history.")
@command("alerts.assign")
def assign(call: Call, idents: tuple[str, ...], to: str | None, comment: str) -> None:
    """Give alerts to a person."""
    _act(call, AlertActRequest(ids=list(idents), act=AlertAct.ASSIGN, to=to, comment=comment))


@click.command("note")
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@click.option("--text", "comment", required=True, help="What is to be known of it.")
@command("alerts.note")
def write_note(call: Call, idents: tuple[str, ...], comment: str) -> None:
    """Write something into the history of alerts."""
    _act(call, AlertActRequest(ids=list(idents), act=AlertAct.NOTE, comment=comment))


@click.command("escalate")
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@click.option("--comment", default="", help="Why it cannot wait.")
@command("alerts.escalate")
def escalate(call: Call, idents: tuple[str, ...], comment: str) -> None:
    """Pass alerts on to the next before their time."""
    _act(call, AlertActRequest(ids=list(idents), act=AlertAct.ESCALATE, comment=comment))


def _act(call: Call, request: AlertActRequest) -> None:
    request = request.model_copy(update={"idempotency_key": new_idempotency_key()})
    answer = call.ask(lambda api: client.act(api, request))
    call.answer(answer, lambda: _told(request.act, answer))
    if answer.refused:
        finish(_exit_of(answer))


def _exit_of(answer: AlertActAnswer) -> ExitCode:
    """One of the refusals stands for all: that some were done, the answer says."""
    code = answer.refused[0].code
    return EXIT_CODE[ErrorCode(code)] if code in set(ErrorCode) else ExitCode.CHECK_FAILED


def _told(act: AlertAct, answer: AlertActAnswer) -> list[str]:
    lines = [f"{counted(len(answer.done), 'alert')}: {act.value} done."]
    for alert in answer.done:
        lines += wrapped(f"{outside(alert.rule, 60)} {outside(str(alert.scope))}{_standing(alert)}", 2)
    for refusal in answer.refused:
        lines += wrapped(f"not done: {outside(refusal.id, 60)}: {outside(refusal.message)}", 2)
    return lines


def _standing(alert: Alert) -> str:
    to = f", assigned to {outside(alert.assigned_to, 60)}" if alert.assigned_to else ""
    up = f", with {with_people(alert.escalation)}" if alert.escalation else ""
    return f": {alert.status.value}{to}{up}"


@click.command("silence")
@click.argument("matchers", metavar="MATCHER...", nargs=-1, required=True)
@click.option("--minutes", type=click.IntRange(1, MAX_SILENCE_MINUTES), required=True, help="How long.")
@click.option("--comment", required=True, help="Why.")
@click.option("--yes", is_flag=True, help="Do not ask after the preview.")
@click.option("--preview", "only_preview", is_flag=True, help="Only show what it would mute.")
@command("alerts.silence")
def silence(
    call: Call, matchers: tuple[str, ...], *, minutes: int, comment: str, yes: bool, only_preview: bool
) -> None:
    """Mute the alerts that all matchers match, e.g. alertname=HostDown 'host=~db-.*'; shows first which those are."""
    wanted = _read(matchers)
    key = new_idempotency_key()
    request = SilenceRequest(matchers=wanted, minutes=minutes, comment=comment, idempotency_key=key)
    found = call.ask(lambda api: client.preview(api, wanted))
    if only_preview:
        call.answer(found, lambda: _preview(found))
        return
    for line in _preview(found):
        note(line)
    if not yes and not click.confirm(f"Mute them for {minutes:,} minutes?", err=True):
        raise click.Abort
    made = call.ask(lambda api: _silenced(api, request))
    call.answer(made, lambda: [f"Silenced until {instant(made.ends_at)}: {outside(made.id, 40)}"])


async def _silenced(api: Api, request: SilenceRequest) -> Silence:
    return await client.silence(api, request)


def _read(arguments: tuple[str, ...]) -> list[Matcher]:
    """The conditions; the shell has taken the quotes of a value with blanks, so that an argument is one condition."""
    found: list[Matcher] = []
    for text in arguments:
        plain = _PLAIN.fullmatch(text)
        try:
            if plain is None:
                found += parse_matchers(text)
            else:
                found.append(Matcher(name=plain[1], op=MatchOp(plain[2]), value=plain[3]))
        except ValueError as error:
            raise click.BadParameter(f"write conditions as {FORMS}", param_hint="MATCHER") from error
    return found


def _preview(found: SilencePreview) -> list[str]:
    lines = [f"This mutes {counted(found.total, 'alert')} now, and what comes until then."]
    for alert in found.alerts[:_SHOWN]:
        severity = words.severity(alert.severity, glyph_set()).word
        lines += wrapped(f"{severity} {outside(alert.rule, 40)} {outside(str(alert.scope), 60)}", 2)
    if found.total > _SHOWN:
        lines.append(f"  and {found.total - min(len(found.alerts), _SHOWN):,} more")
    if found.sources:
        lines.append(f"  It is created too in: {', '.join(outside(name, 60) for name in found.sources)}")
    return lines


COMMANDS: Final = (acknowledge, assign, write_note, escalate, silence)
