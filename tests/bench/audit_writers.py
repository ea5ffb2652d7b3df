"""Writers of the ledger's measurement: each transaction stores one act and its audit entry, then the next begins.

`python -m tests.bench.audit_writers KIND URL WRITERS SECONDS` runs writers in one process, each with a connection of
its own, and prints what they did as JSON. They speak to PostgreSQL without the product's layers, so that the ledger and
not HTTP is measured; the bytes, the numbers, the authentication and the statements are the product's own. One loop
serves them all: threads would spend more on taking turns than on writing.
"""

import hashlib
import heapq
import json
import os
import select
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final, TypeVar

from psycopg import pq

from backend.audit.authentic import mac_of
from backend.clock import SYSTEM_CLOCK
from backend.emitter import Emitter, Stamp
from backend.write_path import LOOK_BUSY_S, LOOK_EVERY_S, PUSH_BACK_FROM, pause_s
from ledger import entry as ledger_entry
from ledger.canon import format_instant
from tests.support.masterkey import keyring

ACTS: Final = "CREATE TABLE bench_acts (id uuid PRIMARY KEY, chain text, wallet text, amount numeric, at timestamptz)"
CHAIN: Final = """
CREATE TABLE bench_chain (LIKE audit_entries INCLUDING ALL);
ALTER TABLE bench_chain ADD COLUMN previous bytea NOT NULL;
"""
"""The opponent's table: the same columns and the same search indexes."""
_T = TypeVar("_T")
_ACT: Final = b"INSERT INTO bench_acts (id, chain, wallet, amount, at) VALUES ($1, $2, $3, $4, $5)"
_OUTBOX: Final = b"INSERT INTO audit_outbox (id, log, canon, mac, sealed, emitted_at) VALUES ($1, $2, $3, $4, $5, $6)"
_LOOK: Final = b"SELECT count(*) FROM (SELECT FROM audit_outbox LIMIT 5000) AS waiting"
_LOCK: Final = b"SELECT pg_advisory_xact_lock(77)"
_LAST: Final = b"SELECT seq, leaf FROM bench_chain ORDER BY seq DESC LIMIT 1"
_LINK: Final = (
    b"INSERT INTO bench_chain (log, seq, id, occurred_at, sequenced_at, category, event_type, action, actor,"
    b" actor_type, outcome, resource_type, resource_id, request_id, incident, leaf, canon, previous)"
    b" VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULL, $14, $15, $16)"
)
_KINDS: Final = (
    ("7y", "freeze.hold.created", "configuration", "freeze"),
    ("3y", "executors.process.moved", "system_events", "executor"),
    ("1y", "alerts.alert.raised", "monitoring", "alert"),
)
_OK: Final = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.PIPELINE_SYNC})

_Statement = tuple[bytes, list[bytes | None], list[int]]
_Row = tuple[bytes | None, ...]
_Steps = Generator[float | None, None, _T]
"""Work that waits: for seconds, or with None for the server."""


class Connection:
    """One connection that sends a transaction's statements without waiting in between."""

    def __init__(self, url: str) -> None:
        self._raw = pq.PGconn.connect(url.encode())
        if self._raw.status != pq.ConnStatus.OK:
            raise RuntimeError(self._raw.error_message.decode())
        self._raw.exec_(b"SET plan_cache_mode = force_generic_plan")
        self._known: set[bytes] = set()

    def send(self, *statements: _Statement) -> "_Steps[list[list[_Row]]]":
        """Send statements in one go and return the rows of each."""
        if not self._known.issuperset(sql for sql, _, _ in statements):
            self._prepare(sql for sql, _, _ in statements)
        for sql, values, formats in statements:
            self._raw.send_query_prepared(_name(sql), values, formats)
        self._raw.pipeline_sync()
        self._raw.flush()
        answers: list[list[_Row]] = []
        while len(answers) < len(statements):
            answers.append((yield from self._rows()))
        yield from self._next()
        return answers

    def _prepare(self, statements: Iterable[bytes]) -> None:
        if self._known:
            self._raw.exit_pipeline_mode()
        for sql in set(statements) - self._known:
            self._raw.prepare(_name(sql), sql)
            self._known.add(sql)
        self._raw.enter_pipeline_mode()

    def _rows(self) -> "_Steps[list[_Row]]":
        result = yield from self._next()
        if result is None or result.status not in _OK:
            raise RuntimeError(self._raw.error_message.decode())
        rows = [tuple(result.get_value(row, col) for col in range(result.nfields)) for row in range(result.ntuples)]
        yield from self._next()
        return rows

    def _next(self) -> "_Steps[pq.abc.PGresult | None]":
        while self._raw.is_busy():
            yield None
            self._raw.consume_input()
        return self._raw.get_result()

    @property
    def socket(self) -> int:
        """What becomes readable when the server has answered."""
        return self._raw.socket


@cache
def _name(sql: bytes) -> bytes:
    return hashlib.md5(sql, usedforsecurity=False).hexdigest().encode()


def _statement(sql: bytes, *values: bytes | str | None) -> _Statement:
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    return sql, raw, [int(isinstance(value, bytes)) for value in values]


_BEGIN, _COMMIT = _statement(b"BEGIN"), _statement(b"COMMIT")


