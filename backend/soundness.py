"""What others ask of the audit ledger's soundness: a verification, and whether anything that was signed or witnessed is
missing. Stands between the ledger's rooms and who asks; owns no rule and no table.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.faults import open_faults
from backend.audit.heads.configured import signer_of, witnesses_of
from backend.audit.heads.holding import Held, gather, known_of
from backend.audit.heads.status import head_status
from backend.audit.tables import Ledger, LedgerHead
from backend.audit.verification import runs
from backend.context import Caller, Runtime
from contract.verification import Verification, VerificationRequest


@dataclass(frozen=True, slots=True)
class Missing:
    """What signer and witnesses hold and the database does not have."""

    entries: Mapping[str, int]
    """By log; only of those that lack some."""
    asked: int
    """How many of them answered."""
    silent: Mapping[str, str]
    """Who did not answer or was not believed, and why."""
    faults: tuple[str, ...] = ()
    """What the ledger itself has written down and nobody has resolved, a sentence each."""

    @property
    def total(self) -> int:
        """In all logs."""
        return sum(self.entries.values())


async def ask_for_verification(session: AsyncSession, runtime: Runtime, caller: Caller, *, full: bool) -> Verification:
    """Ask for a verification; one that is under way is joined instead, whatever it reads."""
    job = await runs.request(session, runtime, caller, VerificationRequest(full=full))
    await session.flush()
    return (await runs.shown(session, job))[0]


async def verification(session: AsyncSession, ident: str) -> Verification:
    """How far a verification is, or how it ended.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    return (await runs.shown(session, await runs.find(session, ident)))[0]


async def missing(runtime: Runtime) -> Missing:
    """Ask the signer and every witness, and compare with the database.

    Raises:
        ConfigurationError: the witnesses are named wrongly.
    """
    async with runtime.database.read() as session:
        known = await known_of(session, runtime)
    if known is None:
        return Missing({}, 0, {"the ledger": "The database holds none."})
    signer, witnesses = signer_of(runtime.settings), witnesses_of(runtime.settings)
    try:
        held = await gather(known, signer, witnesses)
    finally:
        for party in (signer, *witnesses):
            await party.close()
    async with runtime.database.read() as session:
        lacks = await _lacks(session, held)
        faults = await open_faults(session)
    for fault in faults:  # it may have grown again since
        if fault.kind == "smaller":
            lacks[fault.log] = max(lacks.get(fault.log, 0), fault.witnessed_size - fault.own_size)
    asked = 1 + len(witnesses) - len(held.problems)
    return Missing(lacks, asked, dict(held.problems), tuple(str(fault) for fault in faults))


async def _lacks(session: AsyncSession, held: Held) -> dict[str, int]:
    """How much shorter logs are than heads of the present generation; a restore accounts for older ones."""
    generation = await session.scalar(select(Ledger.generation))
    sizes = {row.log: row.size for row in await session.scalars(select(LedgerHead))}
    lacks: dict[str, int] = {}
    for one in held.evidence:
        short = one.head.size - sizes.get(one.origin.log, 0)
        if one.origin.generation == generation and short > 0:
            lacks[one.origin.log] = max(lacks.get(one.origin.log, 0), short)
    return lacks


async def standing(session: AsyncSession, runtime: Runtime) -> tuple[bool, str]:
    """Whether nothing is held against the ledger and somebody outside holds its heads, and how it stands in words."""
    status = await head_status(session, runtime)
    failed = await runs.unanswered_failure(session)
    if failed is not None:
        against = ", ".join(sorted(name for name, one in failed.verdicts.items() if one["outcome"] == "failed"))
        after = "once the cause is found and accounted for (docs/audit-ledger.md)"
        return False, f"The last verification failed: {against}. `watchfloor audit verify` {after} settles it."
    sound = not status.faults and status.signer.problem is None and status.working >= status.required
    # without a head that somebody holds, a drill's own check of the ledger would have nothing to compare with
    return sound and not status.unheld, status.sentence()
