"""Seeded changes to valid messages, for runs without atheris. Owns no parser and judges nothing."""

import random
from collections.abc import Callable, Iterator, Sequence

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
