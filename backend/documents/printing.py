"""A document as PDF, with reportlab where it is installed. Pure; loads no picture and no address.

Set in the Bitstream Vera that comes with reportlab: it has the Latin scripts, and every other character is printed
as its code, such as <U+4E2D>, never left out. The same document gives the same bytes.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Any, Final
from xml.sax.saxutils import escape

from markdown_it.token import Token

from backend.documents.document import Document
from backend.documents.text import visible
from backend.documents.webpage import parser
from backend.errors import WatchfloorError
from contract.errors import ErrorCode

_FACES: Final = {
    "Vera": "Vera.ttf",
    "Vera-Bold": "VeraBd.ttf",
    "Vera-Italic": "VeraIt.ttf",
    "Vera-BoldItalic": "VeraBI.ttf",
}
_MARGIN_POINTS: Final = 56
"""About two centimetres."""
_INDENT_POINTS: Final = 14
_MAX_INDENTS: Final = 8
"""Deeper lists are printed at this depth: text needs room."""
_CODE_COLUMNS: Final = 84
"""Of 8-point Courier between the margins."""
_MAX_WANTED_CHARS: Final = 90
"""Of a column: a longer text is broken anyhow."""
_BREAKS: Final = {"softbreak": " ", "hardbreak": "<br/>"}
_TAGS: Final = {"strong": "b", "em": "i", "s": "strike"}


def refuse_without_library() -> None:
    """Refuse where nothing can be printed.

    Raises:
        WatchfloorError: INVALID_REQUEST, reportlab is not installed.
    """
    try:
        found = find_spec("reportlab")
    except ValueError:  # something else stands in its place
        found = None
    if found is None:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            "This backend cannot write PDF: a library is not installed.",
            hint="Where the backend runs: pip install 'watchfloor[pdf]'. Or choose markdown or html.",
        )


def pdf_of(document: Document, footer: Sequence[str] = ()) -> bytes:
    """The document as PDF; `footer` says who approved it, in plain text. It may take a minute."""
    from reportlab import platypus

    press = _Press()
    press.heading(0, document.title)
    press.items(f"**{name}:** {value}" for name, value in document.head)
    for title, text in document.sections:
        press.plain("h1", title)
        press.body(parser().parse(visible(text)))
    for line in footer:
        press.plain("small", line)
    written = io.BytesIO()
    sheet = platypus.SimpleDocTemplate(
        written, title=document.title, author="", invariant=1,
        leftMargin=_MARGIN_POINTS, rightMargin=_MARGIN_POINTS, topMargin=_MARGIN_POINTS, bottomMargin=_MARGIN_POINTS,
    )  # fmt: skip
    sheet.build(press.flow, onFirstPage=_numbered, onLaterPages=_numbered)
    return written.getvalue()


@dataclass
class _Press:
    """Turns the tokens of Markdown into what reportlab lays out, in order."""

    flow: list[Any] = field(default_factory=list)
    _depth: int = 0
    _marks: list[str] = field(default_factory=list)
    """What the open lists put before their next item; a number counts on."""
    _mark: str | None = None

    def heading(self, level: int, markdown: str) -> None:
        """A heading in Markdown."""
        self._paragraph(f"h{min(level, 4)}", _inline(parser().parseInline(visible(markdown))))

    def plain(self, style: str, text: str) -> None:
        """A paragraph of plain text."""
        self._paragraph(style, _shown(visible(text)))

    def items(self, lines: Iterator[str]) -> None:
        """A list of lines in Markdown."""
        for line in lines:
            self._mark, self._depth = "•", 1
            self._paragraph("body", _inline(parser().parseInline(visible(line))))
        self._depth = 0

    def body(self, tokens: Sequence[Token]) -> None:
        """The text of a section."""
        waiting = iter(tokens)
        style = "body"
        for token in waiting:
            match token.type:
                case "inline":
                    self._paragraph(style, _inline([token]))
                case "heading_open":
                    style = f"h{min(int(token.tag[1:]) + 1, 4)}"
                case "heading_close":
                    style = "body"
                case "fence" | "code_block":
                    self._code(token.content)
                case "hr":
                    self.plain("small", "* * *")
                case "table_open":
                    self._table(waiting)
                case _:
                    self._nested(token)

    def _nested(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open":
                self._marks.append("•")
                self._depth += 1
            case "ordered_list_open":
                self._marks.append(str(token.attrs.get("start", 1)))
                self._depth += 1
            case "bullet_list_close" | "ordered_list_close":
                self._marks.pop()
                self._depth -= 1
            case "list_item_open":
                mark = self._marks[-1]
                self._mark = mark if mark == "•" else f"{mark}."
                self._marks[-1] = mark if mark == "•" else str(int(mark) + 1)
            case "blockquote_open":
                self._depth += 1
            case "blockquote_close":
                self._depth -= 1

    def _paragraph(self, style: str, markup: str) -> None:
        from reportlab.platypus import Paragraph

        mark, self._mark = self._mark, None
        self.flow.append(Paragraph(markup, _style(style, min(self._depth, _MAX_INDENTS)), bulletText=mark))

    def _code(self, text: str) -> None:
        from reportlab.platypus import Preformatted

        shown = _printable(text.rstrip("\n").expandtabs(4), "Courier")
        self.flow.append(
            Preformatted(shown, _style("code", min(self._depth, _MAX_INDENTS)), maxLineLength=_CODE_COLUMNS)
        )

    def _table(self, waiting: Iterator[Token]) -> None:
        from reportlab.platypus import Paragraph, Spacer, Table

        rows: list[list[Any]] = []
        for token in waiting:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(Paragraph(_inline([token]), _style("cell", 0)))
        if rows and rows[0]:
            grid = [("GRID", (0, 0), (-1, -1), 0.25, "black"), ("VALIGN", (0, 0), (-1, -1), "TOP")]
            self.flow += [Table(rows, colWidths=_widths(rows), style=grid, repeatRows=0, splitInRow=1), Spacer(1, 6)]


def _widths(rows: Sequence[Sequence[Any]]) -> list[float]:
    """Columns as wide as their texts want, none of them too narrow for a time."""
    from reportlab.lib.pagesizes import A4

    room = A4[0] - 2 * _MARGIN_POINTS - 1
    wanted = [max(min(_chars(row[column]), _MAX_WANTED_CHARS) for row in rows) + 4 for column in range(len(rows[0]))]
    return [room * one / sum(wanted) for one in wanted]


def _chars(cell: Any) -> int:
    return sum(len(frag.text) for frag in cell.frags)


def _inline(tokens: Sequence[Token]) -> str:
    """Reportlab's markup of inline Markdown; every character of the text itself is escaped."""
    parts: list[str] = []
    links: list[tuple[str, int]] = []
    for child in (child for token in tokens for child in token.children or ()):
        if child.type == "link_open":
            links.append((_shown(str(child.attrs.get("href", ""))), len(parts)))
        elif child.type == "link_close":
            address, since = links.pop()
            parts.append("" if "".join(parts[since:]) == address else f" (<i>{address}</i>)")
        else:
            parts.append(_child(child))
    return "".join(parts)


