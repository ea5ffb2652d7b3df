"""The shape of entries: what is read back, what is refused, and cutting the index out of hostile bytes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import canon, entry
from ledger.canon import CanonError
from ledger.entry import INDEX_FIELDS, Detail, Emitter, Entry, Index

WHEN = datetime(2026, 11, 21, 10, 11, 12, 345678, tzinfo=UTC)
EMITTER = Emitter(boot="b1", n=7, node="backend-1", settled=5, void=(3, 4))
TRAPS = st.lists(
    st.sampled_from(
        [',"index":{', "index", '"', "\\", ",", ":", "{", "}", '},"v":1}', '"index":{"action":"x"}', "a", "é"]
    ),
    max_size=8,
).map("".join)
NESTED_TRAP = st.recursive(
    TRAPS | st.none() | st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["index", "v", "body", "z"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def made(**changes: Any) -> Entry:
    known: dict[str, Any] = {
        "id": "e1", "log": "y7", "occurred_at": WHEN, "event_type": "hold.placed", "category": "security",
        "action": "freeze", "outcome": "success", "emitter": EMITTER,
    }  # fmt: skip
    return entry.build(**(known | changes))


def test_an_entry_has_exactly_this_form() -> None:
    one = made(actor="p1", detail=Detail(new_value={"state": "frozen"}), sealed={"ip": bytes(32)})
    assert one.to_canon().decode() == (
        '{"body":{"actor_role":null,"detail":{"error_message":null,"metadata":null,"new_value":{"state":"frozen"},'
        '"old_value":null},"emitter":{"boot":"b1","n":7,"node":"backend-1","settled":5,"void":[3,4]},'
        '"sealed":{"ip":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}},'
        '"index":{"action":"freeze","actor":"p1","actor_type":null,"category":"security","event_type":"hold.placed",'
        '"id":"e1","incident":null,"log":"y7","occurred_at":"2026-11-21T10:11:12.345678Z","outcome":"success",'
        '"request_id":null,"resource_id":null,"resource_type":null},"v":1}'
    )


def test_the_index_fields_are_sorted_as_their_bytes_are() -> None:
    assert list(INDEX_FIELDS) == sorted(INDEX_FIELDS)
    assert len(INDEX_FIELDS) == 13


@given(TRAPS, NESTED_TRAP, NESTED_TRAP, st.sampled_from(INDEX_FIELDS), TRAPS)
def test_hostile_text_never_misleads_the_cut(actor: str, first: Any, second: Any, name: str, text: str) -> None:
    one = made(
        actor=actor, request_id=text, actor_role=text, resource_id=f"{actor},",
        detail=Detail(metadata={name: first, "index": {"index": second}}, old_value=second, error_message=actor),
    )  # fmt: skip
    try:
        raw = one.to_canon()
    except CanonError:  # nested too deeply
        return
    fragment = entry.index_fragment(raw)
    assert fragment == one.index.to_canon()
    assert json.loads(fragment) == json.loads(raw)["index"]
    assert Entry.from_canon(raw) == one
    assert entry.parse(raw) == json.loads(raw)


def tree() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made(sealed={"ip": bytes(32)}).to_canon())
    return found


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["v"], 2), (["v"], True), (["v"], "1"), (["w"], 1), (["body"], []), (["body", "extra"], 1),
        (["body", "actor_role"], 5), (["body", "detail"], None), (["body", "detail", "more"], 1),
        (["body", "detail", "error_message"], {}), (["body", "emitter"], "x"), (["body", "emitter", "boot"], ""),
        (["body", "emitter", "node"], 5), (["body", "emitter", "n"], 0), (["body", "emitter", "n"], True),
        (["body", "emitter", "settled"], -1), (["body", "emitter", "void"], {}), (["body", "emitter", "void"], ["1"]),
        (["body", "sealed"], []), (["body", "sealed", "ip"], "AA=="), (["body", "sealed", "ip"], 5),
        (["body", "sealed", "ip"], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="), (["index"], {}), (["index"], "x"),
        (["index", "more"], "x"), (["index", "actor"], 5), (["index", "actor"], {"index": "x"}), (["index", "id"], ""),
        (["index", "log"], None), (["index", "outcome"], None), (["index", "occurred_at"], None),
    ],
)  # fmt: skip
def test_another_shape_is_refused(place: list[str], value: Any) -> None:
    changed = tree()
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises(CanonError) as refused:
        Entry.from_canon(canon.encode(changed))
    assert refused.value.code == "shape"
    assert refused.value.path.startswith("$")


def test_a_time_in_another_form_is_refused() -> None:
    changed = tree()
    changed["index"]["occurred_at"] = "2026-11-21T10:11:12Z"
    with pytest.raises(CanonError, match="instant"):
        Entry.from_canon(canon.encode(changed))


@pytest.mark.parametrize("missing", ["body", "index", "v"])
def test_a_missing_part_is_refused(missing: str) -> None:
    changed = tree()
    del changed[missing]
    with pytest.raises(CanonError, match="shape"):
        Entry.from_canon(canon.encode(changed))


@given(st.binary(max_size=200))
def test_bytes_without_an_index_are_refused(raw: bytes) -> None:
    for read in (entry.index_fragment, Entry.from_canon):
        with pytest.raises(CanonError):
            read(raw)


@given(st.dictionaries(st.sampled_from(["body", "index", "v"]), NESTED_TRAP))
def test_reading_any_tree_fails_only_in_words(value: dict[str, Any]) -> None:
    with pytest.raises(CanonError):
        Entry.from_canon(canon.encode(value))


def test_the_index_alone_encodes_as_in_its_entry() -> None:
    one = made(actor="p1")
    assert isinstance(one.index, Index)
    assert entry.index_fragment(one.to_canon()) == one.index.to_canon()
