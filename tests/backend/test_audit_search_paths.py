"""Whatever way a search takes through partitions and windows, its pages are those of a walk over all entries."""

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.audit import barren, ground, partitions, search, windows
from backend.audit.conditions import conditions
from backend.audit.cursors import Cursor, Position, decode, encode
from backend.audit.query import AuditFilter
from backend.context import Runtime
from backend.runtime import build_runtime
from backend.settings import Settings
from ledger import seal
from ledger.canon import format_instant
from ledger.entry import INDEX_FIELDS, Detail, Emitter, Entry, Index

_BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
_LOGS = ("1y", "3y", "7y", "import:old")
_PARTITIONS, _PARTITION_ENTRIES = 3, 128
_COMMON, _HALF, _FEW, _OLD, _NOWHERE = "settled", "arb", "spike", "hibernation", "quokka"
_VOCABULARY = (_COMMON, _HALF, "gas", _FEW, "limit", "wallet")
_ADDRESSES = ("198.51.100.1", "203.0.113.7")
_KEY = UUID(int=7)
_PATIENCE_S = 60.0
_COLUMNS = (*INDEX_FIELDS, "seq", "sequenced_at", "leaf", "canon")
_INSERT = f"INSERT INTO audit_entries ({', '.join(_COLUMNS)}) VALUES ({', '.join(['%s'] * len(_COLUMNS))})"  # noqa: S608  names of columns


@dataclass(frozen=True)
class Known:
    """One entry of the ledger under test, as a reader of all entries would know it."""

    log: str
    seq: int
    at: datetime
    actor: str
    outcome: str
    reason: tuple[str, ...]
    address: str | None


