"""Owns what is summed over trades: the columns that the hourly sums, their readers and the writer share. Pure."""

from dataclasses import dataclass, fields
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over some trades; ETH. What is unknown is counted, never added as 0."""

    trades: int
    profit_eth: Decimal
    profit_unknown: int
    gas_eth: Decimal
    gas_unknown: int
    succeeded: int
    failed: int


SUMMED = tuple(field.name for field in fields(Sums))
"""The columns in the order in which a row of sums is read."""
