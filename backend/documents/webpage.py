"""A document as one HTML page that loads nothing and runs nothing. Pure.

HTML in the text shows as text, pictures stay links, addresses other than of the web and of mail are no links, and
the page's own policy forbids scripts and every load.
"""

import html
from collections.abc import Sequence
from typing import Final

from markdown_it import MarkdownIt

from backend.documents.document import Document
from backend.documents.text import visible

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}th,td{border:1px solid;padding:.2rem .5rem;text-align:left;vertical-align:top}"
    "pre{overflow-x:auto;border:1px solid;padding:.5rem}footer{margin-top:3rem;border-top:1px solid}"
)
_LINKED: Final = ("http://", "https://", "mailto:", "#")


def parser() -> MarkdownIt:
    """Markdown with tables and struck-out text, without HTML and pictures."""
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    made.validateLink = lambda url: url.lower().startswith(_LINKED)  # type: ignore[method-assign]
    return made


def html_of(document: Document, footer: Sequence[str] = ()) -> str:
    """The document as a page; `footer` says who approved it, in plain text."""
    made = parser()
    title = _inline(made, document.title)
    head = "".join(
        f"<li><strong>{html.escape(name)}:</strong> {_inline(made, value)}</li>" for name, value in document.head
    )
    body = "".join(
        f"<h2>{html.escape(visible(name))}</h2>\n{_lowered(made, visible(text))}" for name, text in document.sections
    )
    foot = "".join(f"<p>{html.escape(visible(line))}</p>" for line in footer)
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(_text(made, document.title))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n<ul>{head}</ul>\n{body}{f'<footer>{foot}</footer>' if foot else ''}\n</body>\n</html>\n"
    )
    return visible(page)


def _inline(made: MarkdownIt, text: str) -> str:
    return str(made.renderInline(visible(text)))


def _text(made: MarkdownIt, markdown: str) -> str:
    return "".join(
        child.content
        for token in made.parseInline(visible(markdown))
        for child in token.children or ()
        if child.content
    )


def _lowered(made: MarkdownIt, text: str) -> str:
    """A section by itself, so that a mark left open in it swallows no other; its headings lie below the section's."""
    tokens = made.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1:]) + 2, 6)}"
    return str(made.renderer.render(tokens, made.options, {}))
