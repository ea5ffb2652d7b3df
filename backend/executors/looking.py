"""One read of everything that permits depend on: one statement, one snapshot. Nothing of it outlives its batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from backend.freeze import service as freeze
from backend.roster import service as roster
from contract.gate import RenewRequest

_LOOK: Final = (
    f"SELECT clock_timestamp(), pg_is_in_recovery(), {freeze.EPOCH_SQL}, {freeze.HOLDS_SQL}, {roster.ODD_SQL},"
    f" {freeze.CHECK_INS_SQL}"
)


class UntrustworthyReadError(Exception):
    """What answered is not the database that freezes are committed to, or an older state of it."""


@dataclass(frozen=True, slots=True)
class Look:
    """The freeze state at one instant of the database's clock, and which of the asking processes are odd."""

    now: datetime
    epoch: int
    holds: tuple[freeze.Hold, ...]
    odd: Mapping[int, roster.Odd]
    check_ins: Mapping[str, Any]
    """The last one of every other backend."""


class Looker:
    """Reads, and spares itself the parsing of holds that read the same as last time."""

    def __init__(self, boot: str) -> None:
        """`boot`: this backend process; nobody waits for itself."""
        self._me = boot
        self._text: str | None = None
        self._holds: tuple[freeze.Hold, ...] = ()
        self._epoch = 0

    async def look(self, connection: psycopg.AsyncConnection[Any], requests: Sequence[RenewRequest]) -> Look:
        """Read the state, by a statement that begins after everybody who is asking has asked.

        Raises:
            psycopg.Error: the database does not answer, or not in time.
            UntrustworthyReadError: a standby answers, or a database that was put back to an older state.
        """
        cursor = await connection.execute(_LOOK, {**roster.asking(requests), "me": self._me}, prepare=True)
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101  a SELECT without FROM gives one row
        now, in_recovery, epoch, holds, odd, check_ins = row
        if in_recovery:
            raise UntrustworthyReadError("a standby answers")
        if epoch < self._epoch:
            raise UntrustworthyReadError(f"the epoch fell from {self._epoch} to {epoch}")
        if holds != self._text:
            self._text, self._holds = holds, freeze.read_holds(holds)
        self._epoch = epoch
        return Look(now=now, epoch=epoch, holds=self._holds, odd=roster.read_odd(odd), check_ins=check_ins or {})
