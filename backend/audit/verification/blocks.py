"""Reads the rows of a log as blocks, in order, in constant memory. Must never hold a snapshot for long, and never let
anything but the bytes of an entry decide what the entry is.

The server puts together what the tail of each entry's bytes must be if the columns are right, so that comparing them
costs no parsing. It does no more: hashing is done here.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

BLOCK_ENTRIES: Final = 1024
"""Rows that travel together: at 32 KiB each they still fit in memory."""
CHUNK_ENTRIES: Final = 2**15
"""Rows of one statement: longer ones would keep the server from cleaning up, and what needs a second look in memory."""

_TRAILER_BYTES: Final = 2
_INT_BYTES: Final = 4
_ARRAY_HEADER_BYTES: Final = 20
_SIGNATURE_BYTES: Final = 19
"""Of a binary COPY: 11 of magic, flags, length of the extension."""


def _optional(column: str) -> str:
    return f"""coalesce('"' || {column} || '"', 'null')"""


NOTHING_SEALED: Final = b'"sealed":{}}'
"""Comes before the index of an entry without personal values: with it one comparison tells both."""
_TAIL: Final = f"""
concat('"sealed":{{}}}},"index":{{"action":"', action, '","actor":', {_optional("actor")},
',"actor_type":', {_optional("actor_type")},
',"category":"', category, '","event_type":"', event_type, '","id":"', id, '","incident":', {_optional("incident")},
',"log":"', log, '","occurred_at":"', to_char(occurred_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '","outcome":"', outcome,
'","request_id":', {_optional("request_id")}, ',"resource_id":', {_optional("resource_id")}, ',"resource_type":',
{_optional("resource_type")}, '}},"v":1}}')
"""
"""The end of the canonical bytes, as the columns have it, without escapes: what an entry without any must end with,
also without personal values."""

_ESCAPED: Final = _TAIL.replace("{", "{{").replace("}", "}}")
_BLOCKS: Final = f"""
COPY (
    SELECT block.* FROM generate_series({{aligned}}::bigint, {{stop}}::bigint - 1, {BLOCK_ENTRIES}) AS start
    CROSS JOIN LATERAL (
        SELECT array_agg(seq), array_agg(sequenced_at), string_agg(leaf, ''::bytea),
            array_agg(octet_length(canon)), string_agg(canon, '\\x0a'::bytea),
            array_agg(octet_length(tail)), string_agg(tail, chr(10))
        FROM (
            SELECT seq, sequenced_at, leaf, coalesce(canon, ''::bytea) AS canon, {_ESCAPED} AS tail FROM audit_entries
            WHERE log = {{log}} AND seq >= greatest(start, {{first}}) AND seq < least(start + {BLOCK_ENTRIES}, {{stop}})
            ORDER BY seq
        ) AS entry
    ) AS block
) TO STDOUT (FORMAT BINARY)
"""  # noqa: S608  constants
"""One index scan a block, aggregated in its order; `seqs` tells if a server ever does otherwise. Sorting each aggregate
would cost a sixth more. A malicious answer cannot pass the hash; the columns are judged as everybody sees them."""


class StreamError(Exception):
    """The server ended a stream."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows in a row."""

    seqs: tuple[int, ...]
    sequenced: tuple[int, ...]
    """When each row was sequenced, in microseconds."""
    leaves: bytes
    """The leaf columns, one after the other."""
    canons: list[bytes]
    tails: list[bytes]


def stream(connection: psycopg.Connection[Any], log: str, first: int, stop: int) -> Iterator[Block]:
    """Give the rows of [first, stop) block by block.

    Raises:
        StreamError: the server could not go on.
    """
    start = first
    while start < stop:
        until = min(stop, start - start % CHUNK_ENTRIES + CHUNK_ENTRIES)
        yield from _chunk(connection, log, start, until)
        start = until


def _chunk(connection: psycopg.Connection[Any], log: str, first: int, stop: int) -> Iterator[Block]:
    numbers = {"aligned": first - first % BLOCK_ENTRIES, "first": first, "stop": stop}
    values = {name: sql.Literal(value) for name, value in {**numbers, "log": log}.items()}
    statement = sql.SQL(_BLOCKS).format(**values)
    raw = connection.pgconn
    begun = raw.exec_(statement.as_bytes(connection))
    if begun.status != ExecStatus.COPY_OUT:
        raise StreamError(begun.error_message.decode("utf-8", "replace"))
    rows = _Rows(raw)
    try:
        yield from map(_parse, rows)
    finally:  # also when nobody wants the rest: the connection is needed again
        for _ in rows:
            pass
        ended = raw.get_result()
        while raw.get_result() is not None:
            pass
    if ended is None or ended.status != ExecStatus.COMMAND_OK:
        raise StreamError(ended.error_message.decode("utf-8", "replace") if ended else "the stream broke off")


class _Rows:
    """The rows of a binary COPY that has begun; may be gone on with after a break."""

    def __init__(self, raw: PGconn) -> None:
        self._raw = raw
        self._skip = _SIGNATURE_BYTES
        self._done = False

    def __iter__(self) -> Iterator[memoryview]:
        while not self._done:
            length, data = self._raw.get_copy_data(0)
            self._done = length < 0
            row = memoryview(data)[self._skip :]
            self._skip = 0
            if len(row) > _TRAILER_BYTES:
                yield row


def _parse(data: memoryview) -> Block:
    """Take one row of a binary COPY apart: numbers, times, leaves, and lengths and bytes of entries and tails."""
    fields: list[bytes] = []
    at = 2
    while at < len(data):
        length = int.from_bytes(data[at : at + _INT_BYTES], "big", signed=True)
        at += _INT_BYTES
        fields.append(bytes(data[at : at + max(length, 0)]))
        at += max(length, 0)
    seqs, sequenced, leaves, canon_lengths, canons, tail_lengths, tails = fields
    return Block(
        seqs=_array(seqs, "q"),
        sequenced=_array(sequenced, "q"),
        leaves=leaves,
        canons=_cut(canons, _array(canon_lengths, "i")),
        tails=_cut(tails, _array(tail_lengths, "i")),
    )


def _array(raw: bytes, kind: str) -> tuple[int, ...]:
    """Take an array of numbers apart: lengths and values in turn, so that one call reads all; none if one is NULL."""
    body, step = raw[_ARRAY_HEADER_BYTES:], struct.calcsize(f">i{kind}")
    if len(body) % step:  # a NULL, which no column here allows
        return ()
    return struct.unpack(f">{f'i{kind}' * (len(body) // step)}", body)[1::2]


def _cut(joined: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Cut what was joined by newlines; what has some itself is cut by length."""
    parts = joined.split(b"\n") if lengths else []
    if tuple(map(len, parts)) == lengths:
        return parts
    starts = accumulate((length + 1 for length in lengths), initial=0)
    return [joined[start : start + length] for start, length in zip(starts, lengths, strict=False)]
