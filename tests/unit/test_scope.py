"""Scopes: what is read back as it was printed, what covers what, and what is no scope."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backend.freeze.core import normalised
from contract.gate import RenewRequest
from contract.scope import (
    GLOBAL,
    MAX_NAME_CHARS,
    MAX_STORED_CHARS,
    TERM_ORDER,
    Scope,
    ScopeKind,
    intersection,
    nameable,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40).filter(
    lambda name: bool(name.strip()) and "+" not in name
)
NAMED = st.sampled_from(TERM_ORDER)


@given(kind=NAMED, name=NAMES)
def test_the_printed_form_reads_back(kind: ScopeKind, name: str) -> None:
    scope = normalised(Scope(kind=kind, name=name))
    again = normalised(Scope.parse(str(scope)))
    assert again == scope or (kind is ScopeKind.WALLET and not name.isascii())


@given(kind=NAMED, name=NAMES)
def test_storing_a_scope_changes_nothing_of_what_it_covers(kind: ScopeKind, name: str) -> None:
    place = dict.fromkeys(("chain", "strategy", "wallet", "executor"), name.strip())
    scope = Scope(kind=kind, name=name)
    assert scope.covers(**place)
    assert normalised(scope).covers(**place)
    assert normalised(normalised(scope)) == normalised(scope)


@given(chain=NAMES, strategy=NAMES, wallet=NAMES)
def test_the_global_scope_covers_everything(chain: str, strategy: str, wallet: str) -> None:
    assert GLOBAL.covers(chain=chain, strategy=strategy, wallet=wallet, executor="")


@pytest.mark.parametrize(
    "text", ["global", " GLOBAL ", "Chain: arbitrum", "wallet:0xABC", "strategy:a:b", "executor:bot-1", "chain:a+b"]
)
def test_what_people_type_is_read(text: str) -> None:
    assert Scope.parse(text).kind in set(ScopeKind)


def test_only_the_named_dimension_counts_and_capitals_do_not() -> None:
    scope = Scope.parse("chain:Arbitrum")
    assert scope.covers(chain="arbitrum", strategy="x", wallet="y", executor="z")
    assert not scope.covers(chain="base", strategy="arbitrum", wallet="arbitrum", executor="arbitrum")


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
        ("chain", "x+wallet:y"),
        ("intersection", "chain:x"),
        ("intersection", "strategy:x+chain:y"),
        ("intersection", "chain:x + strategy:y"),
    ],
)
def test_what_is_no_scope_is_refused(kind: str, name: str) -> None:
    with pytest.raises(ValidationError):
        Scope.model_validate({"kind": kind, "name": name})


@pytest.mark.parametrize(
    "text", ["", "chain", "chain:", "everything", "global:x", "wallet: ", "intersection:x", "chain:+wallet:x"]
)
def test_what_does_not_read_as_a_scope_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write global, chain:NAME"):
        Scope.parse(text)


def test_a_wallet_whose_lower_case_is_longer_can_be_frozen() -> None:
    name = "İ" * MAX_NAME_CHARS
    assert normalised(Scope(kind=ScopeKind.WALLET, name=name)).covers(chain="", strategy="", wallet=name, executor="")


@given(names=st.lists(NAMES, min_size=2, max_size=4), kinds=st.permutations(TERM_ORDER), blanks=st.booleans())
def test_an_intersection_reads_back_in_any_order_and_covers_what_all_its_terms_cover(
    names: list[str], kinds: list[ScopeKind], *, blanks: bool
) -> None:
    terms = [Scope(kind=kind, name=name) for kind, name in zip(kinds, names, strict=False)]
    typed = (" + " if blanks else "+").join(map(str, terms))
    scope = Scope.parse(typed)
    assert scope == intersection(*(Scope.parse(str(term)) for term in terms))
    assert Scope.parse(str(scope)) == scope
    assert len(scope.name) <= MAX_STORED_CHARS
    place = dict.fromkeys(("chain", "strategy", "wallet", "executor"), "elsewhere of all names" * 3)
    for term in terms:
        assert not scope.covers(**place)
        place[term.kind.value] = term.name
    assert scope.covers(**place)


@pytest.mark.parametrize("text", ["chain:a+chain:b", "global+chain:a", "chain:a+strategy:b+chain:c"])
def test_an_intersection_names_each_dimension_once_and_never_everything(text: str) -> None:
    with pytest.raises(ValueError, match="an intersection names two or more of"):
        Scope.parse(text)


def test_a_name_typed_with_accents_apart_is_the_same_name() -> None:
    composed, apart = "\u00c9mile", "E\u0301mile"
    assert Scope.parse(f"chain:{apart}").covers(chain=composed, strategy="", wallet="", executor="")
    both = Scope.parse(f"executor:{apart}+chain:{apart}")
    assert both.covers(chain=composed, strategy="", wallet="", executor=composed)


@pytest.mark.parametrize("name", [" bot", "bot\n", "bot\u00a0", "E\u0301mile", "a+chain:b"])
def test_an_executor_is_not_named_so_that_no_scope_could_be_typed_for_it(name: str) -> None:
    with pytest.raises(ValueError, match="a name"):
        nameable(name)
    usual = {"executor": "bot", "chain": "a", "strategy": "b", "wallet": "c", "boot_id": "d"}
    for field in ("executor", "chain", "strategy", "wallet"):
        with pytest.raises(ValidationError, match="a name"):
            RenewRequest.model_validate(usual | {field: name})
