"""Owns a year of audit entries made at once, for measuring the search: rows, nodes, heads and spans as the sequencer
would have written them, with words, people and addresses spread as they are in real logs. Proves nothing about it.
"""

import math
import random
from base64 import b32encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import psycopg

from backend.audit.authentic import head_mac
from backend.audit.events import AuditEvent
from backend.audit.ledger_rows import PARTITION_ENTRIES
from backend.keyring import Keyring
from ledger import seal
from ledger.canon import format_instant
from ledger.entry import INDEX_FIELDS
from ledger.merkle import CompactRange

DAYS: Final = 365
LOGS: Final = {"7y": 0.5, "1y": 0.35, "3y": 0.15}
"""The logs of the built-in policy, and the share of each."""
RARE, HALF, OLDEST, PHRASE = "quokka", "settled", "hibernation", "gas spike"
"""A word of every 50,000th entry; of every second; of a tenth of the oldest month and none later; of every 100th."""
RARE_EVENT: Final = "auth.user.disabled"
_RARE_EVERY: Final = 50_000
"""Of so many entries of a log one each has the rare word, the rare event type, the rare person, their address."""
_WITH_WORD, _WITH_EVENT, _WITH_PERSON, _WITH_ADDRESS = range(4)
OLDEST_SHARE: Final = 1 / 12
RARE_PERSON, HEAVY_PERSON = "rita", "person000"
_RARE_SURROGATE: Final = f"person:p{'7' * 16}"
RARE_ADDRESS, HEAVY_ADDRESS = "203.0.113.77", "198.51.100.1"
INCIDENT: Final = "INC-2026-0007"
REQUEST_EVERY: Final = 3
_SEALED_EVERY: Final = 10
_BATCH: Final = 2**13
_VOCABULARY: Final = 20_000
_PEOPLE: Final = 200
_EVENTS: Final = tuple(event.value for event in AuditEvent)
_COLUMNS: Final = tuple(field for field in INDEX_FIELDS if field not in {"log", "id", "occurred_at"})
_COPY: Final = (
    f"COPY audit_entries (log, seq, id, occurred_at, sequenced_at, {', '.join(_COLUMNS)}, leaf, canon)"
    " FROM STDIN (FORMAT BINARY)"
)
_TYPES: Final = ("varchar", "int8", "uuid", "timestamptz", "timestamptz", *("text" for _ in _COLUMNS), "bytea", "bytea")
_COPY_SEALED: Final = (
    "COPY audit_sealed (entry_id, field, log, occurred_at, subject, key_id, nonce, ciphertext, blind)"
    " FROM STDIN (FORMAT BINARY)"
)
_SEALED_TYPES: Final = ("uuid", "varchar", "varchar", "timestamptz", "varchar", "uuid", "bytea", "bytea", "bytea")
_KEY: Final = UUID(int=7)
_COMMITMENT: Final = "A" * 43 + "="


@dataclass(frozen=True)
class Act:
    """What an event type looks like in this year."""

    event: str
    category: str
    log: str
    weight: float


def fill(connection: psycopg.Connection[Any], keyring: Keyring, acts: Sequence[Act], entries: int) -> None:
    """Write a year of so many entries, ending now, into an empty ledger; commits as it goes."""
    end = datetime.now(UTC).replace(microsecond=0)
    _people(connection)
    indexes = _take_indexes(connection)
    for log in sorted({act.log for act in acts}):
        share = sum(act.weight for act in acts if act.log == log)
        _fill_log(connection, keyring, [act for act in acts if act.log == log], round(entries * share), end)
    for statement in indexes:
        connection.execute(statement)
        connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM (ANALYZE, PARALLEL 0)")
    connection.autocommit = False


def acts_of(category_of: Any, log_of: Any) -> list[Act]:
    """The event types with what the policy says of each; the shares of the logs are as `LOGS` states."""
    rng = random.Random(5)  # noqa: S311  test data
    raw = []
    for event in _EVENTS:
        category = category_of(event)
        if (log := log_of(category)) in LOGS:
            raw.append(Act(event, category, log, 0.0 if event == RARE_EVENT else rng.paretovariate(1)))
    sums = {log: sum(act.weight for act in raw if act.log == log) for log in LOGS}
    present = sum(LOGS[log] for log in {act.log for act in raw})
    return [Act(a.event, a.category, a.log, a.weight / sums[a.log] * LOGS[a.log] / present) for a in raw]


