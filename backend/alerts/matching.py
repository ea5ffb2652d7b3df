"""Whether a silence's matchers match the labels of an alert, as Alertmanager decides it. Pure.

A label that is missing has the empty value. Regular expressions match the whole value, with classes of ASCII as in RE2.
They come from people and are tried on text from outside, in a library that goes back over its text: a pattern that
could do so in too many ways is refused when it is stored. Must never try one that has not passed `refuse_costly`.
"""

import importlib
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from contract.alert_work import Matcher, MatchOp

MAX_PATTERN_CHARS: Final = 500
"""A list of host names fits; what is longer is another rule."""
MAX_TRIED_CHARS: Final = 512
"""As much of a label's value as a pattern is tried on: twice the longest name of a host or a pod."""
_MAX_WAYS: Final = (MAX_TRIED_CHARS + 1) ** 3
"""Three wide repeats, e.g. `.*db.*eu.*`; the most steps a try can take, a fraction of a second."""
_MAX_DEPTH: Final = 20
"""Groups within groups."""
_PARSER: Any = importlib.import_module("re._parser")
"""The standard library's own parser: its tree is the only exact account of what a pattern will do."""
_ONE_CHAR: Final = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY", "RANGE"})
_NO_CHAR: Final = frozenset({"AT"})
_COMPILED_KEPT: Final = 2_000
"""More than the regular expressions of all standing silences."""


class CostlyPatternError(ValueError):
    """A pattern that is not tried, with the reason."""


def refuse_costly(pattern: str) -> None:
    """Refuse a regular expression that RE2 has not, or that could take long on some text.

    Raises:
        CostlyPatternError: saying why.
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise CostlyPatternError(f"a regular expression has at most {MAX_PATTERN_CHARS} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # sets within sets, which RE2 reads otherwise
            tree = _PARSER.parse(pattern, re.ASCII)
            re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise CostlyPatternError(f"not a regular expression: {error}") from error
    if _ways(tree, 0)[0] > _MAX_WAYS:
        raise CostlyPatternError("the regular expression could take too long: use fewer of * + ? | in one another")


def _ways(sequence: Any, depth: int) -> tuple[int, int]:
    """In how many ways at most a part can match at one place, and how many characters it takes at least."""
    if depth > _MAX_DEPTH:
        raise CostlyPatternError("the regular expression has too many groups within groups")
    ways, width = 1, 0
    for kind, argument in sequence:
        part_ways, part_width = _ways_of(str(kind), argument, depth)
        ways, width = min(ways * part_ways, _MAX_WAYS + 1), width + part_width
    return ways, width


def _ways_of(kind: str, argument: Any, depth: int) -> tuple[int, int]:
    if kind in _ONE_CHAR:
        return 1, 1
    if kind in _NO_CHAR:
        return 1, 0
    if kind == "SUBPATTERN":
        return _ways(argument[-1], depth + 1)
    if kind == "BRANCH":
        found = [_ways(branch, depth + 1) for branch in argument[1]]
        return sum(ways for ways, _ in found), min(width for _, width in found)
    if kind in {"MAX_REPEAT", "MIN_REPEAT"}:
        least, most, body = argument
        return _ways_of_repeat(int(least), int(most), *_ways(body, depth + 1))
    raise CostlyPatternError("only what RE2 has is taken: no references, no looking ahead or behind")


def _ways_of_repeat(least: int, most: int, ways: int, width: int) -> tuple[int, int]:
    if least > MAX_TRIED_CHARS:
        raise CostlyPatternError(f"a repeat of at least {least} never matches here")
    if most <= 1:
        return ways + (least == 0), width * least
    if width == 0:
        raise CostlyPatternError("a repeat of what can be empty could take too long")
    longest = min(most, MAX_TRIED_CHARS // width)
    if ways == 1:
        return max(longest - least + 1, 1), width * least
    if longest > ways.bit_length() + _MAX_WAYS.bit_length():  # two to that many is over the bound already
        return _MAX_WAYS + 1, width * least
    return sum(ways**count for count in range(least, longest + 1)), width * least


@lru_cache(maxsize=_COMPILED_KEPT)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """None for a pattern of an Alertmanager that is not tried here."""
    try:
        refuse_costly(pattern)
    except CostlyPatternError:
        return None
    return re.compile(pattern, re.ASCII)


def matches_one(matcher: Matcher, value: str) -> bool:
    """Whether one condition holds of a label's value; one that cannot be tried holds of nothing."""
    if matcher.op is MatchOp.IS:
        return value == matcher.value
    if matcher.op is MatchOp.IS_NOT:
        return value != matcher.value
    pattern = _compiled(matcher.value)
    if pattern is None:
        return False
    found = pattern.fullmatch(value[:MAX_TRIED_CHARS]) is not None
    return found is (matcher.op is MatchOp.MATCHES)


def matches(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all conditions hold; none at all match nothing."""
    return bool(matchers) and all(matches_one(matcher, labels.get(matcher.name, "")) for matcher in matchers)


def refuse_unusable(matchers: Sequence[Matcher]) -> None:
    """Refuse matchers that a silence cannot have, as Alertmanager does.

    Raises:
        CostlyPatternError: a pattern that is not tried; or all of them match an alert without any label.
    """
    for matcher in matchers:
        if matcher.op in {MatchOp.MATCHES, MatchOp.MATCHES_NOT}:
            try:
                refuse_costly(matcher.value)
            except CostlyPatternError as error:
                raise CostlyPatternError(f"{matcher.name}: {error}") from error
    if matches(matchers, {}):
        raise CostlyPatternError("at least one matcher must ask for a label to be there, or it would mute everything")
