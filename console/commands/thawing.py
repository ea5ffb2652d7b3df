"""How commands print what lifting a freeze means, so that whoever approves has read it."""

from datetime import datetime
from typing import Final

from console.commands.output import age, counted, outside, wrapped
from console.widgets.thaw import stage_text
from contract.freeze import Freeze
from contract.thaw import Thaw

DIGEST_PREFIX: Final = 8
"""Characters of a digest that a person compares or types: 32 bits, against what stands at this moment."""
_SHOWN_ALERTS: Final = 20


def covered_by(freeze: Freeze, thaw: Thaw, now: datetime) -> list[str]:
    """What the digest stands for, open alerts first, and when the request lapses."""
    rows = []
    for change in thaw.changed:
        rows += wrapped(f"CHANGED since it was asked for: {outside(change, 200)}", 0)
    rows.append(f"{counted(len(thaw.alerts), 'open alert')} on its scope" + (":" if thaw.alerts else "."))
    for alert in thaw.alerts[:_SHOWN_ALERTS]:
        rows += wrapped(f"{alert.severity} {outside(alert.rule, 40)}: {outside(alert.message, 300)}", 2)
    if len(thaw.alerts) > _SHOWN_ALERTS:
        rows.append(f"  and {len(thaw.alerts) - _SHOWN_ALERTS:,} more")
    rows += wrapped(f"other holds that stay: {', '.join(thaw.other_holds) or 'none'}", 0)
    rows.append(f"{counted(thaw.executors_released, 'executor')} may trade again" + (":" if thaw.stages else "."))
    for number, stage in enumerate(thaw.stages):
        rows += wrapped(stage_text(stage, first=number == 0), 2)
    if thaw.expires_at is not None:
        lapses = "has lapsed" if thaw.expires_at <= now else f"lapses in {age(now, thaw.expires_at)}"
        rows += wrapped(f"{outside(freeze.thaw_requested_by)} asked for it: {outside(freeze.thaw_reason)}; {lapses}", 0)
    if thaw.anti_flap_until > now:
        rows.append(f"cannot be approved for another {age(now, thaw.anti_flap_until)}")
    rows.append(f"digest {thaw.digest}")
    return rows
