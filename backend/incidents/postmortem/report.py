"""Title, date and sections of a report that was written elsewhere. Pure; says nothing that the report does not.

Sections are cut out of the text, never rewritten: put together again they are the text, byte for byte.
"""

import re
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from markdown_it import MarkdownIt

MAX_SECTIONS: Final = 1_000
"""The longest of the reports we have seen has fewer than a hundred; headings beyond stay in the last section."""
_MAX_HEADING_CHARS: Final = 2_000
_MAX_TITLE_CHARS: Final = 300
_MAX_DATED_CHARS: Final = 200_000
"""A date that appears only after this much text is no date of the report."""
_TITLES_OF_SECTIONS: Final = re.compile(
    r"(issue |incident |executive )?(summary|timeline|overview|impact|introduction|background|details)\b", re.IGNORECASE
)
_TITLES_OF_TEMPLATES: Final = {"issue name", "[issue name]", "title", "incident title", "postmortem", "post-mortem"}
_FIELD: Final = re.compile(r"^(date|time|severity|status|authors?|incident id)\b\s*:", re.IGNORECASE)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"  # fmt: skip  # noqa: E501  one alternation
_DAY: Final = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?P<year>(?:19|20)\d\d)"
_FORMS: Final = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<![\d-]){_YEAR}-(?P<month>\d\d)-(?P<day>\d\d)(?!\d)",
        r"(?<![\d/-])(?P<month>\d{1,2})[/-](?P<day>\d{1,2})[/-](?P<year>(?:20)?\d\d)(?!\d)",
        rf"\b{_MONTH}\s{{1,3}}{_DAY}(?:\s?[-–]\s?\d{{1,2}})?(?:,?\s{{1,3}}(?:\([A-Z]{{3}}\),?\s)?{_YEAR})?(?!\d)",
        rf"\b{_DAY}\.?\s{{1,3}}(?:of\s)?{_MONTH},?(?:\s{{1,3}}{_YEAR})?(?!\d)",
        rf"(?<!\d){_DAY}{_MONTH}{_YEAR}(?!\d)",
        rf"(?<!\d){_YEAR}(?P<mistyped>\d)-(?P<month>\d\d)-(?P<day>\d\d)(?!\d)",
    )
)
_DATE_FIELD: Final = re.compile(
    r"^[#*_ \t]{0,20}date[*_ \t]{0,20}:[*_ \t]{0,20}(?P<value>[^\n]{4,100})$", re.IGNORECASE | re.MULTILINE
)
_NAMED_YEAR: Final = re.compile(r"(?<!\d)(20\d\d)(?!\d)")
_NUMBERED: Final = re.compile(r"^(?:[A-Z]{2,4}\d{4}-\d{1,4}|\d{4}-\d\d-\d\d|\d\d-\d\d)\s*[-–_]?\s*")


class ReportSection(NamedTuple):
    """One section: its heading, and all of its text with the heading."""

    title: str
    """Empty for what stands before the first heading."""
    level: int
    text: str


class Report(NamedTuple):
    """What was found in a report."""

    title: str
    date: date | None
    sections: tuple[ReportSection, ...]


def read_report(name: str, text: str) -> Report:
    """Find title, date and sections of a report; its file's name helps where the text is silent."""
    sections = tuple(_sections(text))
    return Report(_title(name, sections), _date(name, text, sections), sections)


def _sections(text: str) -> Iterator[ReportSection]:
    lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)
    headings = _headings(text)
    if not headings or headings[0][0]:
        headings = [(0, 0, ""), *headings]
    for (line, level, title), (following, _, _) in pairwise([*headings, (len(lines), 0, "")]):
        content = "".join(lines[line:following])
        if title or content:
            yield ReportSection(title, level, content)


def _headings(text: str) -> list[tuple[int, int, str]]:
    """Line, level and title of each heading; what looks like one inside code is none."""
    tokens = MarkdownIt("commonmark").disable(["inline", "reference"]).parse(text)
    found = [
        (opening.map[0], int(opening.tag[1:]), _plain(content.content))
        for opening, content in pairwise(tokens)
        if opening.type == "heading_open" and opening.map and opening.level == 0
    ]
    return [one for one in found if one[2]][:MAX_SECTIONS]


def _plain(markdown: str) -> str:
    linked = re.sub(r"!?\[([^\][]{0,300})\]\([^()\s]{0,2000}\)", r"\1", markdown[:_MAX_HEADING_CHARS])
    plain = re.sub(r"(?<!\w)([*_`]{1,3})(?=\S)([^*`\n]{1,300}?)\1(?!\w)", r"\2", linked)
    return " ".join(plain.split())[:_MAX_TITLE_CHARS]


def _title(name: str, sections: tuple[ReportSection, ...]) -> str:
    first = next((section.title for section in sections if section.title), "")
    unusable = first.lower() in _TITLES_OF_TEMPLATES or _TITLES_OF_SECTIONS.match(first) or _FIELD.match(first)
    title = _named(name) if not first or unusable else first
    return title.rstrip(":") or name


def _named(name: str) -> str:
    stem = re.sub(r"\.(md|markdown|txt)$", "", PurePosixPath(name).name, flags=re.IGNORECASE)
    words = _NUMBERED.sub("", stem)
    if " " not in words:
        words = words.replace("-", " ")
    return " ".join(words.replace("_", " ").split()) or stem


def _date(name: str, text: str, sections: tuple[ReportSection, ...]) -> date | None:
    year = _year_of(name)
    head = text[:_MAX_DATED_CHARS]
    field = _DATE_FIELD.search(head)
    title = next((section.title for section in sections if section.title), "")
    candidates = [
        next(_dates(PurePosixPath(name).name, None), None),
        next(_dates(field["value"], year), None) if field else None,
        next(_dates(title, year), None),
    ]
    found = next((one for one in candidates if one), None)
    if found:
        return found
    named = list(_dates(head, year))
    return next((one for one in named if year in (None, one.year)), None) or next(iter(named), None)


def _year_of(name: str) -> int | None:
    years = {int(found[1]) for part in PurePosixPath(name).parts for found in _NAMED_YEAR.finditer(part)}
    return years.pop() if len(years) == 1 else None


def _dates(text: str, year: int | None) -> Iterator[date]:
    """Dates in the order of the text; those without a year are of `year`, or none.

    A year with a digit too many ("20202-01-16") counts where `year` says which was meant.
    """
    found = [match for form in _FORMS for match in form.finditer(text)]
    for match in sorted(found, key=lambda one: one.start()):
        said = int(match["year"]) if match["year"] else year
        month = match["month"][:3].lower()
        number = _MONTHS.index(month) + 1 if month in _MONTHS else int(month)
        mistyped = match.groupdict().get("mistyped")
        if said is None or (mistyped and said != year):
            continue
        try:
            yield date(said if said > 99 else 2000 + said, number, int(match["day"]))  # noqa: PLR2004  two digits
        except ValueError:
            continue
