"""Looks at a ledger as it lies in the database, with nothing of the product's but the format of its bytes.

The tree's hash is computed the long way round, by its recursive definition (RFC 6962 §2.1).
"""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import psycopg


@dataclass
class Looked:
    """What a ledger holds, and everything that is wrong with it."""

    sizes: dict[str, int] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


def tree_hash(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash of leaf hashes."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


def look(database_url: str) -> Looked:
    """Check sequence numbers, bytes, roots, ids and the numbers of the processes that wrote."""
    looked = Looked()
    leaves: dict[str, list[bytes]] = defaultdict(list)
    ids: Counter[str] = Counter()
    stamps: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT log, seq, id::text, leaf, canon FROM audit_entries ORDER BY log, seq")
        for log, seq, ident, leaf, canon in rows:
            entry = json.loads(canon)
            if seq != len(leaves[log]):
                looked.faults.append(f"{log}: {len(leaves[log])} is followed by {seq}")
            if leaf != hashlib.sha256(b"\x00" + canon).digest():
                looked.faults.append(f"{log}/{seq}: the leaf is not the hash of the bytes")
            if (entry["index"]["id"], entry["index"]["log"]) != (ident, log):
                looked.faults.append(f"{log}/{seq}: the bytes are those of another entry")
            leaves[log].append(leaf)
            ids[ident] += 1
            stamps[entry["body"]["emitter"]["boot"]].append(entry["body"]["emitter"])
        heads = connection.execute("SELECT log, size, root FROM audit_heads").fetchall()
        waiting = connection.execute("SELECT canon FROM audit_outbox UNION ALL SELECT canon FROM audit_quarantine")
        for (canon,) in waiting.fetchall():
            _note_stamp(canon, stamps)
    for log, size, root in heads:
        looked.sizes[log] = size
        if (size, root) != (len(leaves[log]), tree_hash(leaves[log])):
            looked.faults.append(f"{log}: the head is not that of its {len(leaves[log])} entries")
    looked.faults += [f"entry {ident} is there {count} times" for ident, count in ids.items() if count > 1]
    looked.faults += [fault for boot, those in stamps.items() for fault in _gaps(boot, those)]
    looked.ids = set(ids)
    return looked


def _note_stamp(canon: bytes, stamps: dict[str, list[dict[str, Any]]]) -> None:
    try:
        emitter = json.loads(canon)["body"]["emitter"]
        stamps[emitter["boot"]].append(emitter)
    except (ValueError, TypeError, LookupError):
        return


def _gaps(boot: str, stamps: list[dict[str, Any]]) -> list[str]:
    numbers = Counter(stamp["n"] for stamp in stamps)
    void = {n for stamp in stamps for n in stamp["void"]}
    settled = max(stamp["settled"] for stamp in stamps)
    lost = sorted(set(range(1, settled + 1)) - numbers.keys() - void)
    found = [f"{boot}: number {n} is lost" for n in lost]
    found += [f"{boot}: number {n} was given {count} times" for n, count in numbers.items() if count > 1]
    return found + [f"{boot}: number {n} is called void and is there" for n in sorted(void & numbers.keys())]
