"""A log in memory, its proofs and a clock by hand: what a signer and a witness are asked about."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from ledger.checkpoint import Checkpoint
from ledger.merkle import consistency_path, leaf_hash, root_of
from witness.wire import AddRequest


class MemoryLog:
    """Leaves, and everything that can be derived from them the slow way."""

    def __init__(self, origin: str, count: int, salt: str = "") -> None:
        self.origin = origin
        self.leaves = [leaf_hash(f"{salt}{n}".encode()) for n in range(count)]

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(self.origin, size, root_of(self.leaves[:size]))

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        def subtree(level: int, position: int) -> bytes:
            return root_of(self.leaves[position << level : (position + 1) << level])

        return tuple(consistency_path(old, new, subtree))

    def request(self, old: int, new: int) -> AddRequest:
        """What a backend asks the signer."""
        return AddRequest(old, self.proof(old, new), self.checkpoint(new).format().encode())


class HandClock:
    """Time that moves when a test says so, and bytes that never repeat."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self._drawn = 0

    def now(self) -> datetime:
        return self.instant

    def pass_days(self, days: int) -> None:
        self.instant += timedelta(days=days)

    def random_bytes(self, count: int) -> bytes:
        self._drawn += 1
        return sha256(f"draw {self._drawn}".encode()).digest()[:count]
