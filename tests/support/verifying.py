"""Verifying a ledger from within a test, with the keys of an application under test."""

from collections.abc import Sequence
from typing import Any

import psycopg

from backend.audit.events import AuditEvent
from backend.audit.sequencer import Sequencer
from backend.audit.service import AuditDraft, record
from backend.audit.verification.check import Result
from backend.audit.verification.keys import Keys, Opened, WrappedKey
from backend.audit.verification.process import open_keys
from backend.audit.verification.verdicts import Verdict
from backend.context import Caller, Runtime
from tests.support.app import AloneLead, App


def keys_of(runtime: Runtime) -> Keys:
    """What a verification needs; opens subjects' keys as the backend does for its worker."""

    def opener(wrapped: Sequence[WrappedKey]) -> list[Opened]:
        return _awaited(runtime, wrapped)

    ring = runtime.keyring
    return Keys(opener, ring.blinding, ring.outbox, ring.verification)


def _awaited(runtime: Runtime, wrapped: Sequence[WrappedKey]) -> list[Opened]:
    """Run what never really waits with a file of keys: also where a loop runs already, which cannot be re-entered."""
    opening = open_keys(runtime.keyring.master, wrapped)
    try:
        opening.send(None)
    except StopIteration as ended:
        found: list[Opened] = ended.value
        return found
    raise AssertionError("a master key in a file is not waited for")


def opened(url: str) -> psycopg.Connection[Any]:
    """A connection as a verification uses it."""
    return psycopg.connect(url, autocommit=True, options="-c timezone=UTC")


async def act(app: App, number: int = 0) -> None:
    """Record an act of a person, with two personal values."""
    who = Caller("olga", "user", "mev_operator", frozenset(), "req-1", ip="192.0.2.7", user_agent="test")
    async with app.runtime.database.transaction() as session:
        draft = AuditDraft(AuditEvent.FREEZE_CREATED, "look", "thing", f"{number}", new_value={"n": number})
        await record(session, app.runtime, who, draft)


async def sequence_once(app: App) -> None:
    """Have the sequencer take what waits now, where none runs by itself."""
    async with await app.runtime.database.dedicated("test") as connection:
        await Sequencer(app.runtime, AloneLead()).guarded_step(connection)


def findings(result: Result, verdict: Verdict) -> set[str]:
    """The words of what one verdict found."""
    return {one.what for one in result.verdicts[verdict].first}
