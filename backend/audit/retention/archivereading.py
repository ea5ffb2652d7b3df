"""Reads copies for a person, without any database: finds them in a place, checks them and gives their entries.

A copy proves itself by what lies in it: digests, the tree worked out from the entries, the signed head over that tree
and the chain of keys. Whose chain it is only somebody who knows the first key can say. Must never call a copy sound of
which anything did not hold, and never write to a place.
"""

import hashlib
import re
import zlib
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from backend.audit.retention.archives import KINDS, MANIFEST, DamagedCopyError, manifest_of, read_back, tree_of
from backend.stores import ListedStore, Store
from ledger import checkpoint
from ledger.checkpoint import CheckpointError
from ledger.merkle import CompactRange, ProofError, verify_consistency
from ledger.note import NoteError
from ledger.restored import Origin

MAX_HEAD_BYTES: Final = 2**24
"""A signed head with the certificates of a few decades."""
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FOLDER = re.compile(r"(?:(?P<ledger>.+)/)?r(?P<generation>[1-9]\d{0,8})/(?P<log>[^/]+)/(?P<seq>\d{20})")

Take = Callable[[int, Sequence[bytes]], None]
"""Is handed the number of the first of some entries, and their canonical bytes."""


@dataclass(frozen=True, slots=True)
class Described:
    """A copy as its manifest describes it; nothing of it is checked yet."""

    name: str
    """Of the manifest within the place."""
    folder: str
    """Where it was written to, as it says itself."""
    log: str
    seq_from: int
    seq_until: int
    sha256: bytes
    """Of the manifest: what `ledger.partition.purged` names."""
    before: CompactRange
    head_file: str

    @property
    def place_of_ledger(self) -> tuple[str, int]:
        """Which ledger and generation it is of."""
        found = _FOLDER.fullmatch(self.folder)
        return (found["ledger"] or "", int(found["generation"])) if found else ("", 0)


@dataclass(frozen=True, slots=True)
class Vouched:
    """What vouches for a copy that holds."""

    origin: str
    head_size: int
    first_key: str
    cosignatures: int
    """Lines of witnesses on the head; whose they are is not checked here."""
    root: bytes
    """Of the tree with the copy's last entry."""


async def find(store: ListedStore) -> AsyncIterator[str]:
    """The manifests in a place.

    Raises:
        StoreError: the place does not answer.
    """
    names = [name async for name in store.names(MANIFEST) if f"/{name}".endswith(f"/{MANIFEST}")]
    for name in sorted(names):
        yield name


async def describe(store: Store, name: str) -> Described:
    """Read one manifest.

    Raises:
        StoreError, NotStoredError: as `read_back`.
        DamagedCopyError: it is no manifest.
    """
    raw = await manifest_of(store, name.rpartition("/")[0])
    manifest = tree_of(store, raw)
    try:
        return _described(name, raw, manifest)
    except (LookupError, TypeError, ValueError) as error:
        raise DamagedCopyError(f"{store.place}: {name} is no manifest of a copy") from error


def _described(name: str, raw: bytes, manifest: dict[str, Any]) -> Described:
    for kind in KINDS:
        facts = manifest[kind]
        if not (_FILE.fullmatch(facts["name"]) and _DIGEST.fullmatch(facts["sha256"]) and type(facts["bytes"]) is int):
            raise ValueError(kind)
    folder, log, first, until = (manifest[key] for key in ("folder", "log", "seq_from", "seq_until"))
    before = CompactRange.from_bytes(b64decode(manifest["before"]))
    found = _FOLDER.fullmatch(folder)
    if found is None or (found["log"], int(found["seq"])) != (log, first) or not before.size == first < until:
        raise ValueError(folder)
    if not _DIGEST.fullmatch(manifest["root"]):
        raise ValueError("root")
    digest = hashlib.sha256(raw).digest()
    return Described(name, folder, log, first, until, digest, before, manifest["checkpoint"]["name"])


async def check(store: Store, copy: Described, first_key: str | None, take: Take | None = None) -> Vouched:
    """Check a copy whole. With `take` its entries are handed out, which counts only once this has returned.

    Raises:
        StoreError, NotStoredError: as `read_back`.
        DamagedCopyError: something does not hold; the text says what.
    """
    seq = copy.seq_from

    def hand_out(canons: Sequence[bytes]) -> None:
        nonlocal seq
        if take is not None:
            take(seq, canons)
        seq += len(canons)

    try:
        found = await read_back(store, copy.name, copy.sha256, hand_out)
        return await _vouched(store, copy, found.root, first_key)
    except (LookupError, TypeError, ValueError, zlib.error) as error:  # whatever a hostile file provokes
        raise DamagedCopyError(f"{store.place}: {copy.name}: {error}") from error


async def _vouched(store: Store, copy: Described, root: bytes, first_key: str | None) -> Vouched:
    tree = orjson.loads(await _head(store, copy))
    keys, origin, size = list(tree["keys"]), str(tree["origin"]), tree["size"]
    ledger, generation = copy.place_of_ledger
    if origin != str(Origin(ledger, copy.log, generation)):
        raise DamagedCopyError(f"{store.place}: {copy.name}: its head is that of {origin}")
    if first_key is not None and keys[0] != first_key:
        raise DamagedCopyError(f"{store.place}: {copy.name}: the first signing key is not the one given")
    try:
        chain = checkpoint.verify_chain(keys[0], [one.encode() for one in keys[1:]])
        signed = checkpoint.open_checkpoint(b64decode(tree["note"]), list(chain.values()))
        told = signed.checkpoint
        if (told.origin, told.size) != (origin, size):
            raise DamagedCopyError(f"{store.place}: {copy.name}: its head is another one")
        path = [bytes.fromhex(one) for one in tree["consistency"]]
        verify_consistency(copy.seq_until, told.size, root, told.root, path)
    except (NoteError, CheckpointError, ProofError) as error:
        raise DamagedCopyError(f"{store.place}: {copy.name}: its signed head does not hold: {error}") from error
    return Vouched(origin, told.size, keys[0], len(signed.note.unverified), root)


async def _head(store: Store, copy: Described) -> bytes:
    """The file of the signed head, whose digest `read_back` has checked."""
    raw = b""
    async for piece in store.read(f"{copy.name.rpartition('/')[0]}/{copy.head_file}".lstrip("/")):
        raw += piece
        if len(raw) > MAX_HEAD_BYTES:
            raise DamagedCopyError(f"{store.place}: {copy.name}: its head is none")
    return raw
