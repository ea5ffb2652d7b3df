"""Scopes: what a freeze, a limit or an alert is about. Pure; owns parsing, printing and covering."""

import re
import unicodedata
from functools import lru_cache
from typing import Self

from pydantic import field_validator, model_validator

from contract.base import Wire, storable
from contract.states import ScopeKind as ScopeKind  # noqa: PLC0414  part of what this module offers

MAX_NAME_CHARS = 100
"""Longer than any real wallet, chain or strategy name; keeps a hostile name out of indexes and dialogs."""
MAX_STORED_CHARS = 450
"""Width of the column: four terms at their longest, with their kinds."""
HOW_TO_WRITE = "write global, chain:NAME, strategy:NAME, wallet:ADDRESS, executor:NAME, or several joined by +"
TERM_ORDER = (ScopeKind.CHAIN, ScopeKind.STRATEGY, ScopeKind.WALLET, ScopeKind.EXECUTOR)
"""The dimensions of a place; an intersection names each at most once, in this order."""
_KINDS = {kind.value: kind for kind in (ScopeKind.GLOBAL, *TERM_ORDER)}
_NEXT_TERM = re.compile(rf"\+(?=\s*(?:{'|'.join(kind.value for kind in TERM_ORDER)})\s*:)", re.IGNORECASE)


def nameable(value: str) -> str:
    """Refuse a name that no scope could be typed for: one with blanks around it, or that would read as two terms, or
    whose accents are characters of their own (the same name typed elsewhere then covers nothing).

    Raises:
        ValueError: it is such a name.
    """
    if _NEXT_TERM.search(value):
        raise ValueError("a name may not contain +chain:, +strategy:, +wallet: or +executor:")
    if value != value.strip():
        raise ValueError("a name may not begin or end with a blank")
    if not unicodedata.is_normalized("NFC", value):
        raise ValueError("a name has to be in the composed form of Unicode (NFC)")
    return value


class Scope(Wire):
    """One scope, printed as `global`, `kind:name`, or `kind:name+kind:name` for what all of these cover at once."""

    kind: ScopeKind
    name: str = ""
    """For an intersection: its printed form."""

    @field_validator("name")
    @classmethod
    def _storable(cls, value: str) -> str:
        return unicodedata.normalize("NFC", storable(value)).strip()

    @model_validator(mode="after")
    def _name_fits_kind(self) -> Self:
        if self.kind is ScopeKind.INTERSECTION:
            if self.name != _joined(_terms(self.name)):
                raise ValueError("an intersection is named by its terms as they are printed")
            return self
        if len(self.name) > MAX_NAME_CHARS:
            raise ValueError(f"a scope name has at most {MAX_NAME_CHARS} characters")
        if (self.kind is ScopeKind.GLOBAL) == bool(self.name):
            raise ValueError(HOW_TO_WRITE)
        nameable(self.name)
        return self

    def __str__(self) -> str:
        if self.kind is ScopeKind.INTERSECTION:
            return self.name
        return self.kind.value if self.kind is ScopeKind.GLOBAL else f"{self.kind.value}:{self.name}"

    @property
    def terms(self) -> "tuple[Scope, ...]":
        """The single scopes all of which have to cover a place: itself, or those of an intersection."""
        return _terms(self.name) if self.kind is ScopeKind.INTERSECTION else (self,)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the printed form; wallet addresses are compared in lower case.

        Raises:
            ValueError: the text is none of the printed forms.
        """
        if _NEXT_TERM.search(text):
            return cls(kind=ScopeKind.INTERSECTION, name=_joined(_terms(text)))
        kind, _, name = text.strip().partition(":")
        parsed = _KINDS.get(kind.strip().lower())
        if parsed is None:
            raise ValueError(f"unknown scope {text!r}: {HOW_TO_WRITE}")
        name = name.strip()
        return cls(kind=parsed, name=name.lower() if parsed is ScopeKind.WALLET else name)

    def covers(self, *, chain: str, strategy: str, wallet: str, executor: str) -> bool:
        """Whether an executor of this name that trades this chain, strategy and wallet falls under the scope.

        Capitals never matter: a freeze typed in a hurry as `chain:Arbitrum` must not cover nothing.
        """
        match self.kind:
            case ScopeKind.GLOBAL:
                return True
            case ScopeKind.CHAIN:
                return chain.casefold() == self.name.casefold()
            case ScopeKind.STRATEGY:
                return strategy.casefold() == self.name.casefold()
            case ScopeKind.WALLET:
                return wallet.casefold() == self.name.casefold()
            case ScopeKind.EXECUTOR:
                return executor.casefold() == self.name.casefold()
            case ScopeKind.INTERSECTION:
                place = {"chain": chain, "strategy": strategy, "wallet": wallet, "executor": executor}
                return all(term.covers(**place) for term in self.terms)


def intersection(*terms: Scope) -> Scope:
    """What all of these scopes cover at once; of one scope, that scope itself.

    Raises:
        ValueError: two terms name the same dimension, one is global, or there is none.
    """
    if len(terms) == 1:
        return terms[0]
    return Scope(kind=ScopeKind.INTERSECTION, name=_joined(terms))


@lru_cache(maxsize=256)  # asked for every executor at every look at the floor
def _terms(text: str) -> tuple[Scope, ...]:
    return tuple(Scope.parse(term) for term in _NEXT_TERM.split(text))


def _joined(terms: tuple[Scope, ...]) -> str:
    kinds = [term.kind for term in terms]
    if len(terms) < 2 or len(set(kinds)) < len(kinds) or not set(kinds) <= set(TERM_ORDER):  # noqa: PLR2004  a pair
        raise ValueError("an intersection names two or more of chain, strategy, wallet and executor, each once")
    return "+".join(str(term) for term in sorted(terms, key=lambda term: TERM_ORDER.index(term.kind)))


GLOBAL = Scope(kind=ScopeKind.GLOBAL)
"""Everything."""
