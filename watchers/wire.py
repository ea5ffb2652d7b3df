"""What an EVM node's JSON-RPC answers mean, pure. Owns the refusal of all that was not asked for.

Does no I/O. Whatever a node sends, the outcome is a value, a failure of one call, or `MalformedError`; never a crash.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from contract.gate import MAX_SEQUENCE

MAX_SHOWN_CHARS: Final = 120
MAX_CALLS: Final = 90
"""Of one batch: public nodes take a hundred."""
PAUSED: Final = "0x5c975abb"
"""Selector of `paused()`."""
_YES, _NO = f"0x{1:064x}", f"0x{0:064x}"
_QUANTITY = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]{0,63})", re.IGNORECASE | re.ASCII)
_HASH = re.compile(r"0x[0-9a-f]{64}", re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.IGNORECASE | re.ASCII)
_DATA = re.compile(r"0x(?:[0-9a-f]{2})*", re.IGNORECASE | re.ASCII)


class MalformedError(ValueError):
    """A node's answer is not what the question allows."""


@dataclass(frozen=True, slots=True)
class Call:
    """One question of a batch."""

    method: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """One call of a batch that has no result."""

    message: str
    data: str = ""
    """What a contract gave as its reason, in hexadecimal."""


Outcome = Any
"""A result as JSON gives it, or a `Failure`."""


def encode(calls: Sequence[Call]) -> bytes:
    """Write a batch; the place of a call is its id."""
    batch = [
        {"jsonrpc": "2.0", "id": number, "method": call.method, "params": list(call.params)}
        for number, call in enumerate(calls)
    ]
    return orjson.dumps(batch)


def decode(raw: bytes, count: int) -> list[Outcome]:
    """Read the answer to a batch, in the order of its calls however the node ordered it.

    Raises:
        MalformedError: it is no answer to a batch of that many calls.
    """
    try:
        answer = orjson.loads(raw)
    except ValueError as error:
        raise MalformedError("the answer is not JSON") from error
    if isinstance(answer, dict) and "error" in answer:
        raise MalformedError(f"the batch was refused: {_failure(answer['error']).message}")
    if not isinstance(answer, list):
        raise MalformedError("the answer is not a batch")
    if len(answer) > count:
        raise MalformedError("more answers than questions")
    outcomes: list[Outcome] = [Failure("not answered")] * count
    seen: set[int] = set()
    for one in answer:
        number = one.get("id") if isinstance(one, dict) else None
        if type(number) is not int or not 0 <= number < count or number in seen:
            raise MalformedError("an answer to nothing that was asked")
        seen.add(number)
        outcomes[number] = _outcome(one)
    return outcomes


def _outcome(one: dict[str, Any]) -> Outcome:
    if "error" in one and one["error"] is not None:
        return _failure(one["error"])
    return one["result"] if "result" in one else Failure("neither result nor error")


def _failure(error: object) -> Failure:
    if not isinstance(error, dict):
        return Failure("an error without words")
    message, data = error.get("message"), error.get("data")
    words = shown(message) if isinstance(message, str) and message else "an error without words"
    return Failure(words, data.lower() if isinstance(data, str) and _DATA.fullmatch(data) else "")


def shown(text: str) -> str:
    """Outside text that may be printed: no control characters, no length."""
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_SHOWN_CHARS])


def quantity(value: Outcome, limit: int = MAX_SEQUENCE) -> int:
    """Read a number as nodes spell it, exactly.

    Raises:
        MalformedError: it is none, or beyond the limit.
    """
    if isinstance(value, Failure):
        raise MalformedError(value.message)
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise MalformedError("not a number")
    number = int(value, 16)
    if number > limit:
        raise MalformedError("a number that cannot be")
    return number


def hash32(value: Outcome) -> str:
    """Read a hash, in lower case.

    Raises:
        MalformedError: it is none.
    """
    if isinstance(value, Failure):
        raise MalformedError(value.message)
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise MalformedError("not a hash")
    return value.lower()


def data(value: Outcome) -> str:
    """Read bytes, as lower-case hexadecimal.

    Raises:
        MalformedError: they are none.
    """
    if isinstance(value, Failure):
        raise MalformedError(value.message)
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise MalformedError("not bytes")
    return value.lower()


def yes_or_no(value: Outcome) -> bool:
    """Read what a contract answers to a question that has two answers.

    Raises:
        MalformedError: it answers something else, or nothing.
    """
    said = data(value)
    if said not in {_YES, _NO}:
        raise MalformedError("neither yes nor no")
    return said == _YES


def address(value: Outcome) -> str:
    """Read an address, in lower case.

    Raises:
        MalformedError: it is none.
    """
    if isinstance(value, Failure):
        raise MalformedError(value.message)
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise MalformedError("not an address")
    return value.lower()


def is_address(text: str) -> bool:
    """Whether a wallet's name is an address of such a chain."""
    return _ADDRESS.fullmatch(text) is not None


def is_hash(text: str) -> bool:
    """Whether something in flight is named by a transaction's hash."""
    return _HASH.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block that a node knows."""

    number: int
    hash: str
    at: int
    """Unix seconds, as the block says."""
    base_fee_wei: int | None = None
    """None on a chain without EIP-1559."""


def head(value: Outcome) -> Head:
    """Read a block without its transactions.

    Raises:
        MalformedError: it is none.
    """
    if isinstance(value, Failure):
        raise MalformedError(value.message)
    if not isinstance(value, dict):
        raise MalformedError("not a block")
    fee = value.get("baseFeePerGas")
    return Head(
        number=quantity(value.get("number")),
        hash=hash32(value.get("hash")),
        at=quantity(value.get("timestamp")),
        base_fee_wei=None if fee is None else quantity(fee, limit=2**128),
    )


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction that is in a block."""

    block: int
    sender: str
    succeeded: bool


def paused_call(contract: str, at: Head) -> Call:
    """Ask whether a contract is paused at a block."""
    return Call("eth_call", ({"to": contract, "data": PAUSED}, hex(at.number)))


def receipt(value: Outcome, ident: str) -> Receipt | None:
    """Read the receipt of a transaction; None while it has none.

    Raises:
        MalformedError: it is something else, or the receipt of another one.
    """
    if value is None:
        return None
    if isinstance(value, Failure):
        raise MalformedError(value.message)
    if not isinstance(value, dict) or hash32(value.get("transactionHash")) != ident.lower():
        raise MalformedError("not the receipt that was asked for")
    hash32(value.get("blockHash"))
    status = value.get("status")
    succeeded = status is None or quantity(status) == 1  # before Byzantium receipts had none
    return Receipt(quantity(value.get("blockNumber")), address(value.get("from")), succeeded)


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that a node knows, in the pool or in a block."""

    sender: str
    nonce: int


def transaction(value: Outcome, ident: str) -> Sent | None:
    """Read a transaction; None if the node does not know it.

    Raises:
        MalformedError: it is something else, or another one.
    """
    if value is None:
        return None
    if isinstance(value, Failure):
        raise MalformedError(value.message)
    if not isinstance(value, dict) or hash32(value.get("hash")) != ident.lower():
        raise MalformedError("not the transaction that was asked for")
    return Sent(address(value.get("from")), quantity(value.get("nonce")))
