"""Which crossed limits deserve an alert (and a freeze) of their own. Pure.

One loss shows up in several scopes: a wallet's, its strategy's, its chain's and the overall one. The narrowest scope
that explains a crossing speaks for it: a broader scope gets an alert of its own only when it would still be past its
limit without the places that narrower ones (or ones already alerted) cover. So a strategy that lost 12 ETH is frozen
and the rest of the platform trades on, while three strategies that lost 4 ETH each freeze the platform.

Should more than a handful of narrower scopes be needed to explain a broader one, the broader one speaks for all of
them: one alert and one hold instead of fifty.

"Narrowest" means fewest samples; between scopes with the very same samples a strategy comes before a chain, a wallet
and the overall scope, because that is the name people act on.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from backend.risk.measures import crosses, figure
from backend.risk.model import Figure, Limits, Part, PartsOfScopes
from contract.risk import RiskRule
from contract.scope import Scope, ScopeKind

MAX_SPEAKERS = 3
"""Narrower scopes that may explain a broader one before it speaks for itself."""
_PREFERRED = (ScopeKind.STRATEGY, ScopeKind.CHAIN, ScopeKind.WALLET, ScopeKind.GLOBAL)


@dataclass(frozen=True, slots=True)
class Crossing:
    """One limit that is crossed in one scope and not explained by a narrower one."""

    rule: RiskRule
    scope: Scope
    figure: Figure
    limit: Decimal
    explains: tuple[Scope, ...] = ()
    """Broader scopes that are past their limit only because of this one."""

    @property
    def value(self) -> Decimal:
        """The value; a crossing always has one."""
        return self.figure.value if self.figure.value is not None else Decimal(0)


def unexplained(
    rule: RiskRule, scopes: PartsOfScopes, limits: Limits, *, alerted: Collection[Scope] = ()
) -> list[Crossing]:
    """The crossings of one rule, narrowest first, without those that the others explain.

    `alerted` are scopes with a live alert of the rule: while they cross they keep it, and they explain before others.
    """
    crossed = {
        scope: found
        for scope in scopes
        if crosses(rule, (found := figure(rule, scopes[scope], limits)).value, limits.of(rule, scope))
    }
    order = sorted(
        crossed,
        key=lambda scope: (
            scope not in alerted,
            crossed[scope].known + crossed[scope].unknown,
            _PREFERRED.index(scope.kind),
            scope.name,
        ),
    )
    chosen: list[Scope] = []
    explained: list[Scope] = []
    for scope in order:
        rest = [part for part in scopes[scope] if not part.place.under(chosen)]
        alone = scope in alerted or crosses(rule, figure(rule, rest, limits).value, limits.of(rule, scope))
        (chosen if alone else explained).append(scope)
    for broader in explained:
        members = [one for one in chosen if one not in alerted and _within(scopes[one], broader)]
        if len(members) > MAX_SPEAKERS:
            chosen = [broader, *(one for one in chosen if one not in members)]
    return [
        Crossing(
            rule,
            scope,
            crossed[scope],
            limits.of(rule, scope),
            tuple(other for other in explained if other not in chosen and _touches(scopes[other], scope)),
        )
        for scope in chosen
    ]


def _within(parts: Iterable[Part], scope: Scope) -> bool:
    return all(part.place.under([scope]) for part in parts)


def _touches(parts: Iterable[Part], scope: Scope) -> bool:
    return any(part.place.under([scope]) for part in parts)
