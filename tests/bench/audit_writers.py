"""Writers of the ledger's measurement: each transaction stores one act and its audit entry, then the next begins.

`python -m tests.bench.audit_writers KIND URL WRITERS SECONDS` runs writers in threads of one process and prints what
they did as JSON. They speak to PostgreSQL without the product's layers, so that the ledger and not HTTP is measured;
the bytes, the numbers, the authentication and the statements are the product's own.
"""

import hashlib
import json
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from typing import Final

from psycopg import pq

from backend.audit.authentic import mac_of
from backend.clock import SYSTEM_CLOCK
from backend.emitter import Emitter, Stamp
from backend.keyring import load_keyring
from backend.settings import Settings
from backend.write_path import LOOK_BUSY_S, LOOK_EVERY_S, PUSH_BACK_FROM, pause_s
from ledger import entry as ledger_entry
from ledger.canon import format_instant

ACTS: Final = "CREATE TABLE bench_acts (id uuid PRIMARY KEY, chain text, wallet text, amount numeric, at timestamptz)"
CHAIN: Final = """
CREATE TABLE bench_chain (LIKE audit_entries INCLUDING ALL);
ALTER TABLE bench_chain ADD COLUMN previous bytea NOT NULL;
"""
"""The opponent's table: the same columns and the same search indexes."""
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


class Connection:
    """One connection that sends a transaction's statements without waiting in between."""

    def __init__(self, url: str) -> None:
        self._raw = pq.PGconn.connect(url.encode())
        if self._raw.status != pq.ConnStatus.OK:
            raise RuntimeError(self._raw.error_message.decode())
        self._raw.exec_(b"SET plan_cache_mode = force_generic_plan")
        self._known: set[bytes] = set()
        self._poll = select.poll()
        self._poll.register(self._raw.socket, select.POLLIN)

    def send(self, *statements: tuple[bytes, list[bytes | None], list[int]]) -> list[list[tuple[bytes | None, ...]]]:
        """Send statements in one go and return the rows of each."""
        if not self._known.issuperset(sql for sql, _, _ in statements):
            self._prepare(sql for sql, _, _ in statements)
        for sql, values, formats in statements:
            self._raw.send_query_prepared(_name(sql), values, formats)
        self._raw.pipeline_sync()
        self._raw.flush()
        answers = [self._rows() for _ in statements]
        self._next()
        return answers

    def _prepare(self, statements: Iterable[bytes]) -> None:
        if self._known:
            self._raw.exit_pipeline_mode()
        for sql in set(statements) - self._known:
            self._raw.prepare(_name(sql), sql)
            self._known.add(sql)
        self._raw.enter_pipeline_mode()

    def _rows(self) -> list[tuple[bytes | None, ...]]:
        result = self._next()
        if result is None or result.status not in _OK:
            raise RuntimeError(self._raw.error_message.decode())
        rows = [tuple(result.get_value(row, col) for col in range(result.nfields)) for row in range(result.ntuples)]
        self._next()
        return rows

    def _next(self) -> pq.abc.PGresult | None:
        """Wait without the interpreter's lock: the driver would keep it."""
        while self._raw.is_busy():
            self._poll.poll()
            self._raw.consume_input()
        return self._raw.get_result()


@cache
def _name(sql: bytes) -> bytes:
    return hashlib.md5(sql, usedforsecurity=False).hexdigest().encode()


def _statement(sql: bytes, *values: bytes | str | None) -> tuple[bytes, list[bytes | None], list[int]]:
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    return sql, raw, [int(isinstance(value, bytes)) for value in values]


_BEGIN, _COMMIT = _statement(b"BEGIN"), _statement(b"COMMIT")


class Process:
    """The writers of one process share its numbering, as a backend's requests do."""

    def __init__(self) -> None:
        settings = Settings(database_url="postgresql://unused")
        self._emitter = Emitter(node=f"bench:{os.getpid()}", boot=SYSTEM_CLOCK.random_bytes(8).hex())
        self._keys = load_keyring(settings, SYSTEM_CLOCK)
        self._lock = threading.Lock()
        self._waiting = 0

    def entry(self, number: int) -> tuple[ledger_entry.Entry, datetime, Stamp]:
        """An entry as an act of a machine writes it; about 600 bytes."""
        log, event_type, category, what = _KINDS[number % len(_KINDS)]
        ident, now = SYSTEM_CLOCK.new_id(), datetime.now(UTC)
        with self._lock:
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

    def look_out(self, url: str, until: float) -> None:
        """Keep an eye on what waits, as every process of the product does."""
        connection = Connection(url)
        while time.monotonic() < until:
            (((waiting,),),) = connection.send(_statement(_LOOK))
            self._waiting, looked = int(waiting or 0), time.monotonic()
            time.sleep(LOOK_BUSY_S)
            while self._waiting < PUSH_BACK_FROM and time.monotonic() < looked + LOOK_EVERY_S:
                time.sleep(LOOK_BUSY_S / 5)

    def to_outbox(self, connection: Connection, number: int) -> None:
        """The product's way: the act and its row of the outbox, later if too many wait."""
        if pause := pause_s(self._waiting):
            time.sleep(pause)
        entry, now, stamp = self.entry(number)
        canon, ident, at = entry.to_canon(), entry.index.id, now.isoformat()
        connection.send(  # what is sent before the server is asked for an answer is one transaction
            _statement(_ACT, ident, "arbitrum", "0xab", "1.5", at),
            _statement(_OUTBOX, ident, entry.index.log, canon, mac_of(self._keys.outbox, canon), None, at),
        )
        with self._lock:
            self._emitter.settle(stamp)
            self._waiting += 1

    def to_chain(self, connection: Connection, number: int) -> None:
        """The common way: the act, then the end of the chain under a lock, then the entry that refers to it."""
        entry, now, _ = self.entry(number)
        canon, index, at = entry.to_canon(), entry.index, now.isoformat()
        *_, last = connection.send(
            _BEGIN,
            _statement(_ACT, index.id, "arbitrum", "0xab", "1.5", at),
            _statement(_LOCK),
            _statement(_LAST),
        )
        seq, previous = (int(last[0][0] or 0), bytes.fromhex((last[0][1] or b"").decode()[2:])) if last else (-1, b"")
        leaf = hashlib.sha256(previous + canon).digest()
        connection.send(
            _statement(
                _LINK, index.log, str(seq + 1), index.id, at, index.category, index.event_type, index.action,
                index.actor, index.actor_type, index.outcome, index.resource_type, index.resource_id,
                index.request_id, leaf, canon, previous,
            ),
            _COMMIT,
        )  # fmt: skip


def _write(act: Callable[[Connection, int], None], connection: Connection, number: int, until: float) -> list[float]:
    latencies: list[float] = []
    while (began := time.monotonic()) < until:
        act(connection, number)
        latencies.append(time.monotonic() - began)
        number += 1
    return latencies


def main(arguments: list[str]) -> int:
    """Connect, wait for a line, write for a while and say how long each transaction took."""
    kind, url, writers, seconds = arguments[0], arguments[1], int(arguments[2]), float(arguments[3])
    process = Process()
    act = {"outbox": process.to_outbox, "chain": process.to_chain}[kind]
    connections = [Connection(url) for _ in range(writers)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(writers + 1) as pool:
        looking = pool.submit(process.look_out, url, until)
        runs = [pool.submit(_write, act, each, 1_000 * place, until) for place, each in enumerate(connections)]
        latencies = [latency for run in runs for latency in run.result()]
    looking.result()
    sys.stdout.write(json.dumps(latencies) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
