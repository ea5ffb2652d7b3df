"""Scopes: what is read back as it was printed, what covers what, and what is no scope."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backend.freeze.core import normalised
from contract.scope import GLOBAL, MAX_NAME_CHARS, Scope, ScopeKind

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40).filter(
    lambda name: bool(name.strip())
)
NAMED = st.sampled_from([kind for kind in ScopeKind if kind is not ScopeKind.GLOBAL])


@given(kind=NAMED, name=NAMES)
def test_the_printed_form_reads_back(kind: ScopeKind, name: str) -> None:
    scope = normalised(Scope(kind=kind, name=name))
    again = normalised(Scope.parse(str(scope)))
    assert again == scope or (kind is ScopeKind.WALLET and not name.isascii())


@given(kind=NAMED, name=NAMES)
def test_storing_a_scope_changes_nothing_of_what_it_covers(kind: ScopeKind, name: str) -> None:
    place = {"chain": name.strip(), "strategy": name.strip(), "wallet": name.strip()}
    scope = Scope(kind=kind, name=name)
    assert scope.covers(**place)
    assert normalised(scope).covers(**place)
    assert normalised(normalised(scope)) == normalised(scope)


@given(chain=NAMES, strategy=NAMES, wallet=NAMES)
def test_the_global_scope_covers_everything(chain: str, strategy: str, wallet: str) -> None:
    assert GLOBAL.covers(chain=chain, strategy=strategy, wallet=wallet)


@pytest.mark.parametrize("text", ["global", " GLOBAL ", "Chain: arbitrum", "wallet:0xABC", "strategy:a:b"])
def test_what_people_type_is_read(text: str) -> None:
    assert Scope.parse(text).kind in set(ScopeKind)


def test_only_the_named_dimension_counts_and_capitals_do_not() -> None:
    scope = Scope.parse("chain:Arbitrum")
    assert scope.covers(chain="arbitrum", strategy="x", wallet="y")
    assert not scope.covers(chain="base", strategy="arbitrum", wallet="arbitrum")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("global", "x"),
        ("chain", ""),
        ("chain", "  "),
        ("chain", "\x00"),
        ("chain", "\ud800"),
        ("wallet", "x" * (MAX_NAME_CHARS + 1)),
        ("venue", "x"),
    ],
)
def test_what_is_no_scope_is_refused(kind: str, name: str) -> None:
    with pytest.raises(ValidationError):
        Scope.model_validate({"kind": kind, "name": name})


@pytest.mark.parametrize("text", ["", "chain", "chain:", "everything", "global:x", "wallet: "])
def test_what_does_not_read_as_a_scope_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write global, chain:NAME"):
        Scope.parse(text)


def test_a_wallet_whose_lower_case_is_longer_can_be_frozen() -> None:
    name = "İ" * MAX_NAME_CHARS
    assert normalised(Scope(kind=ScopeKind.WALLET, name=name)).covers(chain="", strategy="", wallet=name)
