"""Writes the bundle of a period: entries, tree nodes, signed heads, period records, and the program that checks them.

The bundle is the same whoever made it: what it shows does not rest on this code, only on what it carries.
"""

import hashlib
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import nodes
from backend.audit.pruning import pruned_edge
from backend.audit.tables import LedgerHead
from backend.audit.verification.periods import columns_of, placed_before
from backend.audit.verification.proving import head_over, signing_keys
from backend.audit.verification.records import period_record
from backend.audit.verification.trees import edge_at
from backend.audit.verification_tables import SealedPeriod
from backend.context import Runtime
from backend.errors import WatchfloorError
from contract.errors import ErrorCode
from ledger import verify_bundle
from ledger.canon import format_instant
from ledger.merkle import CompactRange, Node, leaf_hash
from ledger.verify_bundle import BUNDLE_FORMAT, MANIFEST, MANIFEST_SUM

MAX_ENTRIES: Final = 1_000_000
"""A bundle is made while somebody waits; a longer time is cut into several."""
_PAGE_ENTRIES: Final = 2_000
_ENTRIES = text("SELECT seq, canon FROM audit_entries WHERE log = :log AND seq >= :first AND seq < :stop ORDER BY seq")


@dataclass(frozen=True, slots=True)
class Part:
    """The entries of one log in a bundle."""

    log: str
    start: int
    stop: int


@dataclass(slots=True)
class _Bundle:
    """A bundle while it is written."""

    directory: Path
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, content: bytes) -> None:
        """Write a small file."""
        (self.directory / name).write_bytes(content)
        self.files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


async def parts_of(session: AsyncSession, since: datetime, until: datetime) -> list[Part]:
    """What was placed into each log from `since` until before `until`.

    Raises:
        WatchfloorError: TOO_LARGE.
    """
    parts = []
    for head in await session.scalars(select(LedgerHead).order_by(LedgerHead.log)):
        first = (await pruned_edge(session, head.log)).size
        start = await placed_before(session, head.log, since, first, head.size)
        parts.append(Part(head.log, start, await placed_before(session, head.log, until, start, head.size)))
    total = sum(part.stop - part.start for part in parts)
    if total > MAX_ENTRIES:
        told = f"{total:,} entries are too many for one bundle"
        raise WatchfloorError(ErrorCode.TOO_LARGE, told, hint=f"At most {MAX_ENTRIES:,}: choose a shorter time.")
    return parts


async def write(
    session: AsyncSession, runtime: Runtime, directory: Path, *, ledger: str, since: datetime, until: datetime
) -> dict[str, Any]:
    """Write a bundle into an empty directory and give its manifest.

    Raises:
        WatchfloorError: TOO_LARGE.
        ProofError: a hash it needs is gone.
    """
    bundle = _Bundle(directory)
    parts = await parts_of(session, since, until)
    logs = {part.log: await _write_log(session, runtime, bundle, part) for part in parts}
    bundle.add("periods.json", orjson.dumps(await _periods(session, parts)))
    bundle.add("keys.json", orjson.dumps(await signing_keys(session)))
    shutil.copyfile(verify_bundle.__file__, directory / "verify_bundle.py")
    bundle.add("verify_bundle.py", (directory / "verify_bundle.py").read_bytes())
    manifest = {
        "format": BUNDLE_FORMAT,
        "ledger": ledger,
        "from": format_instant(since),
        "to": format_instant(until),
        "made_at": format_instant(runtime.clock.now()),
        "logs": logs,
        "files": bundle.files,
    }
    raw = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    (directory / MANIFEST).write_bytes(raw)
    (directory / MANIFEST_SUM).write_text(f"{hashlib.sha256(raw).hexdigest()}  {MANIFEST}\n")
    return manifest


async def _write_log(session: AsyncSession, runtime: Runtime, bundle: _Bundle, part: Part) -> dict[str, Any]:
    """Write the entries, nodes and signed head of one log; gives what the manifest says of it."""
    edge = await edge_at(session, part.log, part.start)
    begun = edge.copy()
    completed = await _write_entries(session, bundle, part, edge)
    bundle.add(f"{part.log}.nodes.json", orjson.dumps(completed))
    head = await head_over(session, runtime, part.log, part.stop)
    if head.note is not None:
        bundle.add(f"{part.log}.checkpoint", head.note)
    pruned = await pruned_edge(session, part.log)
    path = await nodes.consistency_proof(session, part.log, part.stop, head.size, pruned)
    return {
        "origin": head.origin,
        "seq_start": part.start,
        "seq_end": part.stop,
        "edge": [b64encode(one).decode() for one in begun.hashes],
        "root_start": begun.root().hex(),
        "root_end": edge.root().hex(),
        "head": {"size": head.size, "root": head.root.hex()},
        "consistency": [b64encode(one).decode() for one in path],
    }


async def _write_entries(
    session: AsyncSession, bundle: _Bundle, part: Part, edge: CompactRange
) -> list[dict[str, Any]]:
    """Write the canonical bytes, one entry a line; gives the tree nodes they complete."""
    name, digest, size = f"{part.log}.jsonl", hashlib.sha256(), 0
    completed: list[Node] = []
    with (bundle.directory / name).open("wb") as file:
        async for canons in _pages(session, part):
            raw = b"".join(canon + b"\n" for canon in canons)
            file.write(raw)
            digest.update(raw)
            size += len(raw)
            completed += edge.extend([leaf_hash(canon) for canon in canons])
    bundle.files[name] = {"sha256": digest.hexdigest(), "bytes": size}
    return [{"level": node.level, "position": node.position, "hash": node.hash.hex()} for node in sorted(completed)]


async def _pages(session: AsyncSession, part: Part) -> AsyncIterator[list[bytes]]:
    for first in range(part.start, part.stop, _PAGE_ENTRIES):
        values = {"log": part.log, "first": first, "stop": min(first + _PAGE_ENTRIES, part.stop)}
        yield [bytes(canon) for _, canon in await session.execute(_ENTRIES, values)]


async def _periods(session: AsyncSession, parts: list[Part]) -> list[dict[str, Any]]:
    """The records of the periods that lie wholly within the bundle."""
    found = []
    for part in parts:
        wanted = select(SealedPeriod).where(
            SealedPeriod.log == part.log, SealedPeriod.seq_start >= part.start, SealedPeriod.seq_end <= part.stop
        )
        rows = await session.scalars(wanted.order_by(SealedPeriod.n))
        found += [period_record(columns_of(row)) for row in rows]
    return found
