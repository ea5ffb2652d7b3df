"""What a verification makes of entries that are on their way while it reads."""

import pytest

from backend.audit.sequencer import Sequencer
from backend.audit.service import AuditDraft, record
from backend.audit.verification.check import Plan, verify
from backend.audit.verification.verdicts import Verdict
from backend.db import before_commit
from tests.support.app import SYSTEM, AloneLead, App, started_app
from tests.support.verifying import keys_of, opened

SLOW_LOG, QUICK_LOG = "7y", "3y"
SLOW, QUICK = AuditDraft("freeze.hold.created", "freeze"), AuditDraft("executors.process.moved", "move")


class _TurnedDownError(Exception):
    """The act is not done after all."""


async def _record(app: App, draft: AuditDraft, *, turned_down: bool = False) -> None:
    async with app.runtime.database.transaction() as session:
        await record(session, app.runtime, SYSTEM, draft)
        if turned_down:
            before_commit(session, _turn_down)


async def _turn_down() -> None:
    raise _TurnedDownError


async def test_a_number_that_is_void_by_an_entry_still_in_the_outbox_is_not_called_missing(database_url: str) -> None:
    async with started_app(database_url, sequence=False) as app:
        with pytest.raises(_TurnedDownError):
            await _record(app, QUICK, turned_down=True)
        await _record(app, SLOW)  # tells that the first number is void
        await _record(app, QUICK)  # builds on that, and is in the ledger first
        sequencer = Sequencer(app.runtime, AloneLead())
        sequencer._set_back[SLOW_LOG] = app.runtime.clock.monotonic() + 3600
        async with await app.runtime.database.dedicated("sequencer") as connection:
            await sequencer.step(connection)
        with opened(database_url) as reader:
            found = verify(reader, Plan(keys_of(app.runtime), patience_s=0.0)).verdicts[Verdict.COMPLETENESS]
        assert [one.what for one in found.first] == ["waiting"]