class Process:
    """The writers of one process share its numbering, as a backend's requests do."""

    def __init__(self) -> None:
        self._emitter = Emitter(node=f"bench:{os.getpid()}", boot=SYSTEM_CLOCK.random_bytes(8).hex())
        self._keys = keyring()
        self._waiting = 0

    def entry(self, number: int) -> tuple[ledger_entry.Entry, datetime, Stamp]:
        """An entry as an act of a machine writes it; about 600 bytes."""
        log, event_type, category, what = _KINDS[number % len(_KINDS)]
        ident, now = SYSTEM_CLOCK.new_id(), datetime.now(UTC)
        stamp = self._emitter.take()
        index = ledger_entry.Index(
            id=str(ident),
            log=log,
            occurred_at=format_instant(now),
            category=category,
            event_type=event_type,
            action=f"{what} {number}",
            actor=f"executor:bot-{number % 40}",
            actor_type="service",
            outcome="success",
            resource_type=what,
            resource_id=f"{what}-{number % 5_000}",
            request_id=ident.hex,
        )
        said = {"chain": "arbitrum", "strategy": "triangle", "loss_eth": f"{number % 97}.25", "reason": "limit crossed"}
        entry = ledger_entry.Entry(
            index=index,
            actor_role="service",
            detail=ledger_entry.Detail(new_value=said, metadata={}),
            emitter=ledger_entry.Emitter(
                node=stamp.node, boot=stamp.boot, n=stamp.n, settled=stamp.settled, void=stamp.void
            ),
        )
        return entry, now, stamp

    def look_out(self, connection: Connection, until: float) -> _Steps[None]:
        """Keep an eye on what waits, as every process of the product does."""
        while time.monotonic() < until:
            (((waiting,),),) = yield from connection.send(_statement(_LOOK))
            self._waiting, looked = int(waiting or 0), time.monotonic()
            yield LOOK_BUSY_S
            while self._waiting < PUSH_BACK_FROM and time.monotonic() < looked + LOOK_EVERY_S:
                yield LOOK_BUSY_S / 5

    def to_outbox(self, connection: Connection, number: int) -> _Steps[None]:
        """The product's way: the act and its row of the outbox, later if too many wait."""
        if pause := pause_s(self._waiting):
            yield pause
        entry, now, stamp = self.entry(number)
        canon, ident, at = entry.to_canon(), entry.index.id, now.isoformat()
        yield from connection.send(  # what is sent before the server is asked for an answer is one transaction
            _statement(_ACT, ident, "arbitrum", "0xab", "1.5", at),
            _statement(_OUTBOX, ident, entry.index.log, canon, mac_of(self._keys.outbox, canon), None, at),
        )
        self._emitter.settle(stamp)
        self._waiting += 1

    def to_chain(self, connection: Connection, number: int) -> _Steps[None]:
        """The common way: the act, then the end of the chain under a lock, then the entry that refers to it."""
        entry, now, _ = self.entry(number)
        canon, index, at = entry.to_canon(), entry.index, now.isoformat()
        *_, last = yield from connection.send(
            _BEGIN,
            _statement(_ACT, index.id, "arbitrum", "0xab", "1.5", at),
            _statement(_LOCK),
            _statement(_LAST),
        )
        seq, previous = (int(last[0][0] or 0), bytes.fromhex((last[0][1] or b"").decode()[2:])) if last else (-1, b"")
        leaf = hashlib.sha256(previous + canon).digest()
        yield from connection.send(
            _statement(
                _LINK, index.log, str(seq + 1), index.id, at, index.category, index.event_type, index.action,
                index.actor, index.actor_type, index.outcome, index.resource_type, index.resource_id,
                index.request_id, leaf, canon, previous,
            ),
            _COMMIT,
        )  # fmt: skip


def _write(
    act: Callable[[Connection, int], _Steps[None]], connection: Connection, number: int, until: float, took: list[float]
) -> _Steps[None]:
    while (began := time.monotonic()) < until:
        yield from act(connection, number)
        took.append(time.monotonic() - began)
        number += 1


def _run(work: Mapping[int, _Steps[None]]) -> None:
    """Do all the work, each step as soon as its socket is readable or its time has come, until all of it is done."""
    poll, sleeping, ready = select.poll(), list[tuple[float, int]](), list(work)
    for socket in work:
        poll.register(socket, select.POLLIN)
    left = len(work)
    while left:
        for socket in ready:
            try:
                pause = next(work[socket])
            except StopIteration:
                poll.unregister(socket)
                left -= 1
            else:
                if pause is not None:
                    heapq.heappush(sleeping, (time.monotonic() + pause, socket))
        wait_ms = max(0.0, sleeping[0][0] - time.monotonic()) * 1000 if sleeping else None
        ready = [socket for socket, _ in poll.poll(wait_ms)] if left else []
        while sleeping and sleeping[0][0] <= time.monotonic():
            ready.append(heapq.heappop(sleeping)[1])


def main(arguments: list[str]) -> int:
    """Connect, wait for a line, write for a while and say how long each transaction took."""
    kind, url, writers, seconds = arguments[0], arguments[1], int(arguments[2]), float(arguments[3])
    process = Process()
    act = {"outbox": process.to_outbox, "chain": process.to_chain}[kind]
    connections = [Connection(url) for _ in range(writers)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    until, took = time.monotonic() + seconds, list[float]()
    work = {each.socket: _write(act, each, 1_000 * place, until, took) for place, each in enumerate(connections)}
    looker = Connection(url)
    _run(work | {looker.socket: process.look_out(looker, until)})
    sys.stdout.write(json.dumps(took) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
