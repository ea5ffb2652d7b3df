"""Ledger steps: the audit ledger is verified on the primary of now; nothing that was signed or witnessed is missing.

A verdict that was not given counts as none: what nobody could look at has not passed.
"""

import asyncio
from typing import Any, Final

from backend import soundness
from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds.base import At, Facts, Outcome, of_kind
from backend.continuity.kinds.patience import once_taken
from backend.policy.recovery import AnyStep, LedgerStep
from backend.soundness import Missing
from contract.verification import Verification

LOOK_EVERY_S: Final = 0.3
OPEN: Final = frozenset({"waiting", "running"})
MAY_HAVE_NOTHING: Final = frozenset({"erasure"})
"""Verdicts about things that need not be there at all: a ledger without personal values has none to look at."""
_NOTHING_SEEN: Final = "nothing was looked at"
_JOB: Final = "verification"
_MISSING: Final = "missing_entries"
_ACCOUNT_FOR_IT: Final = (
    "Two people account for the loss; no entry is appended before: watchfloor ledger restore (docs/audit-ledger.md)",
)


class LedgerKind:
    """See `Kind`."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:  # noqa: ARG002  the protocol's
        """Nobody outside who could tell that something is missing."""
        return [] if runtime.settings.witnesses.strip() else ["No witness is configured: set WATCHFLOOR_WITNESSES."]

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:  # noqa: ARG002  the protocol's
        """How much is read."""
        reach = "from the first entry on" if _own(step).full else "from the last good verification on"
        return f"Verifies the audit ledger {reach}, and compares it with what the signer and every witness hold."

    async def run(self, at: At) -> Outcome:
        """Have it verified and compare it."""
        lacks = await once_taken(at, lambda: soundness.missing(at.runtime))
        if lacks.total:
            return _short(lacks)
        done = await _verified(at)
        lacks = await once_taken(at, lambda: soundness.missing(at.runtime))  # more may have been signed meanwhile
        return _short(lacks) if lacks.total else _judged(done, lacks)

    async def undo(self, at: At, facts: Facts) -> Outcome:  # noqa: ARG002  the protocol's
        """It changed nothing; what it found missing no way back brings again."""
        if facts.get(_MISSING):
            summary = "It only read; what is missing stays missing."
            return Outcome(passed=False, summary=summary, left_to_do=_ACCOUNT_FOR_IT)
        return Outcome(passed=True, summary="It only read.")

    async def look(self, at: At, facts: Facts) -> Outcome | None:
        """A verification goes on without whoever asked for it."""
        ident = facts.get(_JOB)
        if ident is None:
            return None
        done = await _ended(at, str(ident))
        lacks = await once_taken(at, lambda: soundness.missing(at.runtime))
        return _short(lacks) if lacks.total else _judged(done, lacks)


def _own(step: AnyStep) -> LedgerStep:
    return of_kind(step, LedgerStep)


async def _verified(at: At) -> Verification:
    """A verification that was begun for this step; one that is under way for somebody else is waited for first."""
    began = at.runtime.clock.now()
    while True:
        asked = await once_taken(at, lambda: _ask(at))
        if asked.started >= began:
            await at.note({_JOB: asked.id})
            return await _ended(at, asked.id)
        at.log(f"Waits for the verification that {asked.requested_by} asked for.")
        await _ended(at, asked.id)


async def _ask(at: At) -> Verification:
    async with at.runtime.database.transaction() as session:
        return await soundness.ask_for_verification(session, at.runtime, at.caller, full=_own(at.step).full)


async def _ended(at: At, ident: str) -> Verification:
    while True:
        found = await once_taken(at, lambda: _read(at, ident))
        if found.state not in OPEN:
            return found
        if found.entries_total:
            at.progress(min(100, found.entries_done * 100 // found.entries_total))
        await asyncio.sleep(LOOK_EVERY_S)


async def _read(at: At, ident: str) -> Verification:
    async with at.runtime.database.read() as session:
        return await soundness.verification(session, ident)


def _short(lacks: Missing) -> Outcome:
    told = ", ".join(f"{count:,} of the log {log}" for log, count in sorted(lacks.entries.items()))
    entries = "1 entry is" if lacks.total == 1 else f"{lacks.total:,} entries are"
    return Outcome(
        passed=False,
        summary=f"{entries} missing that were signed or witnessed: {told}.",
        output="\n".join(lacks.faults),
        facts={_MISSING: lacks.total, "missing_by_log": dict(lacks.entries)},
        left_to_do=_ACCOUNT_FOR_IT,
    )


def _judged(done: Verification, lacks: Missing) -> Outcome:
    if done.state != "done":
        return Outcome(passed=False, summary=f"The verification broke off: {done.error or 'nobody knows why'}.")
    failed = [name for name, verdict in done.verdicts.items() if verdict.outcome == "failed"]
    unseen = [
        f"{name} ({verdict.reason})"
        for name, verdict in done.verdicts.items()
        if verdict.outcome == "not_checked" and not (name in MAY_HAVE_NOTHING and verdict.reason == _NOTHING_SEEN)
    ]
    output = _output(done, lacks)
    facts: dict[str, Any] = {
        _JOB: done.id,
        "entries": done.entries,
        "outcomes": {name: verdict.outcome for name, verdict in done.verdicts.items()},
        "heads": done.to_heads,
        _MISSING: 0,
    }
    if failed or lacks.faults:
        against = f"The verdict is against {', '.join(failed)}." if failed else lacks.faults[0]
        return Outcome(passed=False, summary=against, output=output, facts=facts)
    if unseen:
        summary = f"Not checked, so not passed: {'; '.join(unseen)}."
        return Outcome(passed=False, summary=summary, output=output, facts=facts)
    if lacks.silent:
        names = "; ".join(f"{name}: {why}" for name, why in sorted(lacks.silent.items()))
        summary = f"Nobody can say that nothing is missing: not everybody who holds heads answered. {names}"
        return Outcome(passed=False, summary=summary, output=output, facts=facts)
    summary = (
        f"{done.entries:,} entries were read, every verdict is good, and nothing that {lacks.asked} hold is missing."
    )
    return Outcome(passed=True, summary=summary, output=output, facts=facts)


def _output(done: Verification, lacks: Missing) -> str:
    told = []
    for name, verdict in done.verdicts.items():
        why = f": {verdict.reason}" if verdict.reason else ""
        told.append(f"{name}: {verdict.outcome}, {verdict.checked:,} looked at, {verdict.findings:,} findings{why}")
        told += [
            f"  {one.log} {one.seq if one.seq is not None else ''} {one.what}: {one.detail}" for one in verdict.first
        ]
    told += [f"silent: {name}: {why}" for name, why in sorted(lacks.silent.items())]
    return "\n".join([*told, *lacks.faults])
