"""`watchfloor status`: one question, one glance. Imports nothing heavy: it is run from prompts and loops.

`quick` serves the plain case; whatever is unusual (TLS, a refusal, no answer) goes through the full client, which names
what is wrong.
"""

import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

from console.client import light, session

PATH: Final = "/v1/status"
SCHEMA: Final = "watchfloor.status/1"
_CRITICAL_GLYPHS: Final = ("✖", "x")
_OK_GLYPHS: Final = ("●", "o")
_NEAR_GLYPHS: Final = ("▲", "^")
_SEVERITIES: Final = ("critical", "high", "medium", "low")
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600


def quick(arguments: list[str]) -> bool:
    """Answer `status [--json] [--url URL]` at once; False leaves the call to the full command line."""
    options = _options(arguments)
    if options is None:
        return False
    try:
        target = session.resolve(os.environ, options[0])
        body = light.get(target.url, PATH, target.token).body
        text = as_json(body) if options[1] else "".join(f"{line}\n" for line in as_lines(body))
    except (session.SessionError, light.NotForThisError, KeyError, TypeError, ValueError):
        return False
    sys.stdout.write(text)
    sys.stdout.flush()
    return True


def _options(arguments: list[str]) -> tuple[str | None, bool] | None:
    url: str | None = None
    json_wanted = False
    rest = list(arguments)
    while rest:
        first = rest.pop(0)
        if first == "--json":
            json_wanted = True
        elif first == "--url" and rest:
            url = rest.pop(0)
        elif first.startswith("--url="):
            url = first.removeprefix("--url=")
        else:
            return None
    return url, json_wanted


def as_json(body: dict[str, Any]) -> str:
    """The answer as one line of plain ASCII."""
    import json

    return json.dumps({"schema": SCHEMA, **body}).replace("\x7f", "\\u007f") + "\n"


def as_lines(body: dict[str, Any]) -> list[str]:
    """What needs a person first, then how the floor is, in 80 columns.

    Raises:
        KeyError, TypeError, ValueError: not an answer of this version.
    """
    counts = {name: int(body["alert_counts"][name]) for name in _SEVERITIES if body["alert_counts"][name]}
    freezes, total = int(body["freezes"]), int(body["executors_total"])
    latched, elsewhere = int(body.get("latched", 0)), int(body.get("journals_elsewhere", 0))
    trading, silent = int(body["executors_trading"]), int(body["executors_silent"])
    burning = sum(counts.values())
    urgent = bool(counts.get("critical") or counts.get("high") or silent or latched)
    ascii_only = not (sys.stdout.encoding or "ascii").lower().startswith("utf")
    glyph = (_CRITICAL_GLYPHS if urgent else _NEAR_GLYPHS if burning or freezes or elsewhere else _OK_GLYPHS)[
        ascii_only
    ]
    named = ", ".join(f"{number} {name}" for name, number in counts.items())
    alerts = f"{_counted(burning, 'alert')} ({named})" if burning else "no alerts"
    now = _instant(body["server_time"])
    assessed = body.get("assessed_at")
    risk = f"risk assessed {_age(_instant(assessed), now)} ago" if assessed else "risk never assessed"
    waiting = []
    if latched:
        waiting.append(f"  {_counted(latched, 'freeze')} LATCHED, waiting for the database: no permit until then")
    if elsewhere:
        waiting.append(f"  freezes wait in {_counted(elsewhere, 'journal')} beside this backend's")
    return [
        f"{glyph} {alerts}, {_counted(freezes, 'freeze') if freezes else 'no freeze'} in force",
        *waiting,
        f"  {trading} of {_counted(total, 'executor')} trading, {f'{silent} SILENT' if silent else 'none silent'}",
        f"  {risk}; {now:%H:%M:%S} UTC",
    ]


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _instant(text: object) -> datetime:
    if not isinstance(text, str):
        raise TypeError("not a time")
    return datetime.fromisoformat(text).astimezone(UTC)


def _age(earlier: datetime, now: datetime) -> str:
    seconds = max(int((now - earlier).total_seconds()), 0)
    if seconds < _MINUTE_S:
        return f"{seconds}s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S}m{seconds % _MINUTE_S:02d}s"
    return f"{seconds // _HOUR_S}h{seconds % _HOUR_S // _MINUTE_S:02d}"