def _people(connection: psycopg.Connection[Any]) -> None:
    names = [(_surrogate(number), f"person{number:03d}") for number in range(_PEOPLE)]
    names.append((_RARE_SURROGATE, RARE_PERSON))
    connection.cursor().executemany("INSERT INTO audit_subjects (pid, name, created_at) VALUES (%s, %s, now())", names)
    connection.execute(
        "INSERT INTO audit_subject_keys (id, subject, master_key_id, wrapped, created_at)"
        " VALUES (%s, 'person:bench', 'bench', '\\x00', now())",
        (_KEY,),
    )
    connection.commit()


def _surrogate(number: int) -> str:
    """As the product makes them: readers see the name in its place."""
    return f"person:p{b32encode(number.to_bytes(10)).decode().lower()}"


def _take_indexes(connection: psycopg.Connection[Any]) -> list[str]:
    """Drop the search indexes and give what makes them again: built over whole tables they are there in minutes."""
    found = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'audit_entries' AND indexname LIKE 'ix%%'"
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    connection.commit()
    return [statement.replace(" ON ONLY ", " ON ") for _, statement in found]


def _fill_log(
    connection: psycopg.Connection[Any], keyring: Keyring, acts: Sequence[Act], entries: int, end: datetime
) -> None:
    log, edge = acts[0].log, CompactRange()
    for first in range(0, entries, PARTITION_ENTRIES):
        connection.execute("SELECT audit_add_partition(%s, %s, %s)", (log, first, first + PARTITION_ENTRIES))
    made = _Year(keyring, acts, entries, end)
    for first in range(0, entries, _BATCH):
        rows = [made.row(seq) for seq in range(first, min(entries, first + _BATCH))]
        nodes = edge.extend([row[-2] for row in rows])
        with connection.cursor().copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for row in rows:
                copy.write_row(row)
        with connection.cursor().copy(_COPY_SEALED) as copy:
            copy.set_types(_SEALED_TYPES)
            for sealed in made.take_sealed():
                copy.write_row(sealed)
        connection.cursor().executemany(
            "INSERT INTO audit_nodes (log, level, position, hash) VALUES (%s, %s, %s, %s)",
            [(log, *node) for node in nodes],
        )
        connection.commit()
    _finish(connection, keyring.outbox, log, edge)


def _finish(connection: psycopg.Connection[Any], key: bytes, log: str, edge: CompactRange) -> None:
    connection.execute(
        "UPDATE audit_spans SET time_min = seen.low, time_max = seen.high FROM ("
        " SELECT seq / %(size)s * %(size)s AS first, min(occurred_at) AS low, max(occurred_at) AS high"
        " FROM audit_entries WHERE log = %(log)s GROUP BY 1) AS seen WHERE log = %(log)s AND seq_from = seen.first",
        {"size": PARTITION_ENTRIES, "log": log},
    )
    connection.execute(
        "INSERT INTO audit_heads (log, size, frontier, root, sequenced_at, mac) VALUES (%s, %s, %s, %s, now(), %s)",
        (log, edge.size, edge.to_bytes(), edge.root(), head_mac(key, log, edge.size, edge.root())),
    )
    connection.commit()


