"""Owns how Markdown is shown in a terminal: the parser's blocks as lines. What it does not know is shown as typed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from console.widgets.glyphs import Glyphs
from console.widgets.lines import EMPTY, Line, crop, line, outside, titled_rule, wrap
from console.widgets.view import View

_INDENT: Final = 2
_NARROWEST: Final = 10
_TEXT_CHARS: Final = 100_000
"""A whole section: `outside` cuts off what is longer."""
_TOP_LEVELS: Final = frozenset({"h1", "h2"})


@dataclass
class _Page:
    """What has been drawn, and how deep the parser is."""

    width: int
    glyphs: Glyphs
    rows: list[Line] = field(default_factory=list)
    lists: list[int | None] = field(default_factory=list)
    """One per open list: the next number, None for bullets."""
    quotes: int = 0
    mark: str = ""
    """What stands before the next text: the bullet of its item."""
    style: str = ""

    @property
    def before(self) -> str:
        """What stands before every line."""
        return f"{self.glyphs.upright} " * self.quotes + " " * (_INDENT * max(len(self.lists) - 1, 0))

    def text(self, content: str, style: str = "") -> None:
        """A paragraph, its lines broken where there is no more room."""
        mark = self.mark or (" " * _INDENT if self.lists else "")
        room = max(self.width - len(self.before) - len(mark), _NARROWEST)
        for index, row in enumerate(wrap(content, room)):
            shown = mark if not index else " " * len(mark)
            drawn = line((self.before, "dim"), (shown, "key"), (row, style or self.style))
            self.rows.append(crop(drawn, self.width, self.glyphs))
        self.mark = ""

    def gap(self) -> None:
        """One blank line between blocks, never two; none between the items of a list."""
        if self.rows and self.rows[-1] != EMPTY and not self.lists:
            self.rows.append(EMPTY)


def markdown_lines(text: str, view: View) -> list[Line]:
    """Markdown as it is read: headings, lists, quotes, code and tables."""
    page = _Page(max(view.width, _NARROWEST), view.glyphs)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    waiting = iter(tokens)
    for token in waiting:
        _draw(token, waiting, page)
    while page.rows and page.rows[-1] == EMPTY:
        page.rows.pop()
    return page.rows


def _draw(token: Token, waiting: Iterator[Token], page: _Page) -> None:  # noqa: C901, PLR0912  one case per kind of block
    match token.type:
        case "heading_open":
            page.gap()
            content = _inline(next(waiting))
            if token.tag in _TOP_LEVELS:
                page.rows.append(titled_rule(line((content, "head")), page.width, page.glyphs))
            else:
                page.text(content, "bold")
        case "inline":
            page.text(_inline(token))
        case "bullet_list_open":
            page.gap()
            page.lists.append(None)
        case "ordered_list_open":
            page.gap()
            page.lists.append(int(token.attrGet("start") or 1))
        case "bullet_list_close" | "ordered_list_close":
            page.lists.pop()
            page.gap()
        case "list_item_open":
            page.mark = _bullet(page)
        case "blockquote_open":
            page.gap()
            page.quotes += 1
        case "blockquote_close":
            page.quotes -= 1
            page.gap()
        case "fence" | "code_block" | "html_block":
            page.gap()
            for row in token.content.rstrip("\n").split("\n"):
                shown = line((f"{page.before}  ", "dim"), (outside(row, _TEXT_CHARS), "near"))
                page.rows.append(crop(shown, page.width, page.glyphs))
            page.gap()
        case "table_open":
            page.gap()
            _table(waiting, page)
        case "hr":
            page.gap()
            page.rows.append(line((page.glyphs.rule * page.width, "rule")))
            page.gap()
        case "paragraph_close" | "heading_close":
            page.gap()
        case _:
            pass  # what only closes a block that is drawn already


def _bullet(page: _Page) -> str:
    number = page.lists[-1] if page.lists else None
    if number is None:
        return f"{page.glyphs.hidden} "
    page.lists[-1] = number + 1
    return f"{number}. "


def _table(waiting: Iterator[Token], page: _Page) -> None:
    """A table with columns as wide as their widest cell, cut off where there is no room."""
    cells: list[list[str]] = []
    for token in waiting:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            cells.append([])
        elif token.type == "inline":
            cells[-1].append(_inline(token))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))] if cells else []
    for index, row in enumerate(cells):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        page.rows.append(crop(line((page.before + text, "bold" if not index else "")), page.width, page.glyphs))
    page.gap()


def _inline(token: Token) -> str:
    """The text of a line: emphasis gone, the address of a link behind it."""
    parts: list[str] = []
    links: list[str] = []
    for child in token.children or []:
        match child.type:
            case "text" | "code_inline" | "html_inline":
                parts.append(child.content)
            case "softbreak":
                parts.append(" ")
            case "hardbreak":
                parts.append("\n")
            case "link_open":
                links.append(str(child.attrGet("href") or ""))
            case "link_close":
                address = links.pop() if links else ""
                if address and address not in parts:
                    parts.append(f" ({address})")
            case "image":
                parts.append(f"[{child.content}: {child.attrGet('src')}]")
            case _:
                pass
    return "\n".join(outside(part, _TEXT_CHARS) for part in "".join(parts).split("\n"))
