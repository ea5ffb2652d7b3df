"""The steps of a ledger's path, each of which can be held so that a blow falls exactly there.

Inside the database a step is a trigger that waits for an advisory lock, which is free unless somebody holds the gate.
The step after a commit is reached by making commits wait for a standby that does not exist: they are durable, and
nobody has been told.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

_Connection = psycopg.Connection[tuple[Any, ...]]

_CLASS: Final = 7331
"""Of the advisory locks; the product's own are hashes of 64 bits."""
WAIT_S: Final = 12.0
"""Somebody comes by most gates within a second; after a blow a lease has to run out first."""
_POLL_S: Final = 0.002
_RELOAD_S: Final = 0.1
"""Every process of the server has read its configuration by then."""


@dataclass(frozen=True)
class Step:
    """One step, and where it can be held."""

    name: str
    number: int
    table: str = ""
    timing: str = ""
    """Of the trigger; empty for a commit that is durable and not answered."""
    commit: bool = False
    """Held in the COMMIT itself."""
    sequencer: bool = False
    """Only the sequencer's own commits count."""


STEPS: Final = (
    Step("writing an entry", 1, "audit_outbox", "INSERT"),
    Step("in the commit of an entry", 2, "audit_outbox", "INSERT", commit=True),
    Step("entry committed, nobody told", 3),
    Step("taking from the outbox", 4, "audit_outbox", "DELETE"),
    Step("in the COPY", 5, "audit_entries", "INSERT"),
    Step("storing a tree node", 6, "audit_nodes", "INSERT"),
    Step("before the head moves", 7, "audit_heads", "UPDATE"),
    Step("head moved, in the commit", 8, "audit_heads", "UPDATE", commit=True),
    Step("batch committed, sequencer not told", 9, sequencer=True),
    Step("head signed, not kept", 10, "audit_checkpoints", "INSERT"),
    Step("head witnessed, receipt not kept", 11, "audit_cosignatures", "INSERT"),
    Step("keeping a verification", 12, "audit_verifications", "INSERT"),
    Step("keeping where a verification stands", 13, "audit_verification_state", "INSERT"),
)
_TAKING: Final = STEPS[3]


def _trigger(step: Step) -> str:
    kind = "CONSTRAINT TRIGGER" if step.commit else "TRIGGER"
    when = "AFTER" if step.commit else "BEFORE"
    late = "DEFERRABLE INITIALLY DEFERRED" if step.commit else ""
    return (
        f"CREATE {kind} a_gate_{step.number} {when} {step.timing} ON {step.table} {late}"
        f" FOR EACH ROW EXECUTE FUNCTION soak_gate({step.number});"
    )


GATES: Final = f"""
CREATE FUNCTION soak_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({_CLASS}, TG_ARGV[0]::int);
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
""" + "\n".join(_trigger(step) for step in STEPS if step.table)
"""What makes the steps of a migrated database holdable."""

_AT_GATE: Final[LiteralString] = """
SELECT session.pid, session.usename FROM pg_locks AS lock JOIN pg_stat_activity AS session USING (pid)
WHERE lock.locktype = 'advisory' AND lock.classid = %s AND lock.objid = %s AND NOT lock.granted
"""
_AFTER_COMMIT: Final[LiteralString] = """
SELECT pid, usename FROM pg_stat_activity
WHERE wait_event = 'SyncRep' AND (application_name = 'watchfloor sequencer') = %s
"""


@dataclass(frozen=True)
class Caught:
    """A session that stands at a gate."""

    server_pid: int
    role: str


@contextmanager
def held(url: str, cluster: Path, step: Step, reload: Callable[[], None]) -> Iterator[list[Caught]]:
    """Hold a step until the context ends and give who stands there; nobody within `WAIT_S` gives nothing.

    The server may die meanwhile.
    """
    with psycopg.connect(url, autocommit=True, application_name="soak") as connection:
        if step.table:
            yield _at_gate(connection, step)
            return
        try:
            if step.sequencer:  # it needs a batch, and no entry is committed any more once nobody is told
                _at_gate(connection, _TAKING)
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            connection.execute("SELECT pg_reload_conf()")
            time.sleep(_RELOAD_S)
            connection.execute("SELECT pg_advisory_unlock_all()")
            yield _seen(connection, _AFTER_COMMIT, (step.sequencer,))
        finally:  # also when the server is dead: its next start must not wait for nobody
            (cluster / "postgresql.auto.conf").write_text("")
            reload()


def _at_gate(connection: _Connection, step: Step) -> list[Caught]:
    connection.execute("SELECT pg_advisory_lock(%s, %s)", (_CLASS, step.number))
    return _seen(connection, _AT_GATE, (_CLASS, step.number))


def _seen(connection: _Connection, statement: LiteralString, values: tuple[object, ...]) -> list[Caught]:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if rows := connection.execute(statement, values).fetchall():
            return [Caught(int(pid), role) for pid, role in rows]
        time.sleep(_POLL_S)
    return []
