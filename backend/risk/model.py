"""The words of the risk rules: parts, figures, limits. Pure; knows neither the database nor the policy's file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

from contract.risk import RiskRule
from contract.scope import GLOBAL, Scope, ScopeKind

DAILY_RULES = frozenset({RiskRule.DAILY_LOSS, RiskRule.GAS_SPEND})
"""Rules whose figure starts afresh with every UTC day."""
ZERO = Decimal(0)
T = TypeVar("T")


@lru_cache(maxsize=50_000)
def _scope(kind: ScopeKind, name: str) -> Scope:
    """Scopes are validated when they are made; an assessment meets the same few thousand again and again."""
    return Scope(kind=kind, name=name)


@dataclass(frozen=True, slots=True)
class Place:
    """Where trading happens: the dimensions along which figures are summed. Blank where a source did not say."""

    chain: str
    strategy: str
    wallet: str

    def under(self, scopes: Iterable[Scope]) -> bool:
        """Whether any of the scopes covers the place."""
        at = {"chain": self.chain, "strategy": self.strategy, "wallet": self.wallet, "executor": ""}
        return any(scope.covers(**at) for scope in scopes)


@dataclass(frozen=True, slots=True)
class Part:
    """What one place contributes to one figure."""

    place: Place
    amount: Decimal
    """ETH: absolute position, net profit or gas. For the success rate: how many succeeded."""
    known: int
    """Samples that carried a value. For the success rate: successes and failures."""
    unknown: int = 0
    """Samples that carried none."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A rule's value over some parts."""

    value: Decimal | None
    """None: nothing is known."""
    known: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The policy's numbers, as the rules need them."""

    overall: Mapping[RiskRule, Decimal]
    special: Mapping[tuple[RiskRule, Scope], Decimal]
    near_fraction: Decimal
    """Share of a limit from which a value is near it."""
    clear_margin: Decimal
    """How far back under its limit, as a share of it, a value has to come before its alert clears."""
    max_unknown_fraction: Decimal
    """Above this share of unknown samples a value that looks good is not called ok."""
    window: int
    """The success rate is that of so many trades."""
    min_samples: int

    def of(self, rule: RiskRule, scope: Scope) -> Decimal:
        """The limit of a rule in a scope: its own, else the overall one."""
        own = self.special.get((rule, scope))
        return self.overall[rule] if own is None else own


PartsOfScopes = Mapping[Scope, list[Part]]


def by_scope(parts: Iterable[Part]) -> dict[Scope, list[Part]]:
    """Sort parts under every scope that covers them."""
    return sorted_under_scopes((part.place, part) for part in parts)


def sorted_under_scopes(things: Iterable[tuple[Place, T]]) -> dict[Scope, list[T]]:
    """Sort things under every scope that covers their place.

    By plain names first: with thousands of places, hashing a scope for each would be most of an assessment's work.
    """
    every: list[T] = []
    names: tuple[dict[str, list[T]], ...] = ({}, {}, {})
    chains, strategies, wallets = names
    for place, thing in things:
        every.append(thing)
        if place.chain:
            chains.setdefault(place.chain, []).append(thing)
        if place.strategy:
            strategies.setdefault(place.strategy, []).append(thing)
        if place.wallet:
            wallets.setdefault(place.wallet, []).append(thing)
    found = {GLOBAL: every} if every else {}
    for kind, of_kind in zip((ScopeKind.CHAIN, ScopeKind.STRATEGY, ScopeKind.WALLET), names, strict=True):
        found |= {_scope(kind, name): of_name for name, of_name in of_kind.items()}
    return found
