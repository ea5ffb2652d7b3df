"""What retention dropped, as the ledger kept and announced it: where reading begins, and which numbers are not lost.
Pure. What was dropped without an announcement is a finding, whatever the table of purges says.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from backend.audit.verification.numbers import Numbers
from backend.audit.verification.verdicts import Tally
from ledger.merkle import CompactRange, ProofError

PARTITION_PURGED: Final = "ledger.partition.purged"
SEALED_EXPIRED: Final = "ledger.sealed.expired"


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of the dropped entries of one log."""

    edge: CompactRange
    """The tree where the entries begin that are still here."""
    numbers: tuple[tuple[int, Numbers], ...]
    """For each partition that was dropped, where it ended and the numbers of its entries."""
    last_sequenced: datetime
    """When the last of the dropped entries was placed."""


def pack_numbers(numbers: Numbers) -> bytes:
    """Write numbers as a purge keeps them."""
    return zlib.compress(orjson.dumps(numbers.to_tree(), option=orjson.OPT_SORT_KEYS), 9)


def unpack_numbers(raw: bytes) -> Numbers:
    """Read what `pack_numbers` wrote.

    Raises:
        ValueError: not such bytes.
    """
    try:
        return Numbers.from_tree(orjson.loads(zlib.decompress(raw)))
    except (zlib.error, TypeError, AttributeError) as error:
        raise ValueError(f"not the numbers of a purge: {error}") from error


def cuts_of(purges: Sequence[Mapping[str, Any]]) -> dict[str, Cut]:
    """Where each log begins; a row that cannot be read leaves its log to begin at 0, where its entries are missing."""
    cuts: dict[str, Cut] = {}
    for row in purges:
        try:
            edge, numbers = CompactRange.from_bytes(row["edge"]), unpack_numbers(row["numbers"])
        except (ProofError, ValueError):
            continue
        before = cuts[row["log"]].numbers if row["log"] in cuts else ()
        cuts[row["log"]] = Cut(edge, (*before, (edge.size, numbers)), row["last_sequenced"])
    return cuts


def check_purges(purges: Sequence[Mapping[str, Any]], announced: Sequence[Mapping[str, Any]], tally: Tally) -> None:
    """Hold what is kept of dropped partitions against what was announced; from the first entry on, without a hole."""
    told = {(facts.get("log"), facts.get("seq_from")): facts for facts in announced}
    ends: dict[str, int] = {}
    for row in purges:
        tally.look(1)
        facts = told.pop((row["log"], row["seq_from"]), {})
        if row["seq_from"] != ends.get(row["log"], 0):
            tally.find(row["log"], row["seq_from"], "purge", "what was dropped does not follow what was dropped before")
        ends[row["log"]] = row["first_kept_seq"]
        if not _is_announced(row, facts):
            tally.find(row["log"], row["seq_from"], "purge", "entries were dropped otherwise than it was announced")
    for log, seq_from in told:
        tally.find(str(log), None, "purge", f"a purge from {seq_from} was announced and nothing is kept of it")


def _is_announced(row: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    try:
        edge = CompactRange.from_bytes(row["edge"])
    except ProofError:
        return False
    kept = {
        "first_kept_seq": row["first_kept_seq"],
        "edge": [one.hex() for one in edge.hashes],
        "root": row["root"].hex(),
        "numbers_sha256": hashlib.sha256(row["numbers"]).hexdigest(),
    }
    whole = edge.size == row["first_kept_seq"] and edge.root() == row["root"]
    return whole and kept == {name: facts.get(name) for name in kept}


def expired_before(announced: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Up to which instant, as entries spell it, the personal values of each log were deleted on their date."""
    until: dict[str, str] = {}
    for facts in announced:
        log, before = str(facts.get("log")), str(facts.get("before"))
        until[log] = max(until.get(log, ""), before)
    return until
