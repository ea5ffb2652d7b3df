"""How what changed around an alert or incident reads in text."""

from console.commands.output import instant, outside, wrapped
from contract.alert_work import Around


def around(near: Around) -> list[str]:
    """What changed, oldest first, and what is not shown."""
    found = ["", f"Changed between {instant(near.since)} and {instant(near.until)}:"]
    for one in near.items:
        by = "" if one.actor is None else f" by {outside(one.actor, 60)}"
        found += wrapped(f"{instant(one.at)}  {outside(one.kind, 20)}{by}: {outside(one.text, 300)}", 2)
        if one.url is not None:
            found += wrapped(outside(one.url, 500), 4)
    if not near.items:
        found.append("  nothing that is known")
    if near.left_out:
        found.append(f"  and {near.left_out:,} more")
    if near.missing:
        found.append(f"  not shown, you may not see them: {', '.join(near.missing)}")
    return found
