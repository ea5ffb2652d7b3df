"""`watchfloor changes deploys list|record`: which version of what was brought out when."""

import click

from console.client import changes as client
from console.client.api import new_idempotency_key
from console.commands.base import Call, command, paging
from console.commands.incident_acts import instant_typed
from console.commands.output import instant, outside, wrapped
from console.commands.times import SINCE_HELP, instant_option
from contract.changes import Deploy, DeployRequest


@click.group()
def changes() -> None:
    """Changes to the platform: deploys."""


@changes.group()
def deploys() -> None:
    """Versions of services that were brought out, as CI systems and people have said."""


@deploys.command("list")
@click.option("--service", help="Of one service only.")
@click.option("--environment", help="To one environment only.")
@click.option("--since", callback=instant_option, help=SINCE_HELP)
@click.option("--until", callback=instant_option, help="Started before this time.")
@paging
@command("changes.deploys.list")
def list_deploys(
    call: Call,
    /,
    *,
    service: str | None,
    environment: str | None,
    since: str,
    until: str,
    limit: int,
    cursor: str | None,
) -> None:
    """Deploys, the one that was started last first."""
    where = {"service": service, "environment": environment, "from": since or None, "to": until or None}
    page = call.ask(lambda api: client.deploys(api, limit=limit, cursor=cursor, **where))
    call.answer_page(page, lambda: [line for one in page.items for line in _deploy(one)] or ["No deploys."])


@deploys.command("record")
@click.argument("service")
@click.argument("version")
@click.option("--environment", default="", help="Where it runs now, such as production.")
@click.option("--scope", help="What of the floor runs it: chain:NAME, strategy:NAME.")
@click.option("--link", "link", metavar="URL", help="Of the pipeline's run, or the release.")
@click.option("--started", callback=instant_option, help="When it began; without it, when it was finished, or now.")
@click.option("--finished", callback=instant_option, help="When it was done.")
@click.option("--key", help="The same key again is the same deploy: the number of the pipeline's run.")
@command("changes.deploys.record")
def record(
    call: Call,
    /,
    *,
    service: str,
    version: str,
    environment: str,
    scope: str | None,
    link: str | None,
    started: str,
    finished: str,
    key: str | None,
) -> None:
    """Say that a version of a service was brought out: the last step of a pipeline, or a deploy by hand."""
    wanted = DeployRequest(
        service=service,
        version=version,
        environment=environment,
        scope=scope,
        url=link,
        started_at=instant_typed(started),
        finished_at=instant_typed(finished),
        idempotency_key=key or new_idempotency_key(),
    )
    one = call.ask(lambda api: client.record(api, wanted))
    call.answer(one, lambda: _deploy(one))


def _deploy(one: Deploy) -> list[str]:
    end = f", finished {instant(one.finished_at)}" if one.finished_at is not None else ""
    where = f" to {outside(one.environment, 100)}" if one.environment else ""
    what = f" for {outside(str(one.scope), 200)}" if one.scope is not None else ""
    lines = [
        *wrapped(f"{instant(one.started_at)}  {outside(one.service, 100)} {outside(one.version, 100)}{where}{what}", 0),
        *wrapped(f"by {outside(one.recorded_by, 100)}{end}", 2),
    ]
    return lines + (wrapped(outside(one.url, 500), 2) if one.url is not None else [])
