"""Judges what the ledger says about itself: heads, spans, sealed periods, earlier verifications. Pure."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from backend.audit.authentic import is_our_head
from backend.audit.verification.frame import (
    ENTRY_QUARANTINED,
    PERIOD_SEALED,
    SUBJECT_ERASED,
    VERIFICATION_RUN,
    Frame,
    tree_of,
)
from backend.audit.verification.known import Known
from backend.audit.verification.logs import Mark
from backend.audit.verification.purged import PARTITION_PURGED, SEALED_EXPIRED, expired_before
from backend.audit.verification.verdicts import META_LOG, NO_LOG, Tally, Verdict, Verdicts
from backend.audit.verification.waiting import authentic
from ledger import canon
from ledger.canon import CanonError, format_instant
from ledger.merkle import CompactRange, ProofError

Marks = dict[str, dict[int, list[Mark]]]
"""By log and size."""
WORDS_SOURCE_SHA256: Final = "f3ae5e52b463b41e9880149355d5fbcda7ac3aa5bcd4f2c43c09678dcd9de7ea"
"""Of `audit_words` as the newest migration makes it; a test says when that has changed."""
_PERIOD_FIELDS: Final = (
    "log", "n", "period_start", "period_end", "seq_start", "seq_end", "record_count", "hash_chain",
    "prev_period_hash", "sealed_at",
)  # fmt: skip
_RUN_FIELDS: Final = (
    "id", "started", "verified_at", "verified_by", "tool_version", "full", "passed", "entries", "verdicts",
    "from_heads", "to_heads",
)  # fmt: skip


def plain(value: Any) -> Any:
    """Give a column as its record says it: times as the ledger writes them, bytes as hex."""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, dict | list | int | str | None) else str(value)


def period_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a sealed period as its entry in the `meta` log has it."""
    return {name: plain(row[name]) for name in _PERIOD_FIELDS}


def period_hash(record: Mapping[str, Any]) -> bytes:
    """Hash a period's record: what the next one names."""
    return hashlib.sha256(canon.encode(record)).digest()


def run_digest(row: Mapping[str, Any]) -> str:
    """Hash everything a finished verification says, as its entry in the `meta` log names it."""
    return hashlib.sha256(canon.encode({name: plain(row[name]) for name in _RUN_FIELDS})).hexdigest()


def marks_of(frame: Frame) -> Marks:
    """Every root that the database itself claims for some size."""
    marks: Marks = defaultdict(lambda: defaultdict(list))
    for log, head in frame.heads.items():
        marks[log][head.size].append(Mark("the head", head.root))
    for row in frame.periods:
        marks[row["log"]][row["seq_end"]].append(Mark(f"period {row['n']}", row["hash_chain"]))
    for row in frame.runs:
        for log, size, root in _heads_of(row["to_heads"]):
            marks[log][size].append(Mark(f"verification {row['id']}", root))
    return marks


def _heads_of(tree: Any) -> Iterator[tuple[str, int, bytes]]:
    if not isinstance(tree, dict):
        return
    for log, told in tree.items():
        try:
            yield log, int(told["size"]), bytes.fromhex(told["root"])
        except (KeyError, TypeError, ValueError):
            continue  # the digest of the row tells that it was changed


def check_heads(frame: Frame, verdicts: Verdicts, key: bytes) -> None:
    """Heads that contradict themselves or are not of our making, logs without one, rows and nodes beyond one."""
    tally = verdicts[Verdict.LINKAGE]
    tally.look()
    for log in frame.logs:
        head = frame.heads.get(log)
        if head is None:
            tally.find(log, None, "head", "there is no head, but something is left of the log")
            continue
        try:
            edge = CompactRange.from_bytes(head.frontier)
        except ProofError as error:
            tally.find(log, None, "frontier", str(error))
            continue
        if (edge.size, edge.root()) != (head.size, head.root):
            tally.find(log, None, "frontier", "the edge of the tree is not that of the head's size and root")
        if not is_our_head(key, log, head.size, head.root, head.mac):
            tally.find(log, None, "forged", "the head was not written by a process that holds the master key")
    for row in frame.beyond:
        tally.find(row["log"], row["seq"], "beyond", f"{row['rows']} entries outside the head's size")
    for row in frame.nodes_beyond:
        tally.find(row["log"], None, "node", f"node {row['position']} of level {row['level']} has no place")


