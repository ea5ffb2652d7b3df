"""A ledger with something of everything, and the judging of changes to it."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import psycopg

from backend.audit.events import AuditEvent
from backend.audit.service import AuditDraft, record
from backend.audit.verification import periods, runs
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.people import Keys
from backend.audit.verification.state import State
from backend.audit.verification.verdicts import Outcome, Verdict
from backend.clock import Clock
from backend.context import Caller
from contract.verification import VerificationRequest
from tests.support.app import SYSTEM, AloneLead, App
from tests.support.evidence import sign
from tests.support.ledger import settled
from tests.support.rewriting import make_fit, whole_changes
from tests.support.tampering import Connection, changes, disarm, fingerprint

_EVENTS = (AuditEvent.LOGIN_SUCCEEDED, AuditEvent.FREEZE_CREATED, AuditEvent.ALERT_RAISED, AuditEvent.SEARCH_RUN)


@dataclass
class Tampered:
    """What came of it."""

    made: int = 0
    missed: list[str] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)
    impossible: Counter[str] = field(default_factory=Counter)
    """Changes that the database refused even to a superuser, by reason."""
    found_by: Counter[str] = field(default_factory=Counter)


@dataclass
class Harness:
    """A prepared ledger."""

    url: str
    keys: Keys
    trusted: State

    def opened(self) -> Connection:
        """A superuser's connection; rolled back at the end."""
        return psycopg.connect(self.url, options="-c timezone=UTC")

    def judge(self, connection: Connection, *, knowing: bool = True) -> Result:
        """Verify what the connection sees."""
        return verify(connection, Plan(self.keys, trusted=self.trusted if knowing else None))

    def run(self, connection: Connection, *, rows_each: int, share: int = 1) -> Tampered:
        """Make the changes, one in `share`, each taken back before the next."""
        result = Tampered()
        disarm(connection)
        self._alarms(connection, result)
        for change in [*changes(connection, rows_each=rows_each), *whole_changes(connection)]:
            number = fingerprint(change.name)
            if number % share:
                continue
            try:
                with connection.transaction(force_rollback=True):
                    change.apply(connection)
                    # one in four as a verification that knows no earlier one
                    verdicts = self.judge(connection, knowing=number // share % 4 > 0).verdicts
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                result.impossible[type(error).__name__] += 1
                continue
            result.made += 1
            found = set(verdicts.failed)
            if not found & change.expected:
                told = {name: [one.what for one in tally.first] for name, tally in verdicts.items() if tally.first}
                result.missed.append(f"{change.name}: expected {sorted(change.expected)}, found {told}")
            result.found_by.update(verdict.value for verdict in found)
        self._alarms(connection, result)
        return result

    def _alarms(self, connection: Connection, result: Tampered) -> None:
        for knowing in (True, False):
            judged = self.judge(connection, knowing=knowing)
            for verdict in judged.verdicts.failed:
                result.false_alarms.append(f"{verdict}: {judged.verdicts[verdict].first}")

    def rewritten_unseen(self, connection: Connection) -> bool:
        """Rewrite a ledger with everything that could tell removed; whether it is then called vouched for."""
        disarm(connection)
        for table in ("audit_periods", "audit_verifications", "audit_checkpoints", "audit_epochs", "audit_sealed"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608  constants
        for log, size in connection.execute("SELECT log, size FROM audit_heads").fetchall():
            half = size // 2
            connection.execute("DELETE FROM audit_entries WHERE log = %s AND seq >= %s", (log, half))
            make_fit(connection, log, half)
        unknowing = self.judge(connection, knowing=False).verdicts[Verdict.EXTERNAL].outcome is Outcome.OK
        knowing = Verdict.LINKAGE not in self.judge(connection).verdicts.failed
        return unknowing or knowing


def _caller(name: str) -> Caller:
    return Caller(name, "user", "mev_operator", frozenset(), "req-1", ip="192.0.2.7", user_agent="test")


async def prepared(app: App, database_url: str, *, acts: int) -> Harness:
    """Make the ledger: entries of people and machines in every log, periods, signed heads, a kept run, quarantine."""
    for number in range(acts):
        async with app.runtime.database.transaction() as session:
            text = 'say "so" \\ to' if number % 5 == 0 else "look"
            draft = AuditDraft(_EVENTS[number % 4], text, "thing", f"{number}", new_value={"n": number})
            await record(session, app.runtime, _caller("olga") if number % 3 else SYSTEM, draft)
    await _quarantine(database_url)
    await settled(app)
    later = app.runtime.clock.now() + timedelta(days=2)
    async with app.runtime.database.transaction() as session:
        await periods.seal_due(session, replace(app.runtime, clock=Clock(now=lambda: later)))
    await settled(app)
    await _verified(app)
    await settled(app)
    await sign(app, database_url)
    keys = Keys(app.runtime.keyring.wrapping, app.runtime.keyring.blinding)
    with psycopg.connect(database_url, options="-c timezone=UTC") as connection:
        first = verify(connection, Plan(keys))
        assert not first.verdicts.failed, first.verdicts.to_tree()
        second = verify(connection, Plan(keys, trusted=first.state))
        assert all(tally.outcome is Outcome.OK for tally in second.verdicts.values()), second.verdicts.to_tree()
    return Harness(database_url, keys, second.state)


async def _quarantine(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            "INSERT INTO audit_outbox (id, log, canon, mac, emitted_at)"
            " VALUES (gen_random_uuid(), '7y', 'not an entry', 'no mac', now())"
        )


async def _verified(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        job = await runs.request(session, app.runtime, SYSTEM, VerificationRequest(full=True))
        ident: UUID = job.id
    await runs.carry_out(app.runtime, AloneLead(), ident)
