"""A ledger with something of everything, and the judging of changes to it."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import psycopg

from backend.audit.events import AuditEvent
from backend.audit.sequencer import Sequencer
from backend.audit.service import AuditDraft, record
from backend.audit.verification import periods, runs
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.keys import Keys
from backend.audit.verification.state import State
from backend.audit.verification.verdicts import Outcome, Verdict
from backend.clock import Clock
from backend.context import Caller
from backend.runtime import build_runtime
from backend.settings import Settings
from contract.verification import VerificationRequest
from tests.support.app import SYSTEM, AloneLead, App
from tests.support.evidence import cosign, sign, sign_heads
from tests.support.ledger import settled
from tests.support.rewriting import make_fit, whole_changes
from tests.support.tampering import Change, Connection, disarm, entry_changes, fingerprint, of_kind
from tests.support.tampering_forged import forged_changes
from tests.support.tampering_tables import table_changes
from tests.support.verifying import keys_of

_EVENTS = (AuditEvent.LOGIN_SUCCEEDED, AuditEvent.FREEZE_CREATED, AuditEvent.ALERT_RAISED, AuditEvent.SEARCH_RUN)


@dataclass
class Tampered:
    """What came of it."""

    made: Counter[str] = field(default_factory=Counter)
    """Changes that the database took, by kind."""
    missed: list[str] = field(default_factory=list)
    missed_of: Counter[str] = field(default_factory=Counter)
    false_alarms: list[str] = field(default_factory=list)
    impossible: Counter[str] = field(default_factory=Counter)
    """Changes that the database refused even to a superuser, by reason."""
    found_by: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tampered") -> None:
        """Count what came of another ledger too."""
        for name in ("made", "missed_of", "impossible", "found_by"):
            getattr(self, name).update(getattr(other, name))
        self.missed += other.missed
        self.false_alarms += other.false_alarms


def enumerated(connection: Connection, rows_each: int) -> list[Change]:
    """Every change there is."""
    of_logs = of_kind("logs as a whole", whole_changes(connection))
    return [
        *entry_changes(connection, rows_each=rows_each), *table_changes(connection, rows_each), *of_logs,
        *of_kind("rows made up", forged_changes(connection)),
    ]  # fmt: skip


@dataclass
class Harness:
    """A prepared ledger."""

    url: str
    keys: Keys
    trusted: State
    witnesses: tuple[str, ...] = ()
    """Keys of those whose cosignatures can be verified."""

    def opened(self) -> Connection:
        """A superuser's connection; rolled back at the end."""
        return psycopg.connect(self.url, options="-c timezone=UTC")

    def judge(self, connection: Connection, *, knowing: bool = True) -> Result:
        """Verify what the connection sees."""
        trusted = self.trusted if knowing else None
        return verify(connection, Plan(self.keys, trusted=trusted, witnesses=self.witnesses, patience_s=0.0))

    def run(self, connection: Connection, *, rows_each: int, share: int = 1, only: str = "") -> Tampered:
        """Make the changes, one in `share`, each taken back before the next; `only` is part of the kinds wanted."""
        result = Tampered()
        disarm(connection)
        self._alarms(connection, result)
        for change in enumerated(connection, rows_each):
            number = fingerprint(change.name)
            if number % share or only not in change.kind:
                continue
            try:
                with connection.transaction(force_rollback=True):
                    change.apply(connection)
                    # one in four as a verification that knows no earlier one
                    verdicts = self.judge(connection, knowing=number // share % 4 > 0).verdicts
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                result.impossible[type(error).__name__] += 1
                continue
            except LookupError:  # there is no ledger any more: told, and no verdict is given
                result.made[change.kind] += 1
                result.found_by["no ledger"] += 1
                continue
            except Exception as error:  # noqa: BLE001  the boundary of one verification: breaking off is no verdict
                result.made[change.kind] += 1
                result.missed_of[change.kind] += 1
                result.missed.append(f"{change.name}: no verdict, {type(error).__name__}: {error}")
                continue
            result.made[change.kind] += 1
            found = set(verdicts.failed)
            if verdicts[
                Verdict.EXTERNAL
            ].noted:  # a cosignature under another key may be a witness's new one: it is told
                found.add(Verdict.EXTERNAL)
            if not found & change.expected:
                told = {name: [one.what for one in tally.first] for name, tally in verdicts.items() if tally.first}
                result.missed_of[change.kind] += 1
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
    witnesses = (cosign(database_url),)
    keys = keys_of(app.runtime)
    with psycopg.connect(database_url, options="-c timezone=UTC") as connection:
        first = verify(connection, Plan(keys))
        assert not first.verdicts.failed, first.verdicts.to_tree()
        second = verify(connection, Plan(keys, trusted=first.state, witnesses=witnesses))
        assert all(tally.outcome is Outcome.OK for tally in second.verdicts.values()), second.verdicts.to_tree()
    return Harness(database_url, keys, second.state, witnesses)


async def put_to_rest(database_url: str) -> None:
    """Let what a backend said at its end reach the ledger, signed and witnessed: nothing moves any more."""
    runtime = build_runtime(Settings(database_url=database_url, pool_size=1))
    try:
        async with await runtime.database.dedicated("sequencer") as connection:
            while await Sequencer(runtime, AloneLead()).step(connection):
                pass
        await sign_heads(runtime, database_url)
        cosign(database_url)
    finally:
        await runtime.database.close()


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
