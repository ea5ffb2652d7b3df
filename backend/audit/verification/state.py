"""What a verification keeps for the next: how far it came, the edge of each tree there, the numbers it saw.

The row lies in the database it judges and carries a MAC whose key does not: who changes it makes it useless, not
believed. An older row put back is still true, and only costs time. Pure.
"""

import hashlib
import hmac
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from backend.audit.verification.known import Known
from backend.audit.verification.numbers import Numbers
from backend.audit.verification.verdicts import Verdicts
from ledger.merkle import CompactRange

_FORMAT: Final = 2
_PURPOSE: Final = b"audit/verification-state/1\0"


@dataclass(slots=True)
class State:
    """Where a verification stands."""

    edges: dict[str, CompactRange] = field(default_factory=dict)
    """The tree of each log as far as it was read."""
    numbers: Numbers = field(default_factory=Numbers)
    verdicts: Verdicts = field(default_factory=Verdicts)
    known: Known = field(default_factory=Known)
    """What of the ledger's account of itself was held against the rest."""
    genesis: str | None = None
    """The ledger's first signing key, once it was seen."""

    def size(self, log: str) -> int:
        """How many entries of a log were read."""
        return self.edges[log].size if log in self.edges else 0

    def pack(self, key: bytes, ledger: str) -> bytes:
        """Write it, authenticated, for one ledger."""
        tree = {
            "format": _FORMAT,
            "ledger": ledger,
            "edges": {log: b64encode(edge.to_bytes()).decode() for log, edge in self.edges.items()},
            "numbers": self.numbers.to_tree(),
            "verdicts": self.verdicts.to_tree(),
            "known": self.known.to_tree(),
            "genesis": self.genesis,
        }
        body = zlib.compress(orjson.dumps(tree), 1)
        return _mac(key, body) + body

    @classmethod
    def unpack(cls, raw: bytes, key: bytes, ledger: str) -> "State | None":
        """Read it; None when it is not ours, was changed, or is of another version or ledger."""
        mac, body = raw[: hashlib.sha256().digest_size], raw[hashlib.sha256().digest_size :]
        if not hmac.compare_digest(_mac(key, body), mac):
            return None
        tree: dict[str, Any] = orjson.loads(zlib.decompress(body))
        if tree["format"] != _FORMAT or tree["ledger"] != ledger:
            return None
        edges = {log: CompactRange.from_bytes(b64decode(text)) for log, text in tree["edges"].items()}
        numbers, verdicts = Numbers.from_tree(tree["numbers"]), Verdicts.from_tree(tree["verdicts"])
        return cls(edges, numbers, verdicts, Known.from_tree(tree["known"]), tree["genesis"])


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + body, hashlib.sha256)
