"""Verifies a ledger over one connection: reads every entry once, in order, in constant memory, and gives six verdicts.

Everything here reads; saving how far it came is the caller's, between chunks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from backend.audit.events import SETTLING
from backend.audit.verification import frame, records
from backend.audit.verification.blocks import BLOCK_ENTRIES, CHUNK_ENTRIES, StreamError, stream
from backend.audit.verification.external import External, Trust
from backend.audit.verification.frame import Frame, Head
from backend.audit.verification.generations import HeldHead
from backend.audit.verification.keys import Keys
from backend.audit.verification.known import Known
from backend.audit.verification.logs import Doubt, LogCheck, Mark
from backend.audit.verification.names import check_names
from backend.audit.verification.numbers import Last, Numbers
from backend.audit.verification.people import People
from backend.audit.verification.purged import PARTITION_PURGED, check_purges
from backend.audit.verification.restores import excuse_lost
from backend.audit.verification.state import State
from backend.audit.verification.verdicts import NO_LOG, Tally, Verdict, Verdicts
from backend.audit.verification.waiting import LIMIT, Promises, find_forged
from ledger.canon import CanonError, format_instant
from ledger.entry import INDEX_FIELDS, Index, index_fragment
from ledger.merkle import CompactRange, Coordinate

OPEN_AFTER: Final = timedelta(minutes=5)
"""A process says within two minutes that all is settled; one of which nothing was heard for longer has ended."""
PEOPLE_BATCH_ENTRIES: Final = 2_000
"""Entries whose personal values are fetched together."""
WRONG_WORDS_LIMIT: Final = 1_000
"""After so many findings nobody needs the exact number of entries without words."""
MISSING_COUNTED: Final = 1_000
"""Missing numbers counted of one process."""

_COLUMNS = ", ".join("id::text AS id" if name == "id" else name for name in INDEX_FIELDS)
_DOUBTED = f"SELECT seq, {_COLUMNS} FROM audit_entries WHERE log = %s AND seq = ANY(%s)"  # noqa: S608  constants
_WORDS = """
SELECT seq FROM audit_entries WHERE log = %s AND seq >= %s AND seq < %s
    AND words IS DISTINCT FROM audit_words(canon) ORDER BY seq
"""
_NODES = """
SELECT level, position, hash FROM audit_nodes WHERE log = %(log)s
    AND (level = 8 AND position >= %(first)s >> 8 AND position < %(stop)s >> 8
      OR level = 16 AND position >= %(first)s >> 16 AND position < %(stop)s >> 16
      OR level = 24 AND position >= %(first)s >> 24 AND position < %(stop)s >> 24)
"""
_SEQUENCED = (
    "SELECT (extract(epoch FROM sequenced_at) * 1000000)::bigint FROM audit_entries WHERE log = %s AND seq = %s"
)
_EPOCH_2000_US: Final = 946_684_800_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to verify."""

    keys: Keys
    trusted: State | None = None
    """Where an earlier verification found everything in order."""
    full: bool = True
    """Read from the first entry on; else from where `trusted` ends."""
    logs: Sequence[str] | None = None
    """Read only these; None for all."""
    genesis: str | None = None
    """The first signing key, when it is known from elsewhere than an earlier verification."""
    witnesses: Sequence[str] = ()
    """Keys of witnesses whose cosignatures can be verified."""
    held: Sequence[HeldHead] = ()
    """What the signer and the witnesses hold, as far as they could be asked."""
    words: bool = True
    """Also work out again the words of every entry: most of the time of a run."""
    patience_s: float = LIMIT.total_seconds()
    """How long what waits in the outbox may take to reach the ledger."""


@dataclass(slots=True)
class Result:
    """What a verification found, and where it stands."""

    state: State
    from_heads: dict[str, int]
    entries: int
    ended: dict[str, Head]

    @property
    def verdicts(self) -> Verdicts:
        """The six verdicts."""
        return self.state.verdicts


Saved = Callable[[State, int], None]
"""Called between chunks with where the verification stands and how many entries were read since the call before."""


def verify(
    connection: psycopg.Connection[Any], plan: Plan, state: State | None = None, saved: Saved | None = None
) -> Result:
    """Verify a ledger; goes on from `state` where an interrupted run left off.

    The connection's time zone is UTC. Outside a transaction the frame is read in one of its own.

    Raises:
        LookupError: the database holds no ledger.
        psycopg.Error: the database is away.
    """
    return _Verification(connection, plan, state, saved or (lambda _state, _entries: None)).run()


