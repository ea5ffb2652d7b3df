"""Which crossed limits deserve an alert (and a freeze) of their own. Pure.

One loss shows up in several scopes: a wallet's, its strategy's, its chain's and the overall one. The narrowest scope
that explains a crossing speaks for it: a broader scope gets an alert of its own only when it would still be past its
limit without the places that narrower ones (or ones already alerted) cover. So a strategy that lost 12 ETH is frozen
and the rest of the platform trades on, while three strategies that lost 4 ETH each freeze the platform.

"Narrowest" means fewest samples; between scopes with the very same samples a strategy comes before a chain, a wallet
and the overall scope, because that is the name people act on.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from backend.risk.measures import crosses, figure
from backend.risk.model import Figure, Limits, PartsOfScopes
from contract.risk import RiskRule
from contract.scope import Scope, ScopeKind

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
    explained: dict[Scope, list[Scope]] = {}
    for scope in order:
        rest = [part for part in scopes[scope] if not part.place.under(chosen)]
        if scope in alerted or crosses(rule, figure(rule, rest, limits).value, limits.of(rule, scope)):
            chosen.append(scope)
        else:
            explained[scope] = [one for one in chosen if any(part.place.under([one]) for part in scopes[scope])]
    return [
        Crossing(rule, scope, crossed[scope], limits.of(rule, scope), _explained_by(scope, explained))
        for scope in chosen
    ]


def _explained_by(scope: Scope, explained: Mapping[Scope, list[Scope]]) -> tuple[Scope, ...]:
    return tuple(broader for broader, narrower in explained.items() if scope in narrower)
