"""A document of Markdown: of a post-mortem the text that is hashed and approved. Pure."""

import hashlib
from typing import NamedTuple

from backend.documents.text import visible


class Document(NamedTuple):
    """What is written out, in any format."""

    title: str
    """Markdown of one line."""
    head: tuple[tuple[str, str], ...]
    sections: tuple[tuple[str, str], ...]
    """Title and text."""


def markdown_of(document: Document) -> str:
    """The document as Markdown, ending in one line end.

    Characters that a terminal would obey are shown as U+FFFD, so that what is read is what is hashed.
    """
    lines = [f"# {document.title}", "", *(f"- **{name}:** {value}" for name, value in document.head)]
    for title, text in document.sections:
        lines += ["", f"## {title}", "", visible(text).strip("\n")]
    return "\n".join(lines).rstrip("\n") + "\n"


def sha256_of(markdown: str) -> str:
    """What an approval names."""
    return hashlib.sha256(markdown.encode()).hexdigest()