def _child(child: Token) -> str:
    fixed = _BREAKS.get(child.type)
    if fixed is not None:
        return fixed
    if child.type == "code_inline":
        return f'<font face="Courier">{_shown(child.content, face="Courier")}</font>'
    tag = _TAGS.get(child.tag)
    if tag:
        return f"<{tag}>" if child.nesting > 0 else f"</{tag}>"
    return _shown(child.content)


def _shown(text: str, face: str = "Vera") -> str:
    """As reportlab's markup, every character of it escaped."""
    return escape(_printable(text, face))


def _printable(text: str, face: str) -> str:
    """With every character that the face has no glyph for as its code."""
    has = _glyphs(face)
    return "".join(one if one in "\n\t" or one in has else f"<U+{ord(one):04X}>" for one in text)


@cache
def _glyphs(face: str) -> frozenset[str]:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    if face == "Courier":
        return frozenset(bytes(range(0x20, 0x7F)).decode("ascii"))
    for name, file in _FACES.items():
        pdfmetrics.registerFont(TTFont(name, file))
    pdfmetrics.registerFontFamily("Vera", **dict(zip(("normal", "bold", "italic", "boldItalic"), _FACES, strict=True)))
    known = [set(pdfmetrics.getFont(name).face.charToGlyph) for name in _FACES]
    return frozenset(chr(code) for code in set.intersection(*known) if 0x20 <= code < 0xFFFF)  # noqa: PLR2004  no controls


@cache
def _style(name: str, depth: int) -> Any:
    from reportlab.lib.styles import ParagraphStyle

    _glyphs("Vera")
    sizes = {"h0": 17, "h1": 13, "h2": 11, "h3": 10, "h4": 9.5, "body": 9, "cell": 8, "code": 8, "small": 8}
    size = sizes[name]
    heading = name.startswith("h")
    return ParagraphStyle(
        f"{name}-{depth}",
        fontName="Courier" if name == "code" else "Vera-Bold" if heading else "Vera",
        fontSize=size,
        leading=size * 1.35,
        spaceBefore=size * 0.9 if heading else 0,
        spaceAfter=0 if name == "cell" else 4,
        leftIndent=depth * _INDENT_POINTS,
        bulletIndent=max(depth - 1, 0) * _INDENT_POINTS + 4,
        bulletFontName="Vera",
        bulletFontSize=size,
        keepWithNext=heading,
    )


def _numbered(canvas: Any, _sheet: Any) -> None:
    canvas.setFont("Vera", 8)
    canvas.drawRightString(canvas._pagesize[0] - _MARGIN_POINTS, _MARGIN_POINTS / 2, str(canvas.getPageNumber()))  # noqa: SLF001  the library offers no other