class _Year:
    """Makes the rows of one log, always the same for the same size."""

    def __init__(self, keyring: Keyring, acts: Sequence[Act], entries: int, end: datetime) -> None:
        self._rng = random.Random(acts[0].log)  # noqa: S311  test data
        self._keyring = keyring
        self._acts = acts
        self._weights = [act.weight for act in acts]
        self._entries = entries
        self._begin = end - timedelta(days=DAYS)
        self._step = timedelta(days=DAYS) / max(entries, 1)
        self._sealed: list[list[Any]] = []
        self._blinds: dict[str, bytes] = {}
        self._words = [f"w{number}" for number in range(_VOCABULARY)]

    def take_sealed(self) -> Iterator[list[Any]]:
        """The sealed addresses of the rows made since the last call."""
        taken, self._sealed = self._sealed, []
        yield from taken

    def row(self, seq: int) -> list[Any]:
        """One entry as the columns of the COPY."""
        rng = self._rng
        rare = seq % _RARE_EVERY
        (act,) = rng.choices(self._acts, self._weights)
        if rare == _WITH_EVENT:
            act = next((one for one in self._acts if one.event == RARE_EVENT), act)
        when = self._begin + seq * self._step
        ident = UUID(int=(int(when.timestamp() * 1000) << 80) | 7 << 76 | 2 << 62 | hash(act.log) % 1000 << 40 | seq)
        actor, kind, person = self._actor(rng)
        if rare in {_WITH_PERSON, _WITH_ADDRESS}:
            actor, kind, person = _RARE_SURROGATE, "user", True
        outcome = "success" if rng.random() > 0.02 else rng.choice(("failure", "denied"))
        area, subject, verb = act.event.split(".")
        resource = f"{subject}-{int(rng.random() ** 3 * 5_000)}"
        request = f"req-{act.log}-{seq // REQUEST_EVERY:x}"
        incident = INCIDENT if rng.random() < 0.0001 else None
        sealed = (
            f'"ip_address":"{_COMMITMENT}"' if person and (seq % _SEALED_EVERY == 0 or rare == _WITH_ADDRESS) else ""
        )
        if sealed:
            self._seal(RARE_ADDRESS if rare == _WITH_ADDRESS else _address(rng), ident, act.log, when)
        action = f"{verb} {subject}"
        named = f'"{incident}"' if incident else "null"
        index = (
            f'{{"action":"{action}","actor":"{actor}","actor_type":"{kind}","category":"{act.category}",'
            f'"event_type":"{act.event}","id":"{ident}","incident":{named},"log":"{act.log}",'
            f'"occurred_at":"{format_instant(when)}","outcome":"{outcome}","request_id":"{request}",'
            f'"resource_id":"{resource}","resource_type":"{area}"}}'
        )
        body = (
            '{"actor_role":"mev_operator","detail":{"error_message":null,"metadata":{},"new_value":'
            f'{{"amount":"{seq % 977}.5","chain":"ethereum","reason":"{self._reason(rng, seq)}"}},"old_value":null}},'
            f'"emitter":{{"boot":"00112233445566aa","n":{seq + 1},"node":"bench:1","settled":{seq},"void":[]}},'
            f'"sealed":{{{sealed}}}}}'
        )
        canon = f'{{"body":{body},"index":{index},"v":1}}'.encode()
        columns = [action, actor, kind, act.category, act.event, incident, outcome, request, resource, area]
        return [act.log, seq, ident, when, when, *columns, sha256(b"\0" + canon).digest(), canon]

    @staticmethod
    def _actor(rng: random.Random) -> tuple[str, str, bool]:
        lot = rng.random()
        if lot < 0.4:
            return f"executor:sim-{int(rng.random() * 40):03d}", "service", False
        return _surrogate(int(rng.random() ** 3 * _PEOPLE)), "user", True

    def _reason(self, rng: random.Random, seq: int) -> str:
        words = [
            self._words[int(math.exp(rng.random() * math.log(_VOCABULARY))) - 1] for _ in range(rng.randint(6, 16))
        ]
        if rng.random() < 0.5:
            words[rng.randrange(len(words))] = HALF
        if seq % _RARE_EVERY == _WITH_WORD:
            words.append(RARE)
        if rng.random() < 0.01:
            words.append(PHRASE)
        elif rng.random() < 0.05:
            words += ["gas", "limit", "and", "spike"]
        if seq < self._entries * OLDEST_SHARE and rng.random() < 0.1:
            words.append(OLDEST)
        return " ".join(words)

    def _seal(self, address: str, ident: UUID, log: str, when: datetime) -> None:
        blind = self._blinds.get(address)
        if blind is None:
            blind = self._blinds[address] = seal.blind(self._keyring.blinding, "ip_address", address)
        row = [ident, "ip_address", log, when, "person:bench", _KEY, bytes(12), bytes(60), blind]
        self._sealed.append(row)


def _address(rng: random.Random) -> str:
    lot = rng.random()
    return HEAVY_ADDRESS if lot < 0.5 else f"198.51.{int(lot * 50)}.{int(rng.random() ** 2 * 250)}"
