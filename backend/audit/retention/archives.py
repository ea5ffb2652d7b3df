"""Copies of closed partitions in places outside the database: written once, read back, looked at again and again.

A copy holds canonical bytes, so of personal data only commitments. Its manifest is written last: without one there is
no copy. Must never replace or delete anything in a place.
"""

import asyncio
import gzip
import hashlib
import tempfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from backend.audit.retention.survey import Partition, Sink, Survey, survey
from backend.audit.retention.vouching import Voucher
from backend.context import Runtime
from backend.stores import Store
from ledger.merkle import CompactRange, leaf_hash

FORMAT: Final = "watchfloor/archive/v1"
MANIFEST: Final = "manifest.json"
_LEVEL: Final = 6
"""Of gzip: smaller costs several times the processor."""
_MAX_MANIFEST_BYTES: Final = 2**20
"""A manifest has a few kilobytes; a place that gives more gives something else."""
_UNPACKED_BYTES: Final = 2**22
"""Unpacked at a time when a copy is read: a few thousand entries."""
_GZIP_WINDOW: Final = 31
"""Tells zlib that a gzip header comes first."""
KINDS: Final = {"entries": "jsonl.gz", "nodes": "json", "checkpoint": "json"}
"""The files of a copy beside its manifest, with the endings of their names."""


class DamagedCopyError(Exception):
    """What a place gives is not what was written there."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that was read back and found sound."""

    place: str
    manifest: str
    sha256: bytes
    root: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Draft:
    """The files of a copy, ready to be stored; the same for every place."""

    folder: str
    files: Mapping[str, Path]
    """By their name in the folder; the manifest is not one of them."""
    manifest: bytes
    survey: Survey


def folder_of(ledger: str, generation: int, partition: Partition) -> str:
    """Where the copies of a partition lie within every place; another generation is another log."""
    return f"{ledger}/r{generation}/{partition.log}/{partition.seq_from:020d}"


@asynccontextmanager
async def drafted(runtime: Runtime, folder: str, partition: Partition, voucher: Voucher) -> AsyncIterator[Draft]:
    """Write a partition's copy into a directory of this process that is gone at the end of the context.

    Raises:
        LedgerFaultError: the entries are not there, or not those that the checkpoint was signed for.
        ProofError: the tree cannot be worked out.
        OSError: there is no room.
    """
    home = runtime.settings.data_dir / "drafts"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="archive-", dir=home) as made:
        work = Path(made)
        lines = work / "entries"
        with lines.open("wb") as raw, gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed:
            found = await survey(runtime, partition, lambda canons: _write_lines(packed, canons))
        voucher.check(found.edge)
        (work / "nodes").write_bytes(_dumps(_nodes_tree(found)))
        (work / "checkpoint").write_bytes(_dumps(voucher.to_tree()))
        facts = {kind: _facts(work / kind, kind, ending) for kind, ending in KINDS.items()}
        manifest = _dumps(_manifest_tree(folder, partition, found) | facts)
        files = {str(facts[kind]["name"]): work / kind for kind in KINDS}
        yield Draft(folder, files, manifest, found)


def _write_lines(packed: gzip.GzipFile, canons: Sequence[bytes]) -> None:
    packed.write(b"".join(canon + b"\n" for canon in canons))


