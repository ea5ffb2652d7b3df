"""Owns how figures are stated: one row each, its limit, and whether it holds. Measures nothing."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure, in one unit, with the limit it must stay under if it has one."""

    subject: str
    """What was measured, e.g. `console`."""
    figure: str
    """What about it, e.g. `first paint / hello`."""
    value: float
    unit: str
    limit: float | None = None
    """The largest value allowed; None for information only."""
    at_least: bool = False
    """The limit is the smallest value allowed."""
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the limit is kept; true without one."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    cells = [("", "subject", "figure", "value", "unit", "limit", "note")]
    for row in rows:
        mark = "" if row.limit is None else "ok" if row.holds else "OVER"
        limit = "" if row.limit is None else f"{'≥' if row.at_least else '≤'} {_number(row.limit)}"
        cells.append((mark, row.subject, row.figure, _number(row.value), row.unit, limit, row.note))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(text.rjust(width) if column == 3 else text.ljust(width) for column, (text, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in cells)
    )


def save(rows: Sequence[Row], directory: Path) -> Path:
    """Write the rows with when and where they were taken, and return the file."""
    directory.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    document = {
        "taken_at": now.isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rows": [{**asdict(row), "holds": row.holds} for row in rows],
    }
    path = directory / f"bench-{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