class _Verification:
    """One run."""

    def __init__(self, connection: psycopg.Connection[Any], plan: Plan, state: State | None, saved: Saved) -> None:
        self._connection = connection
        self._plan = plan
        self._saved = saved
        self._resumed = state is not None
        self._state = state or _begun(plan)
        self._frame = _one_moment(connection, plan, self._state.known)
        self._people = People(self._state.verdicts, plan.keys, Promises(), self._state.known)
        self._people.promises.note(self._frame.waiting.rows)
        self._marks = records.marks_of(self._frame)
        tally = self._state.verdicts[Verdict.EXTERNAL]
        self._outside = External(connection, self._frame, tally, self._trust(), plan.keys.approvals)
        for log, size, mark in self._outside.marks_at_once():
            self._marks[log][size].append(mark)
        self._entries = 0

    def run(self) -> Result:
        frame_now, verdicts = self._frame, self._state.verdicts
        if not self._resumed:
            records.check_heads(frame_now, verdicts, self._plan.keys.outbox)
            records.check_spans(frame_now, verdicts)
            records.check_words_function(frame_now, verdicts)
            announced = [*frame_now.known.purged, *frame_now.told(PARTITION_PURGED)]
            check_purges(frame_now.purges, announced, verdicts[Verdict.LINKAGE])
        records.check_periods(frame_now, verdicts)  # one that was interrupted has held what it saw against the rest
        records.check_runs(frame_now, verdicts)
        records.check_quarantine(frame_now, verdicts)
        self._state.known = records.learnt(frame_now, self._plan.keys.outbox)
        trusted = self._plan.trusted
        if trusted is not None:
            for log, edge in trusted.edges.items():
                self._marks[log][edge.size].append(Mark("the last good verification", edge.root()))
        self._people.load(self._connection)
        excuse_lost(frame_now, self._plan.keys.approvals, self._state.numbers)
        began = {log: self._state.size(log) for log in frame_now.logs}
        for log in sorted({*frame_now.logs, *self._marks}):
            if self._plan.logs is None or log in self._plan.logs:
                self._read(log)
        self._people.finish(self._connection)
        check_names(self._connection, self._people)
        if self._plan.full and self._plan.logs is None and not self._resumed:
            self._people.find_orphans(self._connection, frame_now.sealed_rows)
        self._state.genesis = self._outside.check()
        find_forged(self._frame.waiting.forged, verdicts[Verdict.COMPLETENESS])
        self._people.promises.judge(self._connection, self._plan.patience_s, verdicts[Verdict.COMPLETENESS])
        if self._plan.logs is None:
            self._completeness(verdicts[Verdict.COMPLETENESS])
        else:
            verdicts[Verdict.COMPLETENESS].skip("only some logs were read: numbers run through all of them")
        return Result(self._state, began, self._entries, frame_now.heads)

    def _trust(self) -> Trust:
        known = self._plan.trusted.genesis if self._plan.trusted else None
        return Trust(self._plan.genesis or known, self._plan.witnesses, self._plan.held)

    def _read(self, log: str) -> None:
        """Read one log from where the state stands to its head."""
        head = self._frame.heads.get(log)
        size = head.size if head else 0
        known = self._plan.trusted.size(log) if self._plan.trusted else 0
        edge = self._beginning(log, known)
        check = LogCheck(log, edge, known, self._state.verdicts, self._state.numbers)
        self._hold_outside(check, size)
        try:
            check.last_sequenced = self._sequenced(log, edge.size - 1)
            while edge.size < size:
                self._chunk(check, min(size, edge.size - edge.size % CHUNK_ENTRIES + CHUNK_ENTRIES))
        except (StreamError, psycopg.DataError, psycopg.ProgrammingError, psycopg.InternalError) as error:
            told = str(error).strip().splitlines()[0]
            self._state.verdicts[Verdict.LINKAGE].find(log, edge.size, "unreadable", told)

    def _beginning(self, log: str, known: int) -> CompactRange:
        """The tree from which on a log is read: where reading stopped, or where its dropped entries ended."""
        edge, cut = self._state.edges.setdefault(log, CompactRange()), self._frame.cuts.get(log)
        if cut is not None and edge.size < cut.edge.size:
            edge = self._state.edges[log] = cut.edge.copy()
            for end, numbers in cut.numbers:
                if end > known:
                    self._state.numbers.join(numbers)
        return edge

    def _hold_outside(self, check: LogCheck, size: int) -> None:
        """Roots at sizes that will not be passed: the present one, and those the log is too short for."""
        for at, marks in self._marks[check.log].items():
            if at == check.edge.size:
                check.hold(at, marks)
            elif at > size or at < 0:
                told = f"the log has {size} entries, {marks[0].what} says {at}"
                self._state.verdicts[Verdict.LINKAGE].find(check.log, size, "cut", told)

    def _sequenced(self, log: str, seq: int) -> int:
        row = self._connection.execute(_SEQUENCED, (log, seq)).fetchone() if seq >= 0 else None
        return row[0] - _EPOCH_2000_US if row else -(2**63)

    def _chunk(self, check: LogCheck, stop: int) -> None:
        """Read and judge some ten thousand entries, and save."""
        first = at = check.edge.size
        said = self._marks.get(check.log, {})
        marks = self._outside.marks(check.log, first, stop)
        for size in said:
            if first < size <= stop:
                marks.setdefault(size, []).extend(said[size])
        for block in stream(self._connection, check.log, first, stop):
            count = min(stop, at - at % BLOCK_ENTRIES + BLOCK_ENTRIES) - at
            check.feed(block, at, count, marks)
            at += count
            if check.edge.size != at:
                raise StreamError(f"entries are missing or too many before {at}")
        check.hold_nodes(self._stored_nodes(check.log, first, stop))
        self._settle(check)
        if self._plan.words:
            self._words(check.log, first, stop)
        self._entries += stop - first
        self._saved(self._state, stop - first)

    def _stored_nodes(self, log: str, first: int, stop: int) -> dict[Coordinate, bytes]:
        rows = self._connection.execute(_NODES, {"log": log, "first": first, "stop": stop})
        return {Coordinate(level, position): one for level, position, one in rows}

    def _settle(self, check: LogCheck) -> None:
        """What needed a look at more than the stream."""
        for entries in check.take_personal(PEOPLE_BATCH_ENTRIES):
            self._people.check(self._connection, entries)
        self._people.settle(self._connection)  # before the state is saved: it keeps findings only
        self._columns(check.log, check.doubts)
        check.doubts.clear()

    def _columns(self, log: str, doubts: Sequence[Doubt]) -> None:
        """Compare columns the long way: what they encode to is the tail of the entry's bytes."""
        tally = self._state.verdicts[Verdict.PROJECTION]
        if not doubts:
            return
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = {row.pop("seq"): row for row in cursor.execute(_DOUBTED, (log, [one.seq for one in doubts]))}
        for doubt in doubts:
            row = rows.get(doubt.seq)
            if row is None or not _same_columns(row, doubt.canon):
                tally.find(log, doubt.seq, "columns", "the columns are not those of the entry")

    def _words(self, log: str, first: int, stop: int) -> None:
        """Work the words of entries out again; one that has none because it is no JSON must not hide the others."""
        tally = self._state.verdicts[Verdict.PROJECTION]
        try:
            with self._connection.transaction():
                rows = self._connection.execute(_WORDS, (log, first, stop)).fetchall()
        except psycopg.DataError:
            if stop - first == 1:
                tally.find(log, first, "words", "the words of the entry cannot be worked out")
            elif tally.findings < WRONG_WORDS_LIMIT:
                middle = (first + stop) // 2
                self._words(log, first, middle)
                self._words(log, middle, stop)
            return
        for (seq,) in rows:
            tally.find(log, seq, "words", "the words are not those of the entry")

    def _completeness(self, tally: Tally) -> None:
        numbers = self._state.numbers
        tally.look(numbers.seen)
        seen = type(numbers).from_tree(numbers.to_tree())  # what waits is not part of what is kept
        for row in self._frame.waiting.rows:
            _see_leniently(seen, row["canon"])
        for boot, n in self._state.known.aside:
            seen.see(boot, n, 0, ())
        for boot, count, example in seen.missing(MISSING_COUNTED):
            tally.find(NO_LOG, None, "missing", f"{count} entries of process {boot} are missing, e.g. number {example}")
        for boot, last in seen.open_ends(format_instant(self._frame.now - OPEN_AFTER)):
            told = f"process {boot} on {last.node} did not end in order: nothing after its entry {last.n} of {last.at}"
            tally.note("open_end", told)


