"""Owns the filter of a list: every word has to occur somewhere in the row. Pure."""

from collections.abc import Iterable


def matches(words: Iterable[str], *texts: str | None) -> bool:
    """Whether each word occurs in any of the texts, in any case."""
    row = "\n".join(text for text in texts if text).casefold()
    return all(word.casefold() in row for word in words)
