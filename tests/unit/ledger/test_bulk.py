"""Reading entries in bulk against reading them one by one: never more is accepted, and never something else is read."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import bulk, canon, entry
from ledger.canon import CanonError
from ledger.entry import Detail, Emitter
from tests.unit.ledger.test_canon import HOSTILE, KEYS, SCALARS, TREES

LOG = "y7"
WHEN = datetime(2026, 11, 21, 10, 11, 12, 345678, tzinfo=UTC)
TEXTS = st.none() | HOSTILE | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
COUNTS = st.integers(0, 20) | st.integers(0, canon.MAX_INTEGER)
NAMES = KEYS | HOSTILE
VALUES = st.recursive(
    SCALARS | st.floats() | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
PIECES = (
    '"', "\\", "\\\\", '\\"', "{", "}", "[", "]", ",", ":", "\n", "\r", " ", "\t", "0", "1", "-", "-0", "01", ".",
    "1.0", "1e2", "9007199254740992", "999999999999999", "null", "true", "NaN", "\\u0000", "\\u0041", "\\ud800", "\\/",
    "\0", "\x7f", "é", "\u2028", '"a":1', ',"a":1', ',"a":1,"a":1', ',"é":1', '"A":2', "[" * 9 + "]" * 9,
    '{"a":' * 6 + "1" + "}" * 6,
    ',"index":{', '},"v":1}', '"sealed":{}', "24", "13", "00", "void", "body", "==", "B", "x" * 65,
)  # fmt: skip
RAW_PIECES = st.sampled_from([*(piece.encode() for piece in PIECES), b"\xed\xa0\x80", b"\xff", b"\xc0\xaf", b"\xc3"])
USUAL: dict[str, Any] = {
    "n": 7, "settled": 5, "void": (), "actor": "p1", "log": LOG,
    "detail": {"metadata": {"a": [1, "x"]}, "new_value": {"n": -3, "s": "é"}}, "sealed": {"ip": bytes(32)},
}  # fmt: skip


def made(
    *, n: int, settled: int, void: tuple[int, ...], actor: str | None, detail: dict[str, Any], sealed: Any, log: str
) -> bytes:
    return entry.build(
        id="e1", log=log, occurred_at=WHEN, event_type="hold.placed", category="security", action="freeze",
        outcome="success", actor=actor, actor_role=actor, resource_id=actor, sealed=sealed, detail=Detail(**detail),
        emitter=Emitter(boot="b1", n=n, node="backend-1", settled=settled, void=void),
    ).to_canon()  # fmt: skip


@st.composite
def entries(draw: st.DrawFn) -> bytes:
    """The bytes of an entry, or nearly those of one."""
    detail = draw(st.fixed_dictionaries({}, optional={"metadata": TREES, "new_value": TREES, "error_message": TEXTS}))
    names = draw(st.sets(st.sampled_from(["ip_address", "user_agent", "a", "z9"]), max_size=3))
    sealed = dict.fromkeys(names, draw(st.binary(min_size=32, max_size=32)))
    facts: dict[str, Any] = {
        "n": draw(COUNTS) or 1, "settled": draw(COUNTS), "void": draw(st.just(()) | st.just((3, 4))), "log": LOG,
        "actor": draw(TEXTS), "detail": detail, "sealed": sealed,
    }  # fmt: skip
    try:
        raw = made(**facts)
    except CanonError:  # nested too deeply
        raw = made(**USUAL)
    for _ in range(draw(st.integers(0, 2))):
        at, gone = draw(st.integers(0, len(raw))), draw(st.integers(0, 3))
        raw = raw[:at] + draw(RAW_PIECES | st.just(b"")) + raw[at + gone :]
    return raw


def read_as_parsed(log: str, canons: list[bytes]) -> bulk.Stamps:
    """Read in bulk and hold everything that was accepted against the strict reader."""
    stamps = bulk.read(log, canons)
    assert sorted([*stamps.places, *stamps.unusual]) == list(range(len(canons)))
    assert len(stamps.places) == len(stamps.boots) == len(stamps.numbers) == len(stamps.settled)
    for at, boot, n, settled in zip(stamps.places, stamps.boots, stamps.numbers, stamps.settled, strict=True):
        tree = entry.parse(canons[at])
        told = {"boot": boot.decode(), "n": n, "settled": settled, "void": []}
        assert {name: tree["body"]["emitter"][name] for name in told} == told
        assert tree["index"]["log"] == log
    return stamps


@given(st.lists(entries(), max_size=4))
def test_what_is_read_in_bulk_is_what_is_parsed(canons: list[bytes]) -> None:
    read_as_parsed(LOG, canons)


@given(entries(), st.data())
def test_bytes_that_are_shared_out_wrongly_are_not_read(raw: bytes, data: st.DataObject) -> None:
    """What looks right only together with its neighbours is left to the strict reader."""
    between = data.draw(st.sampled_from([b"", b",", b"\n"]))
    whole = between.join([raw, made(**USUAL), raw])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), min_size=2, max_size=2)))
    read_as_parsed(LOG, [whole[: cuts[0]], whole[cuts[0] : cuts[1]], whole[cuts[1] :]])


def test_usual_entries_are_read_in_bulk() -> None:
    usual = made(**USUAL)
    changes: list[dict[str, Any]] = [
        {}, {"sealed": {}}, {"sealed": {"a": bytes(32), "b": b"x" * 32}}, {"actor": None}, {"actor": "Ünï /\x7f\u2028"},
        {"detail": {}}, {"detail": {"error_message": 'a "quoted" \\ back\nslash'}}, {"n": 10**15 - 1, "settled": 0},
        {"detail": {"new_value": {"a": {"b": {"c": [1, {}]}}}}},
    ]  # fmt: skip
    stamps = read_as_parsed(LOG, [usual, *(made(**(USUAL | change)) for change in changes)])
    assert list(stamps.unusual) == []
    assert stamps.numbers[0] == 7
    assert bulk.read(LOG, []).places == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"n":7', '"n":7.0'), ('"n":7', '"n":07'), ('"n":7', '"n":0'), ('"n":7', '"n":-7'), ('"n":7', '"n":true'),
        ('"n":7', '"n":7e0'), ('"n":7', '"n":9007199254740992'), ('"n":7', '"n":"7"'), ('"n":7', '"n": 7'),
        ('"settled":5', '"settled":00'), ('"settled":5', '"settled":null'), ('"void":[]', '"void":{}'),
        ('"void":[]', '"void":[ ]'), ('"void":[]', '"void":[],"void":[]'), ('"a":[1,"x"]', '"a":[1.5]'),
        ('"a":[1,"x"]', '"a":[1e3]'), ('"a":[1,"x"]', '"a":1,"a":1'), ('"a":[1,"x"]', '"b":1,"a":1'),
        ('"a":[1,"x"]', '"A":1'), ('"a":[1,"x"]', '"é":1'), ('"a":[1,"x"]', '"":1'), ('"a":[1,"x"]', '"a":-0'),
        ('"a":[1,"x"]', '"a":9007199254740993'), ('"a":[1,"x"]', '"a":[1, "x"]'), ('"a":[1,"x"]', '"a":"\\u0041"'),
        ('"a":[1,"x"]', '"a":"\\/"'), ('"a":[1,"x"]', '"a":"\\u0000"'), ('"a":[1,"x"]', '"a":"\\ud800"'),
        ('"a":[1,"x"]', '"a":[[[[[]]]]]'), ('"a":[1,"x"]', '"a":{"b":{"c":{"d":{"e":{}}}}}'),
        ('"a":[1,"x"]', '"a":"\0"'),
        ('"a":[1,"x"]', '"' + "a" * 65 + '":1'), ('"a":[1,"x"]', '"a":"' + "x" * canon.MAX_ENTRY_BYTES + '"'),
        ('"error_message":null', '"error_message":5'), ('"old_value":null', '"old_value":null,"z":1'),
        ('"detail":{', '"detail":{ '), ('"detail":{', '"detail":[{'), ('"ip":"A', '"ip":"='), ('A="', 'B="'),
        ('"ip":"', '"ip":"","iq":"'), ('"sealed":{', '"sealed":{"iq":"' + "A" * 43 + '=",'),
        ('"sealed":{', '"sealed":{"ip":"' + "A" * 43 + '=",'), ('"actor":"p1"', '"actor":5'),
        ('"actor":"p1"', '"actor":"\\u0041"'), ('"actor":"p1"', '"actor":"\n"'), ('"actor":"p1"', '"actor":"\x01"'),
        ('"actor":"p1"', '"actor":"x","actor":"p1"'), ('"outcome":"success"', '"outcome":""'),
        ('"outcome":"success"', '"outcome":null'), ('"log":"y7"', '"log":"y8"'), ('"log":"y7"', '"log":"y7","m":1'),
        ("2026-11-21T", "2026-02-30T"), ("2026-11-21T", "0000-11-21T"), ("T10:", "T24:"), ("T10:", "T25:"),
        (":12.345678Z", ":60.345678Z"), (".345678Z", ".345Z"), (".345678Z", ".345678+00:00"), ("2026", "٢026"),
        ('"v":1}', '"v":1.0}'), ('"v":1}', '"v":2}'), ('"v":1}', '"v":1}\n'), ('"v":1}', '"v":1} '),
        ('{"body"', ' {"body"'),
        ('{"body"', '\ufeff{"body"'), ('"boot":"b1"', '"boot":""'), ('"node":"backend-1"', '"node":""'),
    ],
)  # fmt: skip
def test_what_is_not_an_entry_of_the_log_is_left_to_the_strict_reader(old: str, new: str) -> None:
    usual = made(**USUAL)
    odd = usual.decode().replace(old, new, 1).encode("utf-8", "surrogatepass")
    assert odd != usual
    with suppress(CanonError):
        assert entry.parse(odd)["index"]["log"] != LOG
    stamps = read_as_parsed(LOG, [usual, odd, usual])
    assert 1 in stamps.unusual
    if b"\n" not in odd:  # a line of its own spoils nothing else
        assert list(stamps.unusual) == [1]


@pytest.mark.parametrize("bad", [b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"])
def test_bytes_that_are_no_text_are_not_read(bad: bytes) -> None:
    for part in (b'"actor":"p1', b'"s":"'):
        odd = made(**USUAL).replace(part, part + bad, 1)
        assert list(read_as_parsed(LOG, [made(**USUAL), odd]).unusual)[-1] == 1


@pytest.mark.parametrize("log", ['a"b', 'y7","m":"', "a\\b", "a\nb", "a.b", "é", ""])
def test_a_log_is_its_name_and_not_a_pattern(log: str) -> None:
    odd = made(**USUAL).replace(b'"log":"y7"', f'"log":"{log}"'.encode())
    read_as_parsed(log, [odd, odd])
    read_as_parsed(log, [made(**(USUAL | {"log": log or "x"}))])
    assert not bulk.read("y.", [made(**USUAL)]).places


@given(st.lists(TREES, max_size=3))
@example([{}, {}])
def test_objects_that_are_read_together_are_those_read_alone(trees: list[Any]) -> None:
    raws = [json.dumps(tree, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode() for tree in trees]
    try:
        alone = [canon.decode(raw) for raw in raws]
    except CanonError:
        assert canon.decode_all(raws) is None
        return
    assert canon.decode_all(raws) in (alone, None)
    if not any(b"\\u0000" in raw for raw in raws):
        assert canon.decode_all(raws) == alone


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=2))
def test_whatever_is_read_together_can_be_read_alone(trees: list[Any]) -> None:
    raws = [json.dumps(tree, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode() for tree in trees]
    together = canon.decode_all(raws)
    if together is not None:
        assert together == [canon.decode(raw) for raw in raws]


@pytest.mark.parametrize(
    "raws",
    [
        [b'{"a":1},{"b":2}'], [b'{"a":1},{"b":2}', b""], [b'{"a":[1', b"2]}"], [b'{"a":"', b'"}'], [b"{}", b"1"],
        [b"1", b"2"],
        [b'{"a":1', b'"b":2}', b"{},{}"], [b"{} ", b"{}"], [b"[]"], [b""], [b'{"a":1.5}'], [b'{"a":{"b":1,"b":1}}'],
        [b'{"a":' + b"[" * 8 + b"]" * 8 + b"}"], [b"[" * 20_000], [b'{"a":1,"a":1}', b"{}"], [b'{"A":1}'],
        [b'{"a":-0}'],
    ],
)  # fmt: skip
def test_objects_are_never_read_across_their_ends(raws: list[bytes]) -> None:
    assert canon.decode_all(raws) is None


def test_depth_is_counted_from_where_an_object_stands() -> None:
    raw = b'{"a":' + b"[" * 5 + b"]" * 5 + b"}"
    assert canon.decode_all([raw], 3) is not None
    assert canon.decode_all([raw], 4) is None
