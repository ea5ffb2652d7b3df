"""One function per route about working with alerts: acts, history, silences. No rule lives here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from console.client import incidents
from console.client.api import Api
from console.client.errors import ApiError
from contract.alert_work import (
    MAX_AT_ONCE,
    AlertActAnswer,
    AlertActRequest,
    AlertEvent,
    AlertGroup,
    Around,
    Matcher,
    Silence,
    SilencePreview,
    SilencePreviewRequest,
    SilenceRequest,
)
from contract.alerts import Alert, AlertStatus
from contract.base import Page
from contract.errors import ErrorCode
from contract.incidents import LinkRequest

_LIVE: Final = (AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED)
_OF_ONE: Final = frozenset({ErrorCode.CONFLICT, ErrorCode.NOT_FOUND, ErrorCode.REFUSED_BY_POLICY})
"""Refusals that say nothing about the others."""


@dataclass
class Joined:
    """What became of making alerts and freezes part of an incident, or of taking alerts off one."""

    done: int = 0
    refused: list[str] = field(default_factory=list)
    """Why, one sentence each."""


async def act(api: Api, request: AlertActRequest) -> AlertActAnswer:
    """Do one act on one or more alerts."""
    return await api.act("alerts/acts", AlertActAnswer, request)


async def groups(
    api: Api, *, limit: int | None = None, cursor: str | None = None, **where: str | Sequence[str]
) -> Page[AlertGroup]:
    """Alerts by group, the gravest first; `where` as for a list of alerts, without a status what has not cleared."""
    return await api.ask("alerts/groups", Page[AlertGroup], {"limit": limit, "cursor": cursor, **where})


async def members(api: Api, groups_wanted: list[str]) -> list[Alert]:
    """Alerts of some groups that have not cleared: of each as many as an act takes."""
    found: list[Alert] = []
    for ident in groups_wanted:
        page = await api.alerts(status=_LIVE, group=ident, limit=MAX_AT_ONCE)
        found += page.items
    return found


async def events(api: Api, ident: str, *, limit: int | None = None, cursor: str | None = None) -> Page[AlertEvent]:
    """What happened to an alert."""
    return await api.ask(f"alerts/{_part(ident)}/events", Page[AlertEvent], {"limit": limit, "cursor": cursor})


async def around(api: Api, ident: str, *, minutes: int | None = None) -> Around:
    """What changed around an alert; without `minutes` as far as the policy says."""
    return await api.ask(f"alerts/{_part(ident)}/around", Around, {"minutes": minutes})


async def join(api: Api, incident: str, *, alerts: list[str], freezes: list[str]) -> Joined:
    """Make alerts and freezes part of an incident, one after the other; what is part of it already stays so."""
    joined = Joined()
    for kind, ident in [*(("alert", one) for one in alerts), *(("freeze", one) for one in freezes)]:
        try:
            await incidents.link(api, incident, LinkRequest(kind=kind, id=ident))
            joined.done += 1
        except ApiError as error:
            if error.code not in _OF_ONE:
                raise
            joined.refused.append(error.message)
    return joined


async def part(api: Api, pairs: list[tuple[str, str]], why: str) -> Joined:
    """Take alerts off incidents, named in pairs of incident and alert, one after the other."""
    parted = Joined()
    for incident, alert in pairs:
        try:
            await incidents.unlink(api, incident, alert, why)
            parted.done += 1
        except ApiError as error:
            if error.code not in _OF_ONE:
                raise
            parted.refused.append(error.message)
    return parted


async def preview(api: Api, matchers: list[Matcher]) -> SilencePreview:
    """What a silence would mute; makes none."""
    return await api.act("silences/preview", SilencePreview, SilencePreviewRequest(matchers=matchers))


async def silence(api: Api, request: SilenceRequest) -> Silence:
    """Mute alerts until a time."""
    return await api.act("silences", Silence, request)


async def silences(
    api: Api, *, state: list[str] | None = None, limit: int | None = None, cursor: str | None = None
) -> Page[Silence]:
    """Silences, newest first, in any of the states."""
    return await api.ask("silences", Page[Silence], {"state": state, "limit": limit, "cursor": cursor})


async def silence_named(api: Api, ident: str) -> Silence:
    """One silence."""
    return await api.ask(f"silences/{_part(ident)}", Silence)


async def end_silence(api: Api, ident: str) -> Silence:
    """End a silence before its time."""
    return await api.act(f"silences/{_part(ident)}/end", Silence)


def _part(ident: str) -> str:
    """One path segment: an id typed by a person must not reach another route."""
    return quote(ident, safe="").replace(".", "%2E")
