"""Seeded changes to valid messages, for runs without atheris. Owns no parser and judges nothing."""

import random
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

import orjson

_LENGTHS = (0, 1, 7, 8, 32, 33, 64, 255, 1_024, 65_535, 262_144, 2**31 - 1, 2**31, 2**32 - 1)


def mutated(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` inputs, each a seed changed one to four times."""
    dice = random.Random(seed)  # noqa: S311  repeatable, not secret
    for _ in range(count):
        raw = dice.choice(seeds)
        for _ in range(dice.randint(1, 4)):
            raw = dice.choice(_CHANGES)(dice, raw, dice.choice(seeds))
        yield raw


def _flip(dice: random.Random, raw: bytes, _other: bytes) -> bytes:
    if not raw:
        return raw
    at = dice.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ (1 << dice.randrange(8))]) + raw[at + 1 :]


def _length(dice: random.Random, raw: bytes, _other: bytes) -> bytes:
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + dice.choice(_LENGTHS).to_bytes(4) + raw[at + 4 :]


def _cut(dice: random.Random, raw: bytes, _other: bytes) -> bytes:
    return raw[: dice.randrange(len(raw) + 1)]


def _insert(dice: random.Random, raw: bytes, _other: bytes) -> bytes:
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + dice.randbytes(dice.randint(1, 8)) + raw[at:]


def _splice(dice: random.Random, raw: bytes, other: bytes) -> bytes:
    return raw[: dice.randrange(len(raw) + 1)] + other[dice.randrange(len(other) + 1) :]


_CHANGES: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (_flip, _length, _cut, _insert, _splice)


_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 1e308, "", "4", " ", "\x00", "\x1b[31m", "[red]", "名" * 100,
    "x" * 5_000, [], {}, [[]], [None], {"": ""}, {"a": None}, "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999-23:59", "2026-02-30T00:00:00Z", "2026-01-01T00:00:60Z", "1969-12-31T23:59:59Z",
    "٢026-01-01T00:00:00Z", "firing", "resolved",
)  # fmt: skip
"""What a field may hold that nobody expects in it."""
_DEEP = 30


def mutated_json(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` inputs that are JSON, each a seed whose fields were changed one to four times."""
    dice = random.Random(seed)  # noqa: S311  repeatable, not secret
    for _ in range(count):
        whole = orjson.loads(dice.choice(seeds))
        for _ in range(dice.randint(1, 4)):
            _change_field(dice, whole)
        yield orjson.dumps(whole)


def _change_field(dice: random.Random, whole: Any) -> None:
    """Change one field of a tree, rather a deep one, in place."""
    at = whole
    while True:
        fields: list[Any] = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not fields:
            return
        field = dice.choice(fields)
        if not isinstance(at[field], dict | list) or dice.random() < 0.2:
            break
        at = at[field]
    match dice.randrange(5):
        case 0:
            del at[field]
        case 1 if isinstance(at, list):
            at.insert(field, at[field])
        case 1:
            at[f"{field}{dice.randrange(9)}"] = at[field]
        case 2:
            for _ in range(dice.randrange(_DEEP)):
                at[field] = [at[field]]
        case _:
            at[field] = deepcopy(dice.choice(_ODD))
