"""Owns turning lines into checked chunks ready to send: the contract's own validation, 2,000 lines at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from console.client.imports.columns import Choices, ColumnError, Plan, plan
from console.client.imports.readers import FileError, Line, Source
from contract.transactions import RefusedRow, TransactionIn

CHUNK_ROWS: Final = 2_000
"""Some 1 MB a request: large enough to be quick, small enough that reading and storing overlap."""
MAX_REFUSED: Final = 100_000
"""A file with more bad lines is the wrong file; listing them all would only fill memory."""
_TRADES: Final = TypeAdapter(list[TransactionIn])
_WORDING: Final = {
    "missing": "is missing",
    "string_too_short": "is blank",
    "timezone_aware": "has no zone",
}


@dataclass(frozen=True)
class Chunk:
    """A request's worth of lines."""

    body: bytes
    """A `StageRequest` in JSON; empty when no line of the chunk was good."""
    rows: int
    refused: list[RefusedRow]
    done_bytes: int


@dataclass
class Chunker:
    """Reads a source once, in order."""

    source: Source
    chosen: Choices
    ignored: dict[str, None] = field(default_factory=dict)
    """Columns that were left out, in the order met."""
    _plans: dict[tuple[str, ...], Plan | ColumnError] = field(default_factory=dict)

    def prepare(self) -> None:
        """Assign the columns before anything is sent.

        Raises:
            ColumnError: the header does not make trades.
        """
        if self.source.header is not None:
            self._plans[self.source.header] = self._noted(plan(self.source.header, self.chosen))

    def chunks(self) -> Iterator[Chunk]:
        """All chunks of the file.

        Raises:
            FileError: what follows cannot be read, or too many lines are bad.
            ColumnError: the first JSON line does not make a trade.
        """
        refused_total = 0
        lines: list[int] = []
        trades: list[dict[str, Any]] = []
        refused: list[RefusedRow] = []
        for line in self.source.lines():
            try:
                trades.append(self._fields(line))
                lines.append(line.number)
            except ValueError as problem:
                refused.append(RefusedRow(line=line.number, reason=str(problem)))
            if len(trades) + len(refused) >= CHUNK_ROWS:
                chunk = self._chunk(lines, trades, refused)
                refused_total += len(chunk.refused)
                yield chunk
                if refused_total > MAX_REFUSED:
                    raise FileError(f"More than {MAX_REFUSED:,} lines of {self.source.path} are refused: gave up.")
                lines, trades, refused = [], [], []
        if trades or refused:
            yield self._chunk(lines, trades, refused)

    def _fields(self, line: Line) -> dict[str, Any]:
        if line.problem:
            raise ValueError(line.problem)
        fields: dict[str, Any] = dict(self.chosen.constants)
        for position, name, convert in self._plan(line).steps:
            try:
                fields[name] = convert(line.cells[position])
            except ValueError as problem:
                raise ValueError(f"{name} {problem}") from None
        return fields

    def _plan(self, line: Line) -> Plan:
        found = self._plans.get(line.columns)
        if found is None:
            found = self._new_plan(line)
        if isinstance(found, ColumnError):
            raise ValueError(found.message)  # noqa: TRY004  it becomes the reason of a refused line
        return found

    def _new_plan(self, line: Line) -> Plan | ColumnError:
        first = not self._plans
        if first:
            # the first object stands for the file: what it lacks is a matter of columns, not of one line
            self._plans[line.columns] = self._noted(plan(line.columns, self.chosen))
            return self._plans[line.columns]
        try:
            found: Plan | ColumnError = self._noted(plan(line.columns, self.chosen, all_columns=False))
        except ColumnError as error:
            found = error
        if len(self._plans) < CHUNK_ROWS:  # a hostile file names new columns on every line
            self._plans[line.columns] = found
        return found

    def _noted(self, found: Plan) -> Plan:
        if len(self.ignored) < CHUNK_ROWS:
            self.ignored.update(dict.fromkeys(found.ignored))
        return found

    def _chunk(self, lines: list[int], trades: list[dict[str, Any]], refused: list[RefusedRow]) -> Chunk:
        wrong = _problems(trades)
        rows = [
            {"line": number, "transaction": trade}
            for index, (number, trade) in enumerate(zip(lines, trades, strict=True))
            if index not in wrong
        ]
        refused += [RefusedRow(line=lines[index], reason=reason) for index, reason in wrong.items()]
        refused.sort(key=lambda row: row.line)
        body = orjson.dumps({"rows": rows}) if rows else b""
        return Chunk(body, len(rows), refused, self.source.done_bytes)


def _problems(trades: list[dict[str, Any]]) -> dict[int, str]:
    """Which trades the contract refuses, and the first reason of each."""
    try:
        _TRADES.validate_python(trades)
    except ValidationError as error:
        problems: dict[int, str] = {}
        for detail in error.errors(include_url=False, include_context=False):
            index = int(detail["loc"][0])
            name = str(detail["loc"][1]) if len(detail["loc"]) > 1 else "line"
            wording = _WORDING.get(detail["type"]) or f"is refused: {detail['msg']}"
            problems.setdefault(index, f"{name} {wording}")
        return problems
    return {}
