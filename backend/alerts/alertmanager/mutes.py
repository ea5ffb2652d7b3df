"""What an Alertmanager says mutes its alerts, in the form in which alerts keep it. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from backend.alerts.muting_core import SILENCE, Mute
from contract.alertmanager import ForeignAlert, ForeignSilence

INHIBITION: Final = "inhibition"
MUTE_TIME: Final = "mute_time"
_SOURCE: Final = "source"
"""Of what an alert keeps: tells what an Alertmanager says from silences made here."""


def source_named(name: str) -> str:
    """What alerts and silences of an Alertmanager say of where they come from."""
    return f"alertmanager:{name}"


def mute_of(silence: ForeignSilence, source: str) -> dict[str, Any]:
    """What an alert keeps of a silence of an Alertmanager."""
    return {
        "kind": SILENCE,
        "id": silence.id,
        "by": silence.created_by,
        "comment": silence.comment,
        "until": silence.ends_at.isoformat(),
        _SOURCE: source_named(source),
    }


def foreign_mutes(alert: ForeignAlert, source: str, silences: Mapping[str, Mute | None]) -> list[Mute]:
    """Everything that mutes an alert there; a copy of a silence made here, which is None, mutes it here by itself."""
    named: list[Mute] = []
    for ident in alert.silenced_by:
        mute = silences.get(ident, {"kind": SILENCE, "id": ident, _SOURCE: source_named(source)})
        if mute is not None:
            named.append(mute)
    named += [{"kind": INHIBITION, "id": one, _SOURCE: source_named(source)} for one in alert.inhibited_by]
    named += [{"kind": MUTE_TIME, "id": one, _SOURCE: source_named(source)} for one in alert.muted_by]
    return named


def is_foreign(mute: Mute) -> bool:
    """Whether an Alertmanager said so."""
    return _SOURCE in mute
