"""Scopes: what a freeze, a limit or an alert is about. Pure; owns parsing, printing and covering."""

from typing import Self

from pydantic import field_validator, model_validator

from contract.base import Wire, storable
from contract.states import ScopeKind as ScopeKind  # noqa: PLC0414  part of what this module offers

MAX_NAME_CHARS = 100
"""Longer than any real wallet, chain or strategy name; keeps a hostile name out of indexes and dialogs."""


class Scope(Wire):
    """One scope, printed as `global` or `kind:name`."""

    kind: ScopeKind
    name: str = ""

    @field_validator("name")
    @classmethod
    def _bounded(cls, value: str) -> str:
        value = storable(value).strip()
        if len(value) > MAX_NAME_CHARS:
            raise ValueError(f"a scope name has at most {MAX_NAME_CHARS} characters")
        return value

    @model_validator(mode="after")
    def _name_fits_kind(self) -> Self:
        if (self.kind is ScopeKind.GLOBAL) == bool(self.name):
            raise ValueError("write global, chain:NAME, strategy:NAME or wallet:ADDRESS")
        return self

    def __str__(self) -> str:
        return self.kind.value if self.kind is ScopeKind.GLOBAL else f"{self.kind.value}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the printed form; wallet addresses are compared in lower case.

        Raises:
            ValueError: the text is not one of the four printed forms.
        """
        kind, _, name = text.strip().partition(":")
        try:
            parsed = ScopeKind(kind.strip().lower())
        except ValueError:
            raise ValueError(
                f"unknown scope {text!r}: write global, chain:NAME, strategy:NAME or wallet:ADDRESS"
            ) from None
        name = name.strip()
        return cls(kind=parsed, name=name.lower() if parsed is ScopeKind.WALLET else name)

    def covers(self, *, chain: str, strategy: str, wallet: str) -> bool:
        """Whether an executor that trades this chain, strategy and wallet falls under the scope.

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


GLOBAL = Scope(kind=ScopeKind.GLOBAL)