def _made(rng: random.Random) -> list[Known]:
    """Entries of several logs, some at one instant and some late, with words that come together or in old ones only."""
    known = []
    for log in _LOGS:
        entries = _PARTITIONS * _PARTITION_ENTRIES - 37
        for seq in range(entries):
            late = timedelta(minutes=rng.randrange(90)) if rng.random() < 0.05 else timedelta()
            at = _BEGIN + timedelta(minutes=seq // 2) - late
            reason = [word for word, share in zip(_VOCABULARY, (0.9, 0.5, 0.1, 0.1, 0.3, 0.02), strict=True)
                      if rng.random() < share]  # fmt: skip
            rng.shuffle(reason)
            reason += ["gas", _FEW] if rng.random() < 0.05 else []
            reason += [_OLD] if seq < entries / 6 and rng.random() < 0.5 else []
            address = rng.choice((*_ADDRESSES, None, None)) if log != "import:old" else None
            outcome = rng.choice(("success", "success", "success", "denied"))
            known.append(Known(log, seq, at, f"executor:{rng.randrange(3)}", outcome, tuple(reason), address))
    return known


def _canon(one: Known, ident: UUID) -> tuple[Index, bytes]:
    index = Index(
        id=str(ident), log=one.log, occurred_at=format_instant(one.at), category="monitoring",
        event_type="alerts.alert.raised", action="raise an alert", actor=one.actor, actor_type="service",
        outcome=one.outcome, resource_type="alerts", resource_id=f"alert-{one.seq % 7}", request_id=f"r{one.seq // 3}",
    )  # fmt: skip
    detail = Detail(new_value={"reason": " ".join(one.reason)})
    emitter = Emitter(node="test", boot="00", n=one.seq + 1, settled=one.seq)
    return index, Entry(index=index, emitter=emitter, detail=detail).to_canon()


def _fill(url: str, blinding: bytes, known: list[Known]) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO audit_subject_keys (id, subject, master_key_id, wrapped, created_at)"
            " VALUES (%s, 'test', 'test', '', now())", (_KEY,),
        )  # fmt: skip
        for log in _LOGS:
            for first in range(0, _PARTITIONS * _PARTITION_ENTRIES, _PARTITION_ENTRIES):
                connection.execute("SELECT audit_add_partition(%s, %s, %s)", (log, first, first + _PARTITION_ENTRIES))
        for number, one in enumerate(known):
            ident = UUID(int=number + 1)
            index, canon = _canon(one, ident)
            row = [*index.to_tree().values(), one.seq, one.at, b"", canon]
            connection.execute(_INSERT, row)
            if one.address is not None:
                blind = seal.blind(blinding, "ip_address", one.address)
                connection.execute(
                    "INSERT INTO audit_sealed (entry_id, field, log, occurred_at, subject, key_id, nonce, ciphertext,"
                    " blind) VALUES (%s, 'ip_address', %s, %s, 'test', %s, '', '', %s)",
                    (ident, one.log, one.at, _KEY, blind),
                )
        connection.execute(
            "UPDATE audit_spans AS span SET time_min = low, time_max = high FROM (SELECT log, seq / %(size)s * %(size)s"
            " AS first, min(occurred_at) AS low, max(occurred_at) AS high FROM audit_entries GROUP BY 1, 2) AS seen"
            " WHERE span.log = seen.log AND seq_from = first",
            {"size": _PARTITION_ENTRIES},
        )
        connection.execute(
            "INSERT INTO audit_heads (log, size, frontier, root, sequenced_at)"
            " SELECT log, max(seq) + 1, '', '', now() FROM audit_entries GROUP BY log"
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")


def _answers(asked: AuditFilter, one: Known) -> bool:
    words = (asked.q or "").split()
    phrase = asked.q is not None and asked.q.startswith('"')
    told = " ".join(one.reason)
    return (
        (asked.since is None or one.at >= asked.since)
        and (asked.until is None or one.at < asked.until)
        and (asked.user is None or one.actor == asked.user)
        and (asked.result is None or one.outcome == asked.result)
        and (asked.log is None or one.log == asked.log)
        and (asked.ip is None or one.address == str(asked.ip))
        and (f" {(asked.q or '').strip(chr(34))} " in f" {told} " if phrase else set(words) <= set(one.reason))
    )


_INSTANTS = st.integers(-10, 300).map(lambda minutes: (_BEGIN + timedelta(minutes=minutes)).isoformat())
_QUESTIONS = st.fixed_dictionaries(
    {},
    optional={
        "from": _INSTANTS,
        "user": st.sampled_from(["executor:0", "executor:2"]),
        "result": st.just("denied"),
        "log": st.sampled_from(_LOGS),
        "ip": st.sampled_from([*_ADDRESSES, "192.0.2.1"]),
        "q": st.sampled_from(
            [
                _COMMON,
                _HALF,
                _FEW,
                _OLD,
                _NOWHERE,
                "wallet",
                "gas spike",
                "settled wallet",
                '"gas spike"',
                '"spike limit"',
                f"{_COMMON} {_OLD}",
                f"{_COMMON} {_HALF} gas",
            ]
        ),
    },
)


async def _pages(
    runtime: Runtime, asked: AuditFilter, limits: list[int], hasty: list[bool], *, remembers: bool
) -> list[tuple[str, int | None]]:
    """All pages of a search, of the sizes given over and over; for some the time is up before anything was read.

    One that remembers knows what all before have seen, whatever they asked for.
    """
    found: list[tuple[str, int | None]] = []
    cursor: Cursor | None = None
    async with runtime.database.read() as session:
        where = await conditions(session, runtime, asked)
        standing = await ground.read(session)
        sizes, empty = standing.sizes, barren.asked(runtime.barren, 1, where) if remembers else None
        for turn in range(10_000):
            vars(search)["FIRST_BUDGET_S"] = 0.0 if hasty[turn % len(hasty)] else _PATIENCE_S
            limit = limits[turn % len(limits)]
            page = await search.find(session, where, sizes, cursor, limit, known=(standing, empty))
            found += [(row.log, row.seq) for row in page.rows]
            if page.more is None:
                return found
            cursor = decode(encode(page.more))
    raise AssertionError("the pages never ended")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, pages and partitions small enough for a ledger of two thousand entries to need all of them."""
    for module, name, value in (
        (windows, "FEW_PAGES", 1), (windows, "WIDE_PAGES", 1), (windows, "WALKED_ENTRIES", 20),
        (partitions, "MEASURED_FIRST", 2), (partitions, "MAX_TOGETHER", 4), (search, "FIRST_BUDGET_S", _PATIENCE_S),
        (search, "FURTHER_BUDGET_S", _PATIENCE_S),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("narrow")
def test_pages_are_those_of_a_walk_over_all_entries(database_url: str) -> None:
    runtime = build_runtime(Settings(database_url=database_url))
    known = _made(random.Random(7))  # noqa: S311  test data
    _fill(database_url, runtime.keyring.blinding, known)
    newest_first = sorted(sorted(known, key=lambda one: (one.log, -one.seq)), key=lambda one: one.at, reverse=True)
    with asyncio.Runner() as runner:

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            _QUESTIONS,
            st.lists(st.sampled_from([9, 30, 100]), min_size=1, max_size=3),
            st.lists(st.booleans(), min_size=1, max_size=4),
            st.booleans(),
        )
        def check(question: dict[str, str], limits: list[int], hasty: list[bool], remembers: bool) -> None:  # noqa: FBT001  Hypothesis gives it by place
            asked = AuditFilter.model_validate(question)
            wanted = [(one.log, one.seq) for one in newest_first if _answers(asked, one)]
            assert runner.run(_pages(runtime, asked, limits, hasty, remembers=remembers)) == wanted

        try:
            check()
        finally:
            runner.run(runtime.database.close())


_WALKED = 20


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("minutes", [None, 100, 40], ids=["from the newest on", "from within", "from the oldest part"])
async def test_a_first_window_is_walked_only_as_far_as_may_be(
    database_url: str, monkeypatch: pytest.MonkeyPatch, minutes: int | None
) -> None:
    """In every partition: also one that is full may end with a burst in which the word does not occur."""
    monkeypatch.setattr(partitions, "WALKED_ENTRIES", _WALKED)
    monkeypatch.setattr(windows, "WALKED_ENTRIES", 10**6)
    runtime = build_runtime(Settings(database_url=database_url))
    known = _made(random.Random(7))  # noqa: S311  test data
    _fill(database_url, runtime.keyring.blinding, known)
    position = None if minutes is None else Position(_BEGIN + timedelta(minutes=minutes), "", 0)
    async with runtime.database.read() as session:
        where = await conditions(session, runtime, AuditFilter(q=_COMMON))
        standing = await ground.read(session)
        reading = partitions.begin(where, standing.sizes, position, 30, ground=standing)
        await partitions._measure(session, reading, len(reading.pending))
    await runtime.database.close()
    walked = [window for window in reading.pending if not window.collected]
    assert {window.span.log for window in walked} == set(_LOGS)
    for window in walked:
        newest, span = reading.newest(window), window.span
        within = [one for one in known if one.log == span.log and span.seq_from <= one.seq < span.seq_until]
        assert sum(window.oldest <= one.at <= newest for one in within) <= 2 * _WALKED, "some of one instant, some late"