def check_spans(frame: Frame, verdicts: Verdicts) -> None:
    """What is said of partitions, by which searches leave some out."""
    tally = verdicts[Verdict.PROJECTION]
    ends = {log: cut.edge.size for log, cut in frame.cuts.items()}
    for span in frame.spans:
        log, first = span["log"], span["seq_from"]
        tally.look()
        if first != ends.get(log, 0):
            tally.find(log, first, "span", f"partitions leave out or repeat entries before {first}")
        ends[log] = span["seq_until"]
        if (span["time_min"], span["time_max"]) != (span["time_first"], span["time_last"]):
            tally.find(log, first, "span", "its times are not those of its entries")
        if not span["present"] or span["bound"] != f"FOR VALUES FROM ('{first}') TO ('{span['seq_until']}')":
            tally.find(log, first, "span", "it names a table that does not hold these entries")
    for log, head in frame.heads.items():
        if head.size > ends.get(log, 0):
            tally.find(log, ends.get(log, 0), "span", "entries lie in no partition that is known")


def check_words_function(frame: Frame, verdicts: Verdicts) -> None:
    """The function by which words are worked out again, in the database itself, is the one that migrations made."""
    if frame.words_source.hex() != WORDS_SOURCE_SHA256:
        told = "the database's function audit_words is not ours: it decides what searches find"
        verdicts[Verdict.PROJECTION].find(NO_LOG, None, "words", told)


def check_periods(frame: Frame, verdicts: Verdicts) -> None:
    """Sealed periods: in a row, without holes, as announced, and with the entries of their time."""
    tally = verdicts[Verdict.LINKAGE]
    told = {one.resource_id: one.facts for one in frame.announced if one.event_type == PERIOD_SEALED}
    kept: set[str] = set()
    before: Mapping[str, Any] | None = None
    for row in frame.periods:
        tally.look(1)
        name, previous = f"{row['log']}/{row['n']}", before if before and before["log"] == row["log"] else None
        record, before = period_record(row), row
        if frame.known.covers_period(row["log"], row["n"]) and name not in told:
            if frame.known.contradicts_period(row["log"], row["n"], period_hash(record).hex()):
                tally.find(row["log"], None, "period", f"period {row['n']} is not what it was")
            continue
        kept.add(name)
        if told.get(name) != record:
            tally.find(row["log"], None, "period", f"period {row['n']} is not what was announced when it was sealed")
        _check_follows(row, previous, tally)
        _check_bounds(row, frame.begins_at(row["log"]), tally)
    for name in sorted(told.keys() - kept):
        tally.find(str(told[name].get("log")), None, "period", f"period {name} was sealed and is gone")
    _check_head_times(frame, verdicts[Verdict.PROJECTION])


def _check_follows(row: Mapping[str, Any], previous: Mapping[str, Any] | None, tally: Tally) -> None:
    if previous is None:
        follows = row["n"] == 0 and row["seq_start"] == 0 and row["prev_period_hash"] is None
    else:
        follows = (row["n"], row["period_start"], row["seq_start"], row["prev_period_hash"]) == (
            previous["n"] + 1, previous["period_end"], previous["seq_end"], period_hash(period_record(previous)),
        )  # fmt: skip
    if not follows or row["record_count"] != row["seq_end"] - row["seq_start"]:
        tally.find(row["log"], row["seq_start"], "period", f"period {row['n']} does not follow the one before it")


def _check_bounds(row: Mapping[str, Any], begins_at: int, tally: Tally) -> None:
    if row["seq_end"] > row["seq_start"]:
        known = [(row["seq_start"], row["at_start"]), (row["seq_end"] - 1, row["at_last"])]
        left = [at for seq, at in known if seq >= begins_at or at is not None]  # the others were dropped on their date
        inside = all(at is not None and row["period_start"] <= at < row["period_end"] for at in left)
    else:
        inside = row["seq_end"] == row["seq_start"]
    if not inside or (row["at_next"] is not None and row["at_next"] < row["period_end"]):
        tally.find(row["log"], row["seq_start"], "period", f"period {row['n']} has not the entries of its time")


