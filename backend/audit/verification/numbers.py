"""Which numbers of which process have been seen, in little memory: tells lost entries from unpromised ones, and
processes that ended in order from those that just stopped. Pure.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backend.audit.events import SETTLING

_CHUNK_BITS: Final = 4096
"""Numbers of one chunk: numbers far apart, also invented ones, cost a chunk each and not all in between."""
_CHUNK_BYTES: Final = _CHUNK_BITS // 8
_FULL: Final = b"\xff" * _CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Last:
    """The last entry of a process that is no settling one."""

    n: int
    at: str
    """Its time, as entries spell it."""
    node: str


@dataclass(slots=True)
class _Boot:
    """One run of one process."""

    settled: int = 0
    void: set[int] = field(default_factory=set)
    chunks: dict[int, bytearray] = field(default_factory=dict)
    count: int = 0
    last: Last | None = None
    excused: list[tuple[int, int]] = field(default_factory=list)
    """First and last of numbers that were lost with a restore."""


class Numbers:
    """The numbers seen of every process."""

    def __init__(self) -> None:
        self._boots: dict[str, _Boot] = {}

    def note(self, tree: Mapping[str, Any]) -> bool:
        """Note an entry by what it says; False when that number of its process was seen before."""
        emitter = tree["body"]["emitter"]
        new = self.see(emitter["boot"], emitter["n"], emitter["settled"], emitter["void"])
        if tree["index"]["event_type"] not in SETTLING:
            self.note_last(emitter["boot"], Last(emitter["n"], tree["index"]["occurred_at"], emitter["node"]))
        return new

    def note_last(self, boot: str, last: Last) -> None:
        """Note one of the entries seen that may be the last of its process that a later one must call settled."""
        known = self._boots.setdefault(boot, _Boot())
        if known.last is None or last.n > known.last.n:
            known.last = last

    def open_ends(self, before: str) -> list[tuple[str, Last]]:
        """Processes whose last entry no later one calls settled, and is older than an instant; newest first."""
        ends = [
            (boot, known.last)
            for boot, known in self._boots.items()
            if known.last is not None and known.last.n > known.settled and known.last.at < before
        ]
        return sorted(ends, key=lambda end: (end[1].at, end[0]), reverse=True)

    def see(self, boot: str, n: int, settled: int, void: Iterable[int]) -> bool:
        """Note an entry's numbers; False when that number of the process was seen before."""
        known = self._boots.get(boot)
        if known is None:
            known = self._boots[boot] = _Boot()
        known.settled = max(known.settled, settled)
        if void:
            known.void.update(void)
        number, bit = divmod(n, _CHUNK_BITS)
        chunk = known.chunks.get(number)
        if chunk is None:
            chunk = known.chunks[number] = bytearray(_CHUNK_BYTES)
        mask = 1 << (bit & 7)
        if chunk[bit >> 3] & mask:
            return False
        chunk[bit >> 3] |= mask
        known.count += 1
        return True

    def see_all(self, boot: str, numbers: Sequence[int], settled: int) -> bool:
        """Note the different numbers of many entries of one process; False, and nothing noted, if one is not new."""
        known = self._boots.get(boot) or _Boot()
        masks: dict[int, int] = {}
        first, last = min(numbers), max(numbers)
        if last - first + 1 == len(numbers) == len(set(numbers)):  # in a row, as a busy process writes into its log
            for number in range(first // _CHUNK_BITS, last // _CHUNK_BITS + 1):
                low, high = max(first, number * _CHUNK_BITS), min(last + 1, (number + 1) * _CHUNK_BITS)
                masks[number] = (1 << high - low) - 1 << low % _CHUNK_BITS
        else:
            for n in numbers:
                number, bit = divmod(n, _CHUNK_BITS)
                masks[number] = masks.get(number, 0) | 1 << bit
        seen = {number: int.from_bytes(known.chunks.get(number, b""), "little") for number in masks}
        if sum(map(int.bit_count, masks.values())) != len(numbers) or any(seen[one] & masks[one] for one in masks):
            return False
        for number, mask in masks.items():
            known.chunks[number] = bytearray((seen[number] | mask).to_bytes(_CHUNK_BYTES, "little"))
        known.settled = max(known.settled, settled)
        known.count += len(numbers)
        self._boots[boot] = known
        return True

    def join(self, others: "Numbers") -> None:
        """Take over what others have seen; numbers that both have count once."""
        for boot, other in others._boots.items():  # noqa: SLF001  our own class
            known = self._boots.setdefault(boot, _Boot())
            known.settled = max(known.settled, other.settled)
            known.void |= other.void
            for first, last in other.excused:
                self.excuse(boot, first, last)
            if other.last is not None:
                self.note_last(boot, other.last)
            for number, chunk in other.chunks.items():
                mine = known.chunks.get(number, bytes(_CHUNK_BYTES))
                known.chunks[number] = bytearray(one | two for one, two in zip(mine, chunk, strict=True))
            known.count = sum(int.from_bytes(chunk, "big").bit_count() for chunk in known.chunks.values())

    def excuse(self, boot: str, first: int, last: int) -> None:
        """Take note that an approved restore of the ledger has called these numbers of a process lost."""
        known = self._boots.setdefault(boot, _Boot())
        if (first, last) not in known.excused:
            known.excused.append((first, last))

    def ranges_missing(self, limit: int) -> list[tuple[str, int, int]]:
        """The same as `missing`, as (process, first, last) of each run of numbers."""
        found: list[tuple[str, int, int]] = []
        for boot, known in sorted(self._boots.items()):
            for n in _lost(known, limit):
                if found and found[-1][0] == boot and found[-1][2] == n - 1:
                    found[-1] = (boot, found[-1][1], n)
                else:
                    found.append((boot, n, n))
        return found

    def missing(self, limit: int) -> Iterator[tuple[str, int, int]]:
        """Numbers that a later entry calls settled and that are neither seen nor void.

        Gives (process, how many, one of them); at most `limit` of each process are counted.
        """
        for boot, known in sorted(self._boots.items()):
            lost = list(_lost(known, limit))
            if lost:
                yield boot, len(lost), lost[0]

    @property
    def seen(self) -> int:
        """How many numbers were seen."""
        return sum(known.count for known in self._boots.values())

    @property
    def processes(self) -> int:
        """How many processes they are of."""
        return len(self._boots)

    def to_tree(self) -> dict[str, Any]:
        """Give it as JSON values; a process that lost nothing takes a line however much it wrote."""
        return {
            boot: [
                known.settled,
                sorted(known.void),
                _ranges(number for number, chunk in known.chunks.items() if chunk == _FULL),
                {str(number): _packed(chunk) for number, chunk in known.chunks.items() if chunk != _FULL},
                _open_end(known),
                known.excused,
            ]
            for boot, known in self._boots.items()
        }

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> "Numbers":
        """Read what `to_tree` gave."""
        numbers = cls()
        for boot, (settled, void, full, chunks, last, excused) in tree.items():
            whole = {int(number): _unpacked(text) for number, text in chunks.items()}
            whole |= {number: bytearray(_FULL) for first, last_full in full for number in range(first, last_full + 1)}
            count = sum(int.from_bytes(chunk, "big").bit_count() for chunk in whole.values())
            ranges = [(first, until) for first, until in excused]
            numbers._boots[boot] = _Boot(settled, set(void), whole, count, Last(*last) if last else None, ranges)
        return numbers


def _open_end(known: _Boot) -> list[int | str] | None:
    """The last entry, as long as no other calls it settled: what is settled stays so."""
    last = known.last
    return [last.n, last.at, last.node] if last is not None and last.n > known.settled else None


def _lost(known: _Boot, limit: int) -> Iterator[int]:
    found = 0
    for number in range(known.settled // _CHUNK_BITS + 1):
        chunk = known.chunks.get(number)
        low = number * _CHUNK_BITS
        if chunk is not None and low + _CHUNK_BITS <= known.settled and chunk.count(0xFF) == _CHUNK_BYTES:
            continue
        for n in range(max(low, 1), min(low + _CHUNK_BITS, known.settled + 1)):
            bit = n - low
            if chunk is not None and chunk[bit >> 3] & 1 << (bit & 7):
                continue
            if n not in known.void and not any(first <= n <= last for first, last in known.excused):
                yield n
                found += 1
                if found == limit:
                    return


def _ranges(numbers: Iterable[int]) -> list[list[int]]:
    """First and last of each run of numbers in a row."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _packed(chunk: bytearray) -> str:
    return b64encode(zlib.compress(chunk, 1)).decode()


def _unpacked(text: str) -> bytearray:
    return bytearray(zlib.decompress(b64decode(text)))