def _begun(plan: Plan) -> State:
    """Where a new run starts."""
    if plan.trusted is None:
        return State()
    numbers = type(plan.trusted.numbers).from_tree(plan.trusted.numbers.to_tree())
    edges = {} if plan.full else {log: edge.copy() for log, edge in plan.trusted.edges.items()}
    return State(edges, numbers, known=Known() if plan.full else plan.trusted.known)


def _one_moment(connection: psycopg.Connection[Any], plan: Plan, known: Known) -> Frame:
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        return frame.read(connection, plan.keys.outbox, known, whole=plan.full)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return frame.read(connection, plan.keys.outbox, known, whole=plan.full)


def _same_columns(row: dict[str, Any], canon: bytes) -> bool:
    try:
        when: datetime = row["occurred_at"]
        index = Index(**{**row, "occurred_at": format_instant(when)})
        return index.to_canon() == index_fragment(canon)
    except (CanonError, ValueError, TypeError, AttributeError):
        return False


def _see_leniently(numbers: Numbers, canon: bytes) -> None:
    """Note an entry that is not in the ledger: it is there, and promises nothing of others yet but what is void."""
    tree = frame.tree_of(canon)
    try:
        emitter, index = tree["body"]["emitter"], tree["index"]
        boot, n = str(emitter["boot"]), int(emitter["n"])
        # which numbers are void it does tell: entries that are in the ledger already build on that
        numbers.see(boot, n, 0, [int(one) for one in emitter["void"]])
        if index["event_type"] not in SETTLING:
            numbers.note_last(boot, Last(n, str(index["occurred_at"]), str(emitter["node"])))
    except (KeyError, TypeError, ValueError):
        return  # quarantined for a reason: it names no number
