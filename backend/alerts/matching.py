"""Whether a silence's matchers match the labels of an alert, as Alertmanager decides it. Pure.

A label that is missing has the empty value. Regular expressions come from people and are tried on text from outside, so
they are tried by RE2, as Alertmanager does: in time that grows with the text alone, whatever the pattern. It holds no
lock of Python meanwhile. What is tried on many alerts goes through a `Trial`, which remembers and has an end.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import re2

from contract.alert_work import Matcher, MatchOp

MAX_TRIED_CHARS: Final = 4_096
"""As much of a label's value as is tried: all that is kept of one."""
TRIAL_S: Final = 1.0
"""How long one trial may take: patterns of people take a few microseconds each."""
MAX_PATTERN_BYTES: Final = 512 * 1024
"""Memory of a pattern's program, and what keeps one try below a tenth of a second: a list of hundreds of names fits."""
MAX_SLOW: Final = 5
"""Slow silences in one go that cost the others nothing; whoever makes more of them waits for them."""
REGEXES: Final = frozenset({MatchOp.MATCHES, MatchOp.MATCHES_NOT})
_COMPILED_KEPT: Final = 200
"""More than the regular expressions of all standing silences, as a rule; 100 MB at the very most."""


class UnusableMatcherError(ValueError):
    """A matcher that a silence cannot have, with the reason."""


class TooLongError(Exception):
    """A trial was not through in its time."""


@lru_cache(maxsize=_COMPILED_KEPT)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem, options.never_capture, options.log_errors = MAX_PATTERN_BYTES, True, False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise UnusableMatcherError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from error


def _fits(matcher: Matcher, value: str) -> bool:
    try:
        found = _compiled(matcher.value).fullmatch(value[:MAX_TRIED_CHARS]) is not None
    except UnusableMatcherError:  # an Alertmanager's, which is bounded otherwise
        return False
    return found is (matcher.op is MatchOp.MATCHES)


@dataclass(slots=True)
class Trial:
    """Tries matchers on many alerts; each regular expression once on each value. Belongs to one thread at a time."""

    seconds: float = TRIAL_S
    clock: Callable[[], float] = time.thread_time
    """Of the thread's own work: on a busy machine nothing counts as slow that only waits its turn."""
    _spent_s: float = 0.0
    _known: dict[tuple[str, MatchOp, str], bool] = field(default_factory=dict)

    @property
    def spent_s(self) -> float:
        """How long its tries have taken."""
        return self._spent_s

    def holds(self, matcher: Matcher, value: str) -> bool:
        """Whether one condition holds of a label's value; one that cannot be tried holds of nothing.

        Raises:
            TooLongError: all the tries together have taken longer than they may.
        """
        if matcher.op is MatchOp.IS:
            return value == matcher.value
        if matcher.op is MatchOp.IS_NOT:
            return value != matcher.value
        key = (matcher.value, matcher.op, value)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._tried(matcher, value)
        return known

    def _tried(self, matcher: Matcher, value: str) -> bool:
        if self._spent_s >= self.seconds:
            raise TooLongError
        began = self.clock()
        found = _fits(matcher, value)
        self._spent_s += self.clock() - began
        return found

    def matches(self, matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
        """Whether all conditions hold; none at all match nothing. What costs nothing is asked first.

        Raises:
            TooLongError: as `holds`.
        """
        ordered = sorted(matchers, key=lambda one: one.op in REGEXES)
        return bool(ordered) and all(self.holds(one, labels.get(one.name, "")) for one in ordered)


@dataclass(slots=True)
class Trials:
    """Tries several silences on many alerts: each has a time of its own, and all of them have one together.

    What a slow one took is not held against the others. Belongs to one thread at a time.
    """

    each_s: float
    all_s: float
    clock: Callable[[], float] = time.thread_time
    slow: set[str] = field(default_factory=set)
    """Silences that took longer than their own time."""
    _spent_s: float = 0.0
    _trials: dict[str, Trial] = field(default_factory=dict)

    def matches(self, silence: str, matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
        """Whether all conditions of a silence hold.

        Raises:
            TooLongError: it is too slow, or all the others together are.
        """
        if silence in self.slow:
            raise TooLongError
        trial = self._trials.setdefault(silence, Trial(self.each_s, self.clock))
        before = trial.spent_s
        trial.seconds = min(self.each_s, before + self.all_s - self._spent_s)
        try:
            return trial.matches(matchers, labels)
        finally:
            self._spent_s += trial.spent_s - before
            if trial.spent_s >= self.each_s:
                self.slow.add(silence)
                self._spent_s -= trial.spent_s if len(self.slow) <= MAX_SLOW else 0.0


def matches(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all conditions hold of one alert; none at all match nothing.

    Raises:
        TooLongError: trying them takes too long.
    """
    return Trial().matches(matchers, labels)


def refuse_unusable(matchers: Sequence[Matcher]) -> None:
    """Refuse matchers that a silence cannot have, as Alertmanager does.

    Raises:
        UnusableMatcherError: a pattern that RE2 does not take; or all of them match an alert without any label.
    """
    for matcher in matchers:
        if matcher.op in REGEXES:
            try:
                _compiled(matcher.value)
            except UnusableMatcherError as error:
                raise UnusableMatcherError(f"{matcher.name}: not a regular expression of RE2: {error}") from error
    if matches(matchers, {}):
        raise UnusableMatcherError("at least one matcher must ask for a label to be there, or it would mute everything")
