"""Canary steps: trades are stored and read back, and executors that had a permit before the drill hold one again.

The canaries are marked, so that no sum, no rule and no feed counts them (see `backend.transactions.canaries`).
"""

import asyncio
from datetime import datetime
from functools import partial
from typing import Final

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds.base import At, Facts, Outcome, of_kind
from backend.continuity.kinds.patience import once_taken
from backend.executors import service as executors
from backend.executors.service import Permits
from backend.policy.recovery import AnyStep, CanaryStep
from backend.transactions import service as transactions

LOOK_EVERY_S: Final = 0.5
_NONCE_BYTES: Final = 8
_NAMES_SHOWN: Final = 10
_EVERY_ONE_PERCENT: Final = 100


class CanaryKind:
    """See `Kind`."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:  # noqa: ARG002  the protocol's
        """None that could be told without trying."""
        return []

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:  # noqa: ARG002  the protocol's
        """How many trades, and how many executors."""
        own = _own(step)
        return (
            f"Stores {own.transactions} canary transactions, which nothing counts, and reads them back; waits until"
            f" {own.executors_percent} % of the executors that had a permit before hold one again."
        )

    async def run(self, at: At) -> Outcome:
        """Store, read back, then wait for the permits."""
        own = _own(at.step)
        nonce = at.runtime.clock.random_bytes(_NONCE_BYTES).hex()
        hashes = [f"{at.drill}-{nonce}-{number}" for number in range(1, own.transactions + 1)]
        await at.note({"canaries": nonce})
        await once_taken(at, lambda: _store(at, hashes))
        there = await once_taken(at, lambda: _count(at, hashes))
        at.log(f"{there} of {len(hashes)} canary transactions were read back.")
        if there != len(hashes):
            summary = f"{len(hashes)} canary transactions were stored, and {there} are there."
            return Outcome(passed=False, summary=summary, facts={"stored": len(hashes), "read_back": there})
        permits = await _permits(at, own.executors_percent)
        facts = {"stored": len(hashes), "read_back": there, "had_permit": permits.had, "hold_permit": permits.holding}
        summary = f"{there} canary transactions were stored and read back; {_told(permits)}."
        return Outcome(passed=True, summary=summary, facts=facts)

    async def undo(self, at: At, facts: Facts) -> Outcome:  # noqa: ARG002  the protocol's
        """Nothing stored is ever taken back, and nothing counts these."""
        return Outcome(passed=True, summary="The canary transactions stay, marked; nothing counts them.")

    async def look(self, at: At, facts: Facts) -> Outcome | None:  # noqa: ARG002  the protocol's
        """Whether all was over nobody knows: it may be done again."""
        return None


def _own(step: AnyStep) -> CanaryStep:
    return of_kind(step, CanaryStep)


async def _store(at: At, hashes: list[str]) -> None:
    async with at.runtime.database.transaction() as session:
        await transactions.store_canaries(session, at.runtime, at.caller, drill=at.drill, hashes=hashes)


async def _count(at: At, hashes: list[str]) -> int:
    async with at.runtime.database.read() as session:
        return await transactions.canaries_stored(session, hashes)


async def _permits(at: At, percent: int) -> Permits:
    """Wait until enough executors hold a permit; the engine ends it when time is over."""
    heard: datetime | None = None
    said = ""
    while True:
        found = await once_taken(at, partial(_read, at, heard))
        heard = heard or found.now
        wanted = -(-(found.had - found.frozen) * percent // _EVERY_ONE_PERCENT)
        if found.holding >= wanted and heard != found.now:
            return found
        if (now := _told(found)) != said:
            at.log(f"Waits for permits: {now}.")
            said = now
        at.progress(100 if not wanted else min(100, found.holding * 100 // wanted))
        await asyncio.sleep(LOOK_EVERY_S)


async def _read(at: At, heard: datetime | None) -> Permits:
    async with at.runtime.database.read() as session:
        # the first look only asks for the time: what was reported before it may be of before the failover
        return await executors.permits_since(session, at.runtime, at.drill_began_at, heard=heard)


def _told(permits: Permits) -> str:
    if not permits.had:
        return "no executor had a permit before"
    frozen = f", {permits.frozen} are frozen" if permits.frozen else ""
    names = ", ".join(permits.without[:_NAMES_SHOWN])
    more = len(permits.without) - _NAMES_SHOWN
    rest = f"; without: {names}{f' and {more} more' if more > 0 else ''}" if names else ""
    return f"{permits.holding} of {permits.had} executors that had a permit hold one again{frozen}{rest}"
