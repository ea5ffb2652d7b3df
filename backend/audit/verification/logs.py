"""Judges one log from the bytes of its entries: linkage, content and the search columns. Pure; must never believe a
column about what an entry says.

Content and numbers follow from the bytes alone. Where an earlier verification read the same tree (`known` entries,
proved by the root), neither is worked out again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson

from backend.audit.verification.blocks import NOTHING_SEALED, Block
from backend.audit.verification.numbers import Last, Numbers
from backend.audit.verification.verdicts import META_LOG, Verdict, Verdicts
from ledger import bulk
from ledger.canon import CanonError
from ledger.entry import parse
from ledger.merkle import HASH_BYTES, CompactRange, Coordinate, Node

_LEAF: Final = b"\0"
_INDEX: Final = b',"index":{'
_SEALED: Final = b'"sealed":{'
_ESCAPE: Final = b"\\"


@dataclass(frozen=True, slots=True)
class Mark:
    """A root that the tree must have at some size, and who says so."""

    what: str
    root: bytes


@dataclass(frozen=True, slots=True)
class Personal:
    """An entry that commits to personal values."""

    log: str
    seq: int
    index: Mapping[str, Any]
    commitments: Mapping[str, str]
    """Base64 by field."""


@dataclass(slots=True)
class Doubt:
    """Columns that could not be compared as they are: an escape, or a difference."""

    seq: int
    canon: bytes


@dataclass(slots=True)
class LogCheck:
    """One log while it is being read."""

    log: str
    edge: CompactRange
    known: int
    verdicts: Verdicts
    numbers: Numbers
    last_sequenced: int = -(2**63)
    doubts: list[Doubt] = field(default_factory=list)
    personal: list[tuple[int, bytes]] = field(default_factory=list)
    """Number of each entry with personal values, and its bytes from the commitments on."""
    nodes: list[Node] = field(default_factory=list)

    def feed(self, block: Block, first: int, count: int, marks: Mapping[int, Sequence[Mark]]) -> None:
        """Take a block that should be `count` rows from `first` on."""
        if block.seqs != tuple(range(first, first + count)):
            self._broken(block, first, count)
        leaves = [sha256(_LEAF + canon).digest() for canon in block.canons]
        self._content(block, first, leaves)
        self._projection(block, first)
        self._extend(leaves, first, marks)

    def _broken(self, block: Block, first: int, count: int) -> None:
        numbered = f", numbered {min(block.seqs)} to {max(block.seqs)}" if block.seqs else ""
        told = f"{len(block.seqs)} of {count} entries from {first} on{numbered}"
        self.verdicts[Verdict.LINKAGE].find(self.log, first, "gap", told)

    def _content(self, block: Block, first: int, leaves: list[bytes]) -> None:
        tally = self.verdicts[Verdict.CONTENT]
        tally.look(len(leaves))
        if b"".join(leaves) != block.leaves:
            for offset, leaf in enumerate(leaves):
                if block.leaves[offset * HASH_BYTES : (offset + 1) * HASH_BYTES] != leaf:
                    tally.find(self.log, first + offset, "leaf", "the leaf column is not the hash of the entry")
        new = max(0, self.known - first)
        if new < len(leaves):
            self._read(first + new, block.canons[new:])

    def _read(self, first: int, canons: Sequence[bytes]) -> None:
        """Read entries that no verification has read before: usual ones together, the others one by one."""
        # settling entries are told by their event type, and stand in `meta`
        singly = self.log == META_LOG
        stamps = bulk.Stamps((), (), (), (), range(len(canons))) if singly else bulk.read(self.log, canons)
        for boot, places in _grouped(stamps.boots).items():
            numbers, settled = [stamps.numbers[at] for at in places], [stamps.settled[at] for at in places]
            if not self.numbers.see_all(boot.decode(), numbers, max(settled)):
                for at, n in zip(places, numbers, strict=True):
                    self._see(first + stamps.places[at], boot.decode(), n, stamps.settled[at])
            last = orjson.loads(canons[stamps.places[places[numbers.index(max(numbers))]]])
            told = Last(max(numbers), last["index"]["occurred_at"], last["body"]["emitter"]["node"])
            self.numbers.note_last(boot.decode(), told)
        for at in stamps.unusual:
            self._parse(first + at, canons[at])

    def _parse(self, seq: int, canon: bytes) -> None:
        try:
            tree = parse(canon)
        except CanonError as error:
            self.verdicts[Verdict.CONTENT].find(self.log, seq, "canon", str(error))
            return
        if tree["index"]["log"] != self.log:
            self.verdicts[Verdict.CONTENT].find(self.log, seq, "log", "the entry is of another log")
        if not self.numbers.note(tree):
            self._twice(seq, tree["body"]["emitter"]["boot"], tree["body"]["emitter"]["n"])

    def _see(self, seq: int, boot: str, n: int, settled: int) -> None:
        if not self.numbers.see(boot, n, settled, ()):
            self._twice(seq, boot, n)

    def _twice(self, seq: int, boot: str, n: int) -> None:
        self.verdicts[Verdict.COMPLETENESS].find(self.log, seq, "twice", f"number {n} of {boot} is given twice")

    def _projection(self, block: Block, first: int) -> None:
        canons, tails = block.canons, block.tails
        self.verdicts[Verdict.PROJECTION].look(len(canons))
        self._in_time(block, first)
        together = b"".join(tails)
        # each begins with the two braces of its own: a column with one is compared by itself, like one with an escape
        plain = _ESCAPE not in together and together.count(b"{") == 2 * len(canons) == 2 * len(tails)
        if plain and all(map(bytes.endswith, canons, tails)):
            return
        for offset, (canon, longer) in enumerate(zip(canons, tails, strict=False)):
            tail = longer[len(NOTHING_SEALED) :]
            if not (plain and canon.endswith(tail)) and not _alike(canon, tail):
                self.doubts.append(Doubt(first + offset, canon))
            if not canon.endswith(NOTHING_SEALED, 0, len(canon) - len(tail)):
                self._note_personal(first + offset, canon)

    def _in_time(self, block: Block, first: int) -> None:
        if not block.sequenced and block.seqs:
            self.verdicts[Verdict.PROJECTION].find(self.log, first, "sequenced_at", "an entry has none")
            return
        times = (self.last_sequenced, *block.sequenced)
        if list(times) != sorted(times):
            at = next(place for place in range(1, len(times)) if times[place] < times[place - 1])
            told = "sequenced before the entry before it"
            self.verdicts[Verdict.PROJECTION].find(self.log, first + at - 1, "sequenced_at", told)
        self.last_sequenced = max(times)

    def _note_personal(self, seq: int, canon: bytes) -> None:
        at = canon.rfind(_SEALED)
        self.personal.append((seq, canon[at if at >= 0 else len(canon) :]))

    def take_personal(self, size: int) -> Iterator[list[Personal]]:
        """Give the entries with personal values, so many at a time: once they are read they take ten times the room."""
        for first in range(0, len(self.personal), size):
            some = [_personal(self.log, seq, raw) for seq, raw in self.personal[first : first + size]]
            yield [one for one in some if one is not None]
        self.personal.clear()

    def _extend(self, leaves: list[bytes], first: int, marks: Mapping[int, Sequence[Mark]]) -> None:
        self.verdicts[Verdict.LINKAGE].look(len(leaves))
        done = 0
        for size in sorted(size for size in marks if first < size <= first + len(leaves)):
            self.nodes += self.edge.extend(leaves[done : size - first])
            done = size - first
            self.hold(size, marks[size])
        self.nodes += self.edge.extend(leaves[done:])

    def hold(self, size: int, marks: Sequence[Mark]) -> None:
        """Hold the tree as it is now against what others say of it at this size."""
        root = self.edge.root()
        for mark in marks:
            if mark.root != root:
                told = f"the tree of {size} entries has another root than {mark.what} says"
                self.verdicts[Verdict.LINKAGE].find(self.log, size, "root", told)

    def hold_nodes(self, stored: Mapping[Coordinate, bytes]) -> None:
        """Hold the nodes completed so far against the stored ones, and forget them."""
        tally = self.verdicts[Verdict.LINKAGE]
        for level, position, one in self.nodes:
            kept = stored.get(Coordinate(level, position))
            if kept != one:
                told = "missing" if kept is None else "another hash"
                tally.find(self.log, position << level, "node", f"node {position} of level {level}: {told}")
        self.nodes.clear()


def _grouped(boots: Sequence[bytes]) -> dict[bytes, Sequence[int]]:
    """The places of each process's entries."""
    if len(set(boots)) < 2:  # noqa: PLR2004  nearly always
        return dict.fromkeys(boots, range(len(boots)))
    places: dict[bytes, list[int]] = defaultdict(list)
    for at, boot in enumerate(boots):
        places[boot].append(at)
    return dict(places)


def _personal(log: str, seq: int, raw: bytes) -> Personal | None:
    """Find the commitments of an entry; what is no entry is told by `content`."""
    stop = raw.rfind(_INDEX)
    try:
        commitments = orjson.loads(raw[len(_SEALED) - 1 : stop - 1])
        index = orjson.loads(raw[stop + len(_INDEX) - 1 : -len(b',"v":1}')])
    except orjson.JSONDecodeError:
        return None
    if isinstance(commitments, dict) and isinstance(index, dict) and commitments:
        return Personal(log, seq, index, commitments)
    return None


def _alike(canon: bytes, tail: bytes) -> bool:
    """Compare by itself a row of a block in which some other row has an escape."""
    return _ESCAPE not in tail and tail.rfind(_INDEX) == 0 and canon.endswith(tail)


Progress = Callable[[str, int], None]
