"""One log while it is read: what is kept of entries with personal values, and which columns need a second look."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from backend.audit.verification.blocks import NOTHING_SEALED, Block
from backend.audit.verification.logs import LogCheck
from backend.audit.verification.numbers import Numbers
from backend.audit.verification.verdicts import Outcome, Verdict, Verdicts
from ledger import entry
from ledger.entry import Detail, Emitter
from ledger.merkle import CompactRange

WHEN = datetime(2026, 11, 21, 10, 11, 12, 345678, tzinfo=UTC)


def made(n: int, **changes: Any) -> bytes:
    known: dict[str, Any] = {
        "id": f"e{n}", "log": "7y", "occurred_at": WHEN, "event_type": "hold.placed", "category": "security",
        "action": "freeze", "outcome": "success", "emitter": Emitter(boot="b1", n=n, node="x", settled=n - 1),
    }  # fmt: skip
    return entry.build(**(known | changes)).to_canon()


def block(canons: list[bytes]) -> Block:
    tails = [NOTHING_SEALED + b',"index":' + entry.index_fragment(canon) + b',"v":1}' for canon in canons]
    leaves = b"".join(sha256(b"\0" + canon).digest() for canon in canons)
    return Block(tuple(range(len(canons))), (0,) * len(canons), leaves, canons, tails)


def fed(one: Block) -> LogCheck:
    check = LogCheck("7y", CompactRange(), 0, Verdicts(), Numbers())
    check.feed(one, 0, len(one.canons), {})
    return check


def test_of_an_entry_with_personal_values_only_its_end_is_kept_until_it_is_read() -> None:
    long = Detail(metadata={"text": '"sealed":{"a":1}' * 1_000})
    canons = [made(n, detail=long, sealed={"ip": bytes([n] * 32)} if n % 3 else {}) for n in range(1, 9)]
    check = fed(block(canons))
    assert not check.verdicts.failed
    assert [seq for seq, _ in check.personal] == [0, 1, 3, 4, 6, 7]
    assert sum(len(raw) for _, raw in check.personal) < 6 * 500 < len(canons[0])
    batches = list(check.take_personal(4))
    assert [len(batch) for batch in batches] == [4, 2]
    assert [one.index["id"] for batch in batches for one in batch] == ["e1", "e2", "e4", "e5", "e7", "e8"]
    assert set(batches[0][0].commitments) == {"ip"}
    assert check.personal == []


@pytest.mark.parametrize(
    ("place", "tail"),
    [
        (b'"action":"freeze"', b'"action":"thaw"'),
        (b'"id":"e2"', b'"id":"e3"'),
        (b'"actor":null', b'"actor":"x","index":{'),
        (b'"actor":null', b'"actor":"\\"'),
    ],
)
@pytest.mark.parametrize("sealed", [{}, {"ip": bytes(32)}])
def test_columns_that_are_not_the_end_of_the_entry_get_a_second_look(
    place: bytes, tail: bytes, sealed: dict[str, bytes]
) -> None:
    one = block([made(1), made(2, sealed=sealed), made(3)])
    assert fed(one).doubts == []
    changed = [one.tails[0], one.tails[1].replace(place, tail), one.tails[2]]
    check = fed(replace(one, tails=changed))
    assert [doubt.seq for doubt in check.doubts] == [1]
    assert [one.seq for batch in check.take_personal(9) for one in batch] == ([1] if sealed else [])


def test_columns_that_hold_what_an_entry_says_further_in_get_a_second_look() -> None:
    """The end of the bytes fits, but begins within the detail: the column `action` would hold most of the entry."""
    inner = {"a": 1, "index": {"action": "x"}}
    canon = made(1, detail=Detail(old_value=inner))
    start = canon.index(b',"index":{')
    check = fed(replace(block([canon]), tails=[NOTHING_SEALED + canon[start:]]))
    assert [doubt.seq for doubt in check.doubts] == [0]


@pytest.mark.parametrize("seqs", [(0, 2, 1), (0, 1, 1), (0, 1), (0, 1, 3), ()])
def test_entries_out_of_their_order_are_a_gap(seqs: tuple[int, ...]) -> None:
    check = fed(replace(block([made(1), made(2), made(3)]), seqs=seqs))
    tally = check.verdicts[Verdict.LINKAGE]
    assert (tally.outcome, [one.what for one in tally.first]) == (Outcome.FAILED, ["gap"])


def test_a_number_that_is_given_twice_is_told_once_however_it_is_read() -> None:
    check = fed(block([made(1), made(2), made(2, detail=Detail(metadata={"text": "\x01"})), made(3)]))
    tally = check.verdicts[Verdict.COMPLETENESS]
    assert [(one.seq, one.what) for one in tally.first] == [(2, "twice")]
