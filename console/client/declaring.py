"""Owns how an incident is declared again after no answer came: one incident, and it says what was typed last."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from console.client import incidents
from console.client.api import Api
from console.client.errors import ApiError
from contract.incidents import DeclareRequest, Incident, IncidentChange

_CHANGEABLE: Final = ("title", "type", "severity")
_FIXED: Final = ("commander", "drill")
"""A role is handed over with a note, and practice never becomes real."""


@dataclass(frozen=True)
class Declared:
    """The incident, and what an earlier try had said otherwise."""

    incident: Incident
    changed: tuple[str, ...] = ()
    """What is now as it was typed last."""
    kept: tuple[str, ...] = ()
    """What is not."""


async def declare(api: Api, wanted: DeclareRequest, tried: Sequence[DeclareRequest] = ()) -> Declared:
    """Declare one; `tried` are the requests before it under its key, of which one may have been taken.

    What somebody else has changed since then stays as it is.
    """
    incident = await incidents.declare(api, wanted)
    other = [name for name in (*_CHANGEABLE, *_FIXED) if _is_other(name, incident, wanted, tried)]
    given = {name: getattr(wanted, name) for name in other if name in _CHANGEABLE and _is_ours(name, incident, tried)}
    if given:
        try:
            incident = await incidents.change(api, incident.id, IncidentChange(**given, version=incident.version))
        except ApiError:  # the incident is there, and has to be shown whatever it is called
            given = {}
    return Declared(incident, tuple(given), tuple(name for name in other if name not in given))


def _is_other(name: str, incident: Incident, wanted: DeclareRequest, tried: Sequence[DeclareRequest]) -> bool:
    """Whether something was typed anew since an earlier try, and the incident does not say it."""
    now = _said(name, wanted)
    typed_anew = any(_said(name, one) != now for one in tried)
    return typed_anew and now is not None and _said(name, incident) != now


def _is_ours(name: str, incident: Incident, tried: Sequence[DeclareRequest]) -> bool:
    return any(_said(name, one) == _said(name, incident) for one in tried)


def _said(name: str, one: DeclareRequest | Incident) -> Any:
    value = getattr(one, name)
    return value.casefold() if name == "type" else value  # the policy knows types in one way of writing
