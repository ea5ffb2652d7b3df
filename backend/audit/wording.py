"""Reads what somebody typed to be found in the text of entries, and turns it into a full-text query.

Words, "phrases", beginnings* and -without, all of which must hold; `or` between alternatives. Who writes a person's
name finds the entries of that person too, in which only the surrogate stands. Must never raise for any text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.asking import ask

MAX_NAME_WORDS: Final = 6
"""Longest run of words that is looked up as one person's name."""
NOTHING: Final = ""
"""A full-text query that no entry answers."""
_LEXEME = re.compile(r"'(?:[^']|'')*'")
"""As PostgreSQL writes one."""
_TOKEN = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
_LEXEMES = "SELECT part, phraseto_tsquery('simple', part)::text, false FROM unnest(CAST(:parts AS text[])) AS part"
"""Language `simple`: no stemming, an auditor looks for names and words as they were written."""
_PEOPLE = (
    "SELECT lower(name), split_part(pid, ':', 2), true FROM audit_subjects"
    " WHERE lower(name) = ANY(CAST(:names AS text[]))"
)


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that has to occur, or with `without` must not."""

    words: str
    without: bool = False
    beginning: bool = False
    """The last word may go on."""
    quoted: bool = False


def parse(asked: str) -> list[list[Term]]:
    """Read a question into alternatives, each a list of terms that must all hold."""
    alternatives: list[list[Term]] = [[]]
    for minus, phrase, word in _TOKEN.findall(asked):
        if not minus and word.lower() == "or":
            alternatives.append([])
        elif word:
            bare = word.rstrip("*")
            alternatives[-1].append(Term(bare, bool(minus), beginning=bare != word))
        elif phrase:
            alternatives[-1].append(Term(phrase, bool(minus), quoted=True))
    return [terms for terms in alternatives if terms]


async def text_query(session: AsyncSession, asked: str) -> str:
    """The full-text query for a question, as PostgreSQL reads it; `NOTHING` if it has no word in it."""
    alternatives = parse(asked)
    parts = sorted({term.words for terms in alternatives for term in terms})
    if not parts:
        return NOTHING
    names = sorted({name for terms in alternatives for name in _possible_names(terms)})
    known = await ask(session, f"{_LEXEMES} UNION ALL {_PEOPLE}", {"parts": parts, "names": names})
    lexemes: dict[str, str] = {written: lexeme for written, lexeme, person in known if not person}
    people: dict[str, str] = {name: word for name, word, person in known if person}
    lexemes |= await _phrases_with_people(session, parts, lexemes, people)
    made = [_all_of(terms, lexemes, people) for terms in alternatives]
    return " | ".join(f"( {one} )" for one in made if one)


def joined(query: str) -> int:
    """How many words a full-text query wants together at most; those of alternatives are counted as if together."""
    return max(1, len(_LEXEME.findall(query)))


async def _phrases_with_people(
    session: AsyncSession, parts: Sequence[str], lexemes: Mapping[str, str], people: Mapping[str, str]
) -> dict[str, str]:
    """Phrases in which a person's name stands: entries hold the surrogate in its place."""
    told = {part: " ".join(people.get(word.lower(), word) for word in part.split()) for part in parts if " " in part}
    changed = {part: kept for part, kept in told.items() if kept != " ".join(part.split())}
    if not changed:
        return {}
    rows = await ask(session, _LEXEMES, {"parts": sorted(changed.values())})
    found: dict[str, str] = {row[0]: row[1] for row in rows}
    return {part: f"( {lexemes[part]} ) | ( {found[kept]} )" for part, kept in changed.items() if lexemes[part]}


def _possible_names(terms: Sequence[Term]) -> Iterable[str]:
    for term in terms:
        if term.quoted:
            yield from term.words.lower().split()
    for start in range(len(terms)):
        for end in range(start + 1, min(start + MAX_NAME_WORDS, len(terms)) + 1):
            yield _joined(terms[start:end])


def _joined(terms: Sequence[Term]) -> str:
    return " ".join(term.words for term in terms).lower()


def _all_of(terms: Sequence[Term], lexemes: Mapping[str, str], people: Mapping[str, str]) -> str:
    made: list[str] = []
    position = 0
    while position < len(terms):
        run = _name_at(terms, position, people)
        group = terms[position : position + run]
        words = " & ".join(f"( {one} )" for one in (_words(term, lexemes) for term in group) if one)
        person = people.get(_joined(group)) if not group[0].beginning else None
        either = " | ".join(filter(None, (f"( {words} )" if words else "", f"'{person}'" if person else "")))
        if either:
            made.append(f"!( {either} )" if group[0].without else f"( {either} )")
        position += run
    return " & ".join(made)


def _name_at(terms: Sequence[Term], start: int, people: Mapping[str, str]) -> int:
    """How many terms from here on are one person's name; 1 if they are none."""
    for run in range(min(MAX_NAME_WORDS, len(terms) - start), 1, -1):
        group = terms[start : start + run]
        plain = not any(term.without or term.beginning or term.quoted for term in group)
        if plain and _joined(group) in people:
            return run
    return 1


def _words(term: Term, lexemes: Mapping[str, str]) -> str:
    found = lexemes.get(term.words, "")
    return f"{found}:*" if found and term.beginning else found