def _dumps(tree: Any) -> bytes:
    return orjson.dumps(tree, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _nodes_tree(found: Survey) -> dict[str, Any]:
    return {"nodes": [[node.level, node.position, node.hash.hex()] for node in found.nodes]}


def _facts(path: Path, kind: str, ending: str) -> dict[str, Any]:
    """Name a file after its content: what an attempt that broke off left behind is never in the way."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": f"{kind}-{digest[:16]}.{ending}", "sha256": digest, "bytes": path.stat().st_size}


def _manifest_tree(folder: str, partition: Partition, found: Survey) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "folder": folder,
        "log": partition.log,
        "seq_from": partition.seq_from,
        "seq_until": partition.seq_until,
        "before": b64encode(found.before.to_bytes()).decode(),
        "edge": b64encode(found.edge.to_bytes()).decode(),
        "root": found.edge.root().hex(),
    }


async def store_copy(store: Store, draft: Draft) -> Copy:
    """Store a copy and read it back; one that is there already and sound will do.

    Raises:
        StoreError: the place is full or does not answer.
        NotStoredError, DamagedCopyError: what is read back is not what was written.
    """
    for name, path in draft.files.items():
        await store.put_new(f"{draft.folder}/{name}", path)
    with tempfile.NamedTemporaryFile(dir=next(iter(draft.files.values())).parent) as file:
        file.write(draft.manifest)
        file.flush()
        await store.put_new(f"{draft.folder}/{MANIFEST}", Path(file.name))
    # always what the place gives, never what we meant to write
    manifest = await manifest_of(store, draft.folder)
    if tree_of(store, manifest).get("root") != draft.survey.edge.root().hex():
        raise DamagedCopyError(f"{store.place}: another copy of {draft.folder} is there already")
    return await read_back(store, f"{draft.folder}/{MANIFEST}", hashlib.sha256(manifest).digest())


async def read_back(store: Store, manifest_name: str, sha256: bytes, sink: Sink | None = None) -> Copy:
    """Read a copy whole and work out its tree again from its entries, which `sink` is handed in their order.

    Raises:
        StoreError: the place does not answer.
        NotStoredError: a file is gone.
        DamagedCopyError: a file is not the one that was written.
    """
    folder = manifest_name.rpartition("/")[0]
    raw = await manifest_of(store, folder)
    if hashlib.sha256(raw).digest() != sha256:
        raise DamagedCopyError(f"{store.place}: the manifest of {folder} was changed")
    manifest, size_bytes = tree_of(store, raw), len(raw)
    for kind in KINDS:
        size_bytes += await _checked(store, folder, manifest[kind])
    # only now is it known to be what was written: nothing else is ever unpacked
    tree = _Tree(manifest, sink)
    async for piece in store.read(f"{folder}/{manifest['entries']['name']}"):
        await asyncio.to_thread(tree.feed, piece)
    if not tree.is_expected:
        raise DamagedCopyError(f"{store.place}: the entries of {folder} are not those of its root")
    return Copy(store.place, manifest_name, sha256, bytes.fromhex(manifest["root"]), size_bytes)


async def _checked(store: Store, folder: str, facts: Mapping[str, Any]) -> int:
    digest, count = hashlib.sha256(), 0
    async for piece in store.read(f"{folder}/{facts['name']}"):
        await asyncio.to_thread(digest.update, piece)
        count += len(piece)
    if (digest.hexdigest(), count) != (facts["sha256"], facts["bytes"]):
        raise DamagedCopyError(f"{store.place}: {folder}/{facts['name']} was changed")
    return count


async def manifest_of(store: Store, folder: str) -> bytes:
    """The bytes of a copy's manifest.

    Raises:
        StoreError, NotStoredError, DamagedCopyError: as `read_back`.
    """
    raw = b""
    async for piece in store.read(f"{folder}/{MANIFEST}"):
        raw += piece
        if len(raw) > _MAX_MANIFEST_BYTES:
            raise DamagedCopyError(f"{store.place}: the manifest of {folder} is none")
    return raw


def tree_of(store: Store, raw: bytes) -> dict[str, Any]:
    """Read a manifest.

    Raises:
        DamagedCopyError: it is none.
    """
    try:
        tree = orjson.loads(raw)
    except orjson.JSONDecodeError:
        tree = None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise DamagedCopyError(f"{store.place}: a manifest is none")
    return tree


class _Tree:
    """Works out the tree of a copy while its entries come in, in little memory."""

    def __init__(self, manifest: Mapping[str, Any], sink: Sink | None) -> None:
        self._sink = sink
        self._edge = CompactRange.from_bytes(b64decode(manifest["before"]))
        self._expected = (manifest["seq_until"], manifest["root"])
        self._packed = zlib.decompressobj(_GZIP_WINDOW)
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the packed lines; what does not unpack is settled by its digest."""
        while piece:
            *lines, self._rest = (self._rest + self._packed.decompress(piece, _UNPACKED_BYTES)).split(b"\n")
            if len(self._rest) > _UNPACKED_BYTES:
                raise DamagedCopyError("a line is longer than any entry")
            self._edge.extend([leaf_hash(line) for line in lines])
            if self._sink is not None and lines:
                self._sink(lines)
            piece = self._packed.unconsumed_tail

    @property
    def is_expected(self) -> bool:
        """Whether the entries were those of the manifest's root, whole."""
        whole = self._packed.eof and not self._rest
        return whole and (self._edge.size, self._edge.root().hex()) == self._expected