def _check_head_times(frame: Frame, tally: Tally) -> None:
    """A head's time is that of its last entry, or of the end of the last period that was sealed after it."""
    ends: dict[str, datetime] = {}
    for row in frame.periods:
        ends[row["log"]] = max(ends.get(row["log"], row["period_end"]), row["period_end"])
    for log, head in frame.heads.items():
        last = frame.last_sequenced.get(log)
        if last is None and log in frame.cuts and frame.begins_at(log) == head.size:
            last = frame.cuts[log].last_sequenced
        possible = [at for at in (last, ends.get(log)) if at is not None]
        if possible and head.sequenced_at != max(possible):
            tally.find(log, None, "sequenced_at", "the head's time is not that of its last entry or period")


def check_runs(frame: Frame, verdicts: Verdicts) -> None:
    """Earlier verifications, as announced."""
    tally = verdicts[Verdict.LINKAGE]
    told = {one.resource_id: one.facts for one in frame.announced if one.event_type == VERIFICATION_RUN}
    kept: set[str] = set()
    for row in frame.runs:
        tally.look(1)
        kept.add(str(row["id"]))
        try:
            same = told.get(str(row["id"]), {}).get("digest") == run_digest(row)
        except CanonError:
            same = False
        if not same:
            tally.find(NO_LOG, None, "verification", f"verification {row['id']} is not what was announced")
    for ident in sorted(told.keys() - kept):
        tally.find(NO_LOG, None, "verification", f"verification {ident} was announced and is gone")


def check_quarantine(frame: Frame, verdicts: Verdicts) -> None:
    """What was put aside is still there, with the bytes that were announced."""
    tally = verdicts[Verdict.COMPLETENESS]
    told = Counter(
        (one.resource_id, str(one.facts.get("sha256")))
        for one in frame.announced
        if one.event_type == ENTRY_QUARANTINED
    )
    kept = Counter((str(row["id"]), row["digest"].hex()) for row in frame.quarantined)
    fresh = (row for row in frame.quarantined if row["number"] > frame.known.quarantined)
    tally.look(kept.total())
    for ident, _ in sorted((Counter((str(row["id"]), row["digest"].hex()) for row in fresh) - told).elements()):
        tally.find(NO_LOG, None, "quarantine", f"{ident} is in quarantine and was never announced")
    for ident, _ in sorted((told - kept).elements()):
        tally.find(NO_LOG, None, "quarantine", f"{ident} is gone from quarantine, or its bytes were changed")


def learnt(frame: Frame, outbox_key: bytes) -> Known:
    """What a verification need not look at again that takes up after the moment of this frame."""
    known, meta = frame.known, frame.heads.get(META_LOG)
    told = [one for one in frame.announced if one.seq is not None]  # what waits is told once more when it has arrived
    expired = expired_before([one.facts for one in told if one.event_type == SEALED_EXPIRED])
    sizes = {log: head.size for log, head in frame.heads.items()}
    return Known(
        announced=meta.size if meta else 0,
        periods=known.periods
        | {row["log"]: (row["n"], period_hash(period_record(row)).hex()) for row in frame.periods},
        times={
            (span["log"], span["seq_from"]): (
                min(span["seq_until"], sizes.get(span["log"], 0)), (span["time_first"], span["time_last"]),
            )
            for span in frame.spans
        },
        runs_until=max(filter(None, (known.runs_until, *(row["verified_at"] for row in frame.runs))), default=None),
        quarantined=max((known.quarantined, *(row["number"] for row in frame.quarantined))),
        aside=known.aside.union(*(_numbers_of(row, outbox_key) for row in frame.quarantined)),
        erased=known.erased | {one.resource_id for one in told if one.event_type == SUBJECT_ERASED},
        expired={log: max(known.expired.get(log, ""), expired.get(log, "")) for log in known.expired | expired},
        purged=[*known.purged, *(one.facts for one in told if one.event_type == PARTITION_PURGED)],
    )  # fmt: skip


def _numbers_of(row: Mapping[str, Any], outbox_key: bytes) -> set[tuple[str, int]]:
    """Process and numbers that a row in quarantine accounts for, its own and those it calls void, if it is ours."""
    try:
        emitter = tree_of(row["canon"])["body"]["emitter"]
        numbers = {int(emitter["n"]), *map(int, emitter["void"])}
        return {(str(emitter["boot"]), n) for n in numbers} if authentic(outbox_key, row) else set()
    except (KeyError, TypeError, ValueError):
        return set()  # put aside for a reason
