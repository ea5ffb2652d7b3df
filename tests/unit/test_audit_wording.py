"""What people type to be found becomes terms; no text is an error."""

from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from backend.audit.cursors import Cursor, Position, decode, encode
from backend.audit.wording import Term, parse


def test_words_phrases_beginnings_and_exclusions() -> None:
    assert parse('gas "price spike" arb* -test or -"dry run"') == [
        [Term("gas"), Term("price spike", quoted=True), Term("arb", beginning=True), Term("test", without=True)],
        [Term("dry run", without=True, quoted=True)],
    ]


def test_an_open_quote_ends_with_the_text() -> None:
    assert parse('"open end') == [[Term("open end", quoted=True)]]
    assert parse("or or") == []


@given(st.text())
def test_any_text_is_read(asked: str) -> None:
    assert all(term.words for terms in parse(asked) for term in terms)


_CURSORS = st.builds(
    Cursor,
    st.builds(
        Position,
        st.datetimes(timezones=st.just(UTC)),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        st.integers(0, 2**63 - 1),
    ),
    st.dictionaries(st.sampled_from(["7y", "meta", "import:x"]), st.integers(0, 2**63 - 1)),
    st.booleans(),
)


@given(_CURSORS)
def test_a_cursor_comes_back_as_it_went(cursor: Cursor) -> None:
    assert decode(encode(cursor)) == cursor
