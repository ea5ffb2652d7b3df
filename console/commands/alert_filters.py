"""Owns the options by which `watchfloor alerts list` and `groups` narrow what they show, and the query they make."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeVar

import click

from console.commands.times import SINCE_HELP, instant_option
from contract.alerts import AlertStatus
from contract.states import AlertCategory, Severity

P = ParamSpec("P")
T = TypeVar("T")

STATUSES: Final[Mapping[str, tuple[AlertStatus, ...]]] = {
    "current": (AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED),
    **{status.value: (status,) for status in AlertStatus},
    "all": tuple(AlertStatus),
}
"""What `--status` may be; all that is not cleared is current."""
_OPTIONS: Final = (
    click.option("--status", type=click.Choice(list(STATUSES)), default="current", show_default=True),
    click.option("--severity", type=click.Choice([one.value for one in Severity]), multiple=True),
    click.option("--category", type=click.Choice([one.value for one in AlertCategory]), multiple=True),
    click.option("--q", metavar="WORDS", help="In the message, the rule, the scope or a label."),
    click.option("--rule", metavar="NAME"),
    click.option("--scope", metavar="SCOPE"),
    click.option("--source", metavar="NAME", help="watchfloor, or alertmanager:NAME."),
    click.option("--label", metavar="NAME=VALUE", multiple=True, help="May be given several times; all have to fit."),
    click.option("--assigned", metavar="NAME", help="Assigned to this person; - for nobody."),
    click.option("--muted/--unmuted", default=None, help="Only what is muted, or only what is not."),
    click.option("--incident", metavar="ID", help="Part of this incident."),
    click.option("--since", callback=instant_option, help=SINCE_HELP),
    click.option("--until", callback=instant_option, help="Only raised before this time."),
)


def filters(function: Callable[P, T]) -> Callable[P, T]:
    """Add the options."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def query(status: str, where: Mapping[str, Any]) -> dict[str, str | Sequence[str]]:
    """What the options mean to the routes; what was not given is left out."""
    wanted: dict[str, str | Sequence[str]] = {"status": STATUSES[status]}
    for name, value in where.items():
        if value not in (None, "", ()):
            wanted[name] = str(value).lower() if isinstance(value, bool) else value
    return wanted
