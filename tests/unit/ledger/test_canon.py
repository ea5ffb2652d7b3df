"""Canonical bytes against RFC 8785, its published vectors, a JSON parser suite and hostile values."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import canon
from ledger.canon import CanonError
from tests.support.shared_data import shared_data

KEYS = st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True)
STRINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
HOSTILE = st.lists(
    st.sampled_from(['"', "\\", "\\u0000", ",", ":", "{", "}", "\u2028", "\x1f", "\x7f", "\U0001d11e", "é", "n"]),
    max_size=9,
).map("".join)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-canon.MAX_INTEGER, canon.MAX_INTEGER), STRINGS, HOSTILE)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
    ),
    max_size=5,
)
ANYTHING = st.recursive(
    st.one_of(SCALARS, st.floats(), st.integers(), st.text(), st.binary(max_size=3), st.just(("a",))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict | list):
        members = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth_of, members), default=0)
    return 0


@given(TREES)
@example({"a": "\\u0000 is not U+0000", "b_": 1, "b": 2, "b0": 3})
def test_the_bytes_are_those_of_rfc_8785_and_read_back(tree: dict[str, Any]) -> None:
    if depth_of(tree) > canon.MAX_DEPTH:
        with pytest.raises(CanonError, match="depth"):
            canon.encode(tree)
        return
    raw = canon.encode(tree)
    assert raw == rfc8785.dumps(tree)
    assert canon.decode(raw) == tree == json.loads(raw)


@given(st.dictionaries(st.text(max_size=3), ANYTHING, max_size=3))
def test_whatever_is_accepted_reads_back_the_same_and_the_rest_is_refused_in_words(tree: dict[str, Any]) -> None:
    try:
        raw = canon.encode(tree)
    except CanonError as error:
        raw, refused = b"", error
    if not raw:
        assert refused.path.startswith("$")
        assert refused.code in {"type", "float", "integer", "surrogate", "nul", "key", "depth", "size"}
        return
    assert raw == rfc8785.dumps(tree)
    assert repr(canon.decode(raw)) == repr(dict(sorted(tree.items()))) or canon.decode(raw) == tree


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("tree", "code", "path"),
    [
        ({"a": {"b": 1.0}}, "float", "$.a.b"),
        ({"a": float("nan")}, "float", "$.a"),
        ({"a": [1, 2**53]}, "integer", "$.a[1]"),
        ({"a": -(2**53)}, "integer", "$.a"),
        ({"a": 2**70}, "integer", "$.a"),
        ({"a": ["\ud800"]}, "surrogate", "$.a[0]"),
        ({"a": "x\0"}, "nul", "$.a"),
        ({"A": 1}, "key", "$"),
        ({"": 1}, "key", "$"),
        ({"a": {"x y": 1}}, "key", "$.a"),
        ({"a\n": 1}, "key", "$"),
        ({"é": 1}, "key", "$"),
        ({"a" * 65: 1}, "key", "$"),
        ({"a": {1: 1}}, "key", "$.a"),
        ({Text("a"): 1}, "key", "$"),
        ({"a": Text("a")}, "type", "$.a"),
        ({"a": (1,)}, "type", "$.a"),
        ({"a": b"x"}, "type", "$.a"),
        ({"a": datetime(2026, 1, 1, tzinfo=UTC)}, "type", "$.a"),
        ({"a": [[[[[[[[]]]]]]]]}, "depth", "$.a[0][0][0][0][0][0][0]"),
        ({"a": "x" * canon.MAX_ENTRY_BYTES}, "size", "$"),
        ({"a": [None] * (canon.MAX_ENTRY_BYTES + 1)}, "size", "$.a"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(tree: dict[Any, Any], code: str, path: str) -> None:
    with pytest.raises(CanonError) as refused:
        canon.encode(tree)
    assert (refused.value.code, refused.value.path) == (code, path)


def test_the_limits_themselves_fit() -> None:
    room = canon.MAX_ENTRY_BYTES - len('{"a":""}')
    deepest: dict[str, Any] = {"a": [[[[[[[]]]]]]]}
    wide = {f"k{number}": number for number in range(100)}
    for tree in ({"a": "x" * room}, deepest, wide, {"a" * 64: canon.MAX_INTEGER, "b": -canon.MAX_INTEGER}, {}):
        assert canon.decode(canon.encode(tree)) == tree


def test_a_value_that_contains_itself_is_refused_at_once() -> None:
    circle: dict[str, Any] = {}
    circle["a"] = circle
    shared: list[Any] = []
    for _ in range(6):
        shared = [shared] * 1000
    for tree in (circle, {"a": shared}):
        with pytest.raises(CanonError):
            canon.encode(tree)


def test_a_known_shape_never_vouches_for_a_key_that_only_looks_the_same() -> None:
    canon.encode({"shape": 1})
    with pytest.raises(CanonError):
        canon.encode({Text("shape"): 1})


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"a":1,"a":1}', "duplicate"),
        (b'{"a":{"b":1,"b":2}}', "duplicate"),
        (b'{"b":1,"a":1}', "not_canonical"),
        (b'{"a": 1}', "not_canonical"),
        (b'{"a":1}\n', "not_canonical"),
        (b'{"a":-0}', "not_canonical"),
        (b'{"a":"\\u0041"}', "not_canonical"),
        (b'{"a":"\\/"}', "not_canonical"),
        (b'{"a":"\\u001F"}', "not_canonical"),
        (b'{"a":1.0}', "float"),
        (b'{"a":1e2}', "float"),
        (b'{"a":-0.0}', "float"),
        (b'{"a":9007199254740992}', "integer"),
        (b'{"a":"\\u0000"}', "nul"),
        (b'{"a":"\\ud800"}', "syntax"),
        (b'{"a":"\xed\xa0\x80"}', "syntax"),
        (b'\xef\xbb\xbf{"a":1}', "syntax"),
        (b'{"a":NaN}', "syntax"),
        (b"", "syntax"),
        (b"[]", "type"),
        (b"[" * 20_000, "syntax"),
        (b'{"a":' + b"[" * 900 + b"]" * 900 + b',"a":1}', "not_canonical"),
        (b'{"a":' + b"9" * 200 + b',"a":1}', "not_canonical"),
        (b" " * (canon.MAX_ENTRY_BYTES + 1), "size"),
    ],
)
def test_only_the_one_spelling_is_read(raw: bytes, code: str) -> None:
    with pytest.raises(CanonError) as refused:
        canon.decode(raw)
    # whether hidden members are named as such depends on whether they can be read at all
    expected = {"not_canonical": {"not_canonical", "duplicate"}}.get(code, {code})
    assert refused.value.code in expected


@given(TREES, st.data())
def test_a_changed_byte_is_refused_or_another_value(tree: dict[str, Any], data: st.DataObject) -> None:
    try:
        raw = canon.encode(tree)
    except CanonError:
        return
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes([data.draw(st.integers(0, 255))]) + raw[at + 1 :]
    try:
        other = canon.decode(changed)
    except CanonError:
        return
    assert canon.encode(other) == changed
    assert (json.dumps(other) == json.dumps(json.loads(raw))) == (changed == raw)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        tree = canon.decode(raw)
    except CanonError:
        return
    assert canon.encode(tree) == raw


def test_the_parser_suite_is_refused_or_read_as_rfc_8785_writes_it() -> None:
    folder = shared_data("vectors/json-parsing-suite/test_parsing")
    paths = sorted(folder.glob("*.json"))
    assert len(paths) > 300
    accepted = []
    for path in paths:
        raw = path.read_bytes()
        try:
            tree = canon.decode(raw)
        except CanonError:
            continue
        assert rfc8785.dumps(tree) == raw
        accepted.append(path.name)
    assert accepted
    assert not [name for name in accepted if name.startswith(("n_", "i_"))]


def test_the_jcs_vectors_fit_the_profile_as_published_or_are_refused() -> None:
    folder = shared_data("vectors/jcs-rfc8785/testdata")
    paths = sorted((folder / "input").glob("*.json"))
    assert len(paths) == 6
    refused = set()
    for path in paths:
        expected = (folder / "output" / path.name).read_bytes()
        assert bytes.fromhex((folder / "outhex" / path.with_suffix(".txt").name).read_text()) == expected
        value = json.loads(path.read_bytes())
        assert rfc8785.dumps(value) == expected, "the oracle itself"
        # arrays and foreign keys have no place in the profile: what is left of a vector is its values
        members = list(value.values()) if isinstance(value, dict) else value
        ours = {f"m{number}": member for number, member in enumerate(members)}
        try:
            raw = canon.encode(ours)
        except CanonError as error:
            refused.add((path.stem, error.code))
        else:
            assert raw == rfc8785.dumps(ours)
            assert all(rfc8785.dumps(member) in expected for member in members)
    assert refused == {("structures", "key"), ("values", "float")}


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_read_back(instant: datetime) -> None:
    text = canon.format_instant(instant)
    assert len(text) == len("2026-11-21T10:11:12.123456Z")
    assert canon.parse_instant(text) == instant


def test_instants_are_aware_utc_and_have_one_spelling() -> None:
    for instant in (
        datetime(2026, 11, 21, 10),  # noqa: DTZ001  a naive instant is what must be refused
        datetime(2026, 11, 21, 10, tzinfo=timezone(timedelta(hours=1))),
    ):
        with pytest.raises(CanonError, match="instant"):
            canon.format_instant(instant)
    for text in (
        "2026-11-21T10:11:12Z",
        "2026-11-21T10:11:12.123Z",
        "2026-11-21T10:11:12.123456+00:00",
        "2026-11-21 10:11:12.123456Z",
        "2026-13-21T10:11:12.123456Z",
        "2026-11-21T24:11:12.123456Z",
        "٢026-11-21T10:11:12.123456Z",
        "2026-11-21T10:11:12.123456Z\n",
        "",
    ):
        with pytest.raises(CanonError, match="instant"):
            canon.parse_instant(text)
