"""Owns how a person writes what a silence matches and how long it lasts, and what it starts with. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from contract.alert_work import MAX_LABEL_CHARS, MAX_SILENCE_MINUTES, MAX_VALUE_CHARS, Matcher, MatchOp
from contract.alerts import Alert

FORMS: Final = 'name="value", name!="value", name=~"pattern" or name!~"pattern"'
_NAME: Final = r'[^\s=!~",{}]+'
_ONE: Final = re.compile(rf'({_NAME})\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|(?:[^\s",=~!][^\s",]*)?)', re.DOTALL)
_BETWEEN: Final = re.compile(r"[\s,]*")
_ESCAPED: Final = re.compile(r"\\(.)")
_DURATION: Final = re.compile(r"(?:[0-9]{1,6}[mhdw])+")
_PART: Final = re.compile(r"([0-9]+)([mhdw])")
_MINUTES: Final = {"m": 1, "h": 60, "d": 1_440, "w": 10_080}
_NAME_LABEL: Final = "alertname"
_NARROW: Final = ("scope", "instance", "chain", "job")
"""What tells alerts of one name apart; severity and the like change while an alert goes on."""
_MOST: Final = 20
"""The most matchers that a silence takes."""


def parse_matchers(text: str) -> list[Matcher]:
    """Read matchers as Alertmanager writes them, with blanks or commas between them.

    Raises:
        ValueError: there is none, or one cannot be read.
    """
    inner = text.strip().removeprefix("{").removesuffix("}")
    found: list[Matcher] = []
    at = _end(inner, 0)
    while at < len(inner):
        match = _ONE.match(inner, at)
        after = _end(inner, match.end()) if match else at
        if match is None or (after == match.end() and after < len(inner)):
            raise ValueError(f"write matchers as {FORMS}")
        found.append(_matcher(match))
        at = after
    if not found:
        raise ValueError("say which alerts are meant")
    if len(found) > _MOST:
        raise ValueError(f"at most {_MOST} matchers")
    return found


def _matcher(match: re.Match[str]) -> Matcher:
    name, value = match[1], _value(match[3])
    if len(name) > MAX_LABEL_CHARS or len(value) > MAX_VALUE_CHARS:
        raise ValueError(f"a label's name takes at most {MAX_LABEL_CHARS:,} characters, its value {MAX_VALUE_CHARS:,}")
    return Matcher(name=name, op=MatchOp(match[2]), value=value)


def _end(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    return between.end() if between else at


def _value(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], text[1:-1])


def matchers_text(matchers: Sequence[Matcher]) -> str:
    """Matchers as they are typed."""
    return " ".join(str(matcher) for matcher in matchers)


def matchers_for(alerts: Sequence[Alert]) -> list[Matcher]:
    """What a silence of these alerts starts with: their names, and what all of them share of where they are.

    Nothing where that is longer than a matcher may be: without a part of it the silence would mute more than was meant.
    """
    labels = [alert.labels or {_NAME_LABEL: alert.rule} for alert in alerts]
    names = sorted({one.get(_NAME_LABEL, alert.rule) for one, alert in zip(labels, alerts, strict=True)})
    if not names:
        return []
    one_name = len(names) == 1
    pattern = names[0] if one_name else "|".join(re.escape(name) for name in names)
    wanted = [(_NAME_LABEL, MatchOp.IS if one_name else MatchOp.MATCHES, pattern)]
    for name in _NARROW:
        values = {one.get(name, "") for one in labels}
        if len(values) == 1 and (value := values.pop()):
            wanted.append((name, MatchOp.IS, value))
    if any(len(value) > MAX_VALUE_CHARS for _, _, value in wanted):
        return []
    return [Matcher(name=name, op=op, value=value) for name, op, value in wanted]


def parse_minutes(text: str) -> int:
    """How long something lasts, in minutes: `90`, `45m`, `2h`, `1h30m`, `3d`, `1w`.

    Raises:
        ValueError: none of these, nothing, or longer than a silence may last.
    """
    word = text.strip().lower().replace(" ", "")
    if word.isascii() and word.isdigit():
        word += "m"
    if not _DURATION.fullmatch(word):
        raise ValueError("write how long as 45m, 2h or 1d")
    minutes = sum(int(part[1]) * _MINUTES[part[2]] for part in _PART.finditer(word))
    if not 1 <= minutes <= MAX_SILENCE_MINUTES:
        raise ValueError("a silence lasts between a minute and 31 days")
    return minutes
