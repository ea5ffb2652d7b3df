"""Answers of nodes, honest and hostile: every one is a value, a failure of one call, or one named refusal."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.gate import MAX_SEQUENCE
from watchers.wire import (
    MAX_SHOWN_CHARS,
    Call,
    Failure,
    MalformedError,
    address,
    decode,
    encode,
    hash32,
    head,
    quantity,
    receipt,
    shown,
    transaction,
)

HASH = "0x" + "ab" * 32
WALLET = "0x" + "cd" * 20
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80) | st.just(HASH) | st.just("0x1"),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=20,
)


def test_a_batch_is_read_in_the_order_it_was_asked_in() -> None:
    asked = json.loads(encode([Call("a"), Call("b", (1,))]))
    assert [one["id"] for one in asked] == [0, 1]
    assert decode(b'[{"id":1,"result":"second"},{"id":0,"result":"first"}]', 2) == ["first", "second"]
    [one, other] = decode(b'[{"id":1,"error":{"code":-1,"message":"no \\u001b[31m","data":"0xD93C"}}]', 2)
    assert one == Failure("not answered")
    assert other == Failure("no ?[31m", "0xd93c")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>rate limited</html>",
        b"{}",
        b"null",
        b"[1]",
        b'[{"id":0,"result":1},{"id":0,"result":2}]',
        b'[{"id":true,"result":1}]',
        b'[{"id":"0","result":1}]',
        b'[{"id":2,"result":1}]',
        b'[{"id":-1,"result":1}]',
        b'[{"id":0},{"id":1},{"id":0}]',
        b'{"error":{"code":-32600,"message":"batches are not supported"}}',
        b"[" * 100_000,
        b'[{"id":1e999,"result":1}]',
        b"[" + b"9" * 10_000 + b"]",
        b"\xff\xfe",
    ],
)
def test_what_is_no_answer_to_the_batch_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        decode(raw, 2)


@settings(deadline=None)
@given(st.binary(max_size=200) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_crash_the_reading_of_a_batch(raw: bytes) -> None:
    with suppress(MalformedError):
        assert len(decode(raw, 3)) == 3


@settings(deadline=None)
@given(ANY_JSON)
def test_no_value_crashes_a_reader(value: Any) -> None:
    for read in (quantity, hash32, address, head):
        with suppress(MalformedError):
            assert read(value) is not None
    for about in (receipt, transaction):
        with suppress(MalformedError):
            assert (about(value, HASH) is None) == (value is None)


@pytest.mark.parametrize("value", ["0x0", "0x1", "0xFf", "0x7fffffffffffffff"])
def test_quantities_are_exact(value: str) -> None:
    assert quantity(value) == int(value, 16)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0x",
        "0x01",
        "1",
        1,
        1.0,
        True,
        None,
        "-0x1",
        "0x1 ",
        "0x1\n",
        "0x١",
        "0x8000000000000000",
        "0x" + "f" * 65,
        [],
        {},
    ],
)
def test_what_is_no_quantity_is_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        quantity(value)
    assert quantity("0x7fffffffffffffff") == MAX_SEQUENCE


def test_a_receipt_of_another_transaction_is_refused() -> None:
    own = {"transactionHash": HASH, "blockHash": HASH, "blockNumber": "0x5", "from": WALLET, "status": "0x0"}
    found = receipt(own, HASH.upper().replace("0X", "0x"))
    assert found is not None
    assert (found.block, found.sender, found.succeeded) == (5, WALLET, False)
    with pytest.raises(MalformedError):
        receipt(own, "0x" + "11" * 32)
    with pytest.raises(MalformedError):
        transaction({"hash": HASH, "from": WALLET, "nonce": "0x1"}, "0x" + "11" * 32)
    assert transaction(None, HASH) is None


@settings(deadline=None)
@given(st.text())
def test_outside_text_is_short_and_printable(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= MAX_SHOWN_CHARS
