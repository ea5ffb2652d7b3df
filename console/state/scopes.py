"""Owns which scopes can be picked, and what has to be typed to confirm one. Pure."""

from typing import Final

from console.state.floor import Floor
from contract.scope import GLOBAL, Scope, ScopeKind

LONGEST_TYPED_NAME: Final = 20
"""A name longer than this is confirmed by its end: nobody types 42 characters in an emergency."""

TYPED_TAIL: Final = 6
"""Characters of a long name that have to be typed."""


def known_scopes(floor: Floor) -> list[Scope]:
    """What can be frozen by one name: all, then chains, strategies, wallets and executors that are known."""
    executors = floor.executors.values()
    return [
        GLOBAL,
        *(Scope(kind=ScopeKind.CHAIN, name=name) for name in sorted({one.chain for one in executors})),
        *(Scope(kind=ScopeKind.STRATEGY, name=name) for name in sorted({one.strategy for one in executors})),
        *(Scope(kind=ScopeKind.WALLET, name=name) for name in sorted({one.wallet for one in executors})),
        *(Scope(kind=ScopeKind.EXECUTOR, name=name) for name in sorted(one.name for one in executors)),
    ]


def typed_name(scope: Scope) -> str:
    """What confirms a scope: its name, or the end of a name that is too long to type; of several terms, the first's."""
    if scope.kind is ScopeKind.GLOBAL:
        return scope.kind.value
    if scope.kind is ScopeKind.INTERSECTION:
        return typed_name(scope.terms[0])
    return scope.name if len(scope.name) <= LONGEST_TYPED_NAME else scope.name[-TYPED_TAIL:]
