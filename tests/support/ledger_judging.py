"""What is left to say after the blows: nothing acknowledged is lost, nothing is there twice, no gap is unexplained, the
heads are signed and held, no alarm was false, and the shipped verification finds the ledger in order.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

from tests.support.ledger_callers import FROZEN, REFUSED, SEARCHED, Callers
from tests.support.ledger_check import look
from tests.support.ledger_plant import PATIENCE_S, Plant
from tests.support.ledger_writer import APART
from tests.support.people import ADMIN

if TYPE_CHECKING:
    from tests.support.ledger_soak import Outcome

WITNESSES = 3
_LOOK_EVERY_S = 0.5
_VERDICTS = ("linkage", "content", "projection", "erasure", "external", "completeness")
_AT_REST = f"""
SELECT NOT EXISTS (SELECT FROM audit_outbox)
    AND NOT EXISTS (SELECT FROM audit_verification_jobs WHERE state IN ('waiting', 'running'))
    AND NOT EXISTS (
        SELECT FROM audit_heads AS head WHERE head.size > 0 AND (
            SELECT count(DISTINCT held.witness) FROM audit_cosignatures AS held JOIN audit_checkpoints AS signed
                USING (origin, size) WHERE signed.log = head.log AND signed.size = head.size) < {WITNESSES})
"""  # noqa: S608  constants
_ALARMS = {
    "rows set aside": "SELECT count(*) FROM audit_quarantine",
    "false faults of the ledger": "SELECT count(*) FROM audit_faults",
    "lines of the spool refused": "SELECT count(*) FROM audit_entries WHERE event_type = 'ledger.spool.refused'",
}
_OF_PEOPLE = "SELECT request_id, event_type, count(*) FROM audit_entries WHERE event_type = ANY(%s) GROUP BY 1, 2"
_OF_WRITERS = "SELECT id::text, action FROM audit_entries WHERE actor LIKE 'system:writer%%' OR actor LIKE 'writer%%'"


def judge(plant: Plant, callers: Callers, outcome: "Outcome") -> None:
    """Wait until everything has come to rest, and note every fault."""
    outcome.faults += _rested(plant)
    looked = look(plant.url())
    outcome.faults += looked.faults
    sizes = ", ".join(f"{name} {size:,}" for name, size in sorted(looked.sizes.items()))
    outcome.told.append(f"ledger: {sizes}")
    with psycopg.connect(plant.url()) as connection:
        outcome.faults += _of_writers(connection, plant, outcome)
        outcome.faults += _of_people(connection, callers, outcome)
        for what, statement in _ALARMS.items():
            (count,) = connection.execute(statement).fetchone() or (0,)
            outcome.faults += [f"{count} {what}"] if count else []
        late = 0
        for (verdicts,) in connection.execute("SELECT verdicts FROM audit_verifications WHERE NOT passed"):
            if _only_waiting(verdicts):
                late += 1
            else:
                outcome.faults.append(f"a verification did not pass: {_findings(verdicts)}")
        (runs,) = connection.execute("SELECT count(*) FROM audit_verifications").fetchone() or (0,)
        outcome.told.append(f"{runs} verifications finished meanwhile, {late} found that entries wait, as they did")
    outcome.faults += _verified(plant, outcome)


def _rested(plant: Plant) -> list[str]:
    """Wait for rest as long as anything still moves: a starved machine takes its time."""
    moved, before = time.monotonic(), ""
    while time.monotonic() - moved < PATIENCE_S:
        with suppress(psycopg.Error):
            if not plant.held_in_files() and _at_rest(plant):
                return []
            if (now := str(_unrest(plant))) != before:
                moved, before = time.monotonic(), now
        time.sleep(_LOOK_EVERY_S)
    return [f"never at rest: {before}"]


def _at_rest(plant: Plant) -> bool:
    with psycopg.connect(plant.url()) as connection:
        row = connection.execute(_AT_REST).fetchone()
    return bool(row and row[0])


def _unrest(plant: Plant) -> dict[str, Any]:
    with psycopg.connect(plant.url()) as connection:
        found: dict[str, Any] = {"spools": plant.held_in_files()}
        for name, statement in {
            "outbox": "SELECT count(*) FROM audit_outbox",
            "heads": "SELECT log, size FROM audit_heads",
            "signed": "SELECT log, max(size) FROM audit_checkpoints GROUP BY log",
            "held": "SELECT origin, witness, max(size) FROM audit_cosignatures GROUP BY 1, 2",
            "jobs": "SELECT state, count(*) FROM audit_verification_jobs GROUP BY 1",
        }.items():
            found[name] = connection.execute(statement).fetchall()
    return found


def _of_writers(connection: psycopg.Connection[Any], plant: Plant, outcome: "Outcome") -> Iterator[str]:
    told = [line for path in plant.directory.glob("acknowledged-*") for line in path.read_text().split("\n")[:-1]]
    rows = connection.execute(_OF_WRITERS).fetchall()
    ids, actions = {ident for ident, _ in rows}, Counter(action for _, action in rows)
    acts = {str(ident) for (ident,) in connection.execute("SELECT id FROM soak_acts")}
    outcome.acknowledged += len(told)
    apart = [line for line in told if line.startswith(APART)]
    outcome.told.append(f"writers: {len(told) - len(apart):,} acts and {len(apart):,} refusals acknowledged")
    for line in told:
        if line not in ids and line not in actions:
            yield f"acknowledged and lost: {line}"
    yield from (f"an act without its entry: {ident}" for ident in sorted(acts - ids))
    entries = {ident for ident, action in rows if not action.startswith(APART)}
    yield from (f"an entry without its act: {ident}" for ident in sorted(entries - acts))
    yield from (f"recorded {n} times: {one}" for one, n in actions.items() if one.startswith(APART) and n > 1)


def _of_people(connection: psycopg.Connection[Any], callers: Callers, outcome: "Outcome") -> Iterator[str]:
    rows = connection.execute(_OF_PEOPLE, ([SEARCHED, REFUSED, FROZEN],)).fetchall()
    found = {(request, event): count for request, event, count in rows}
    outcome.acknowledged += len(callers.told)
    answered = ", ".join(f"{count:,} {event}" for event, count in sorted(callers.answers.items()))
    outcome.told.append(f"requests answered: {answered}")
    for request, event in callers.told.items():
        if found.get((request, event), 0) != 1:
            yield f"request {request} ({event}) was answered and is recorded {found.get((request, event), 0)} times"
    held = {f"FRZ-{number:04}" for (number,) in connection.execute("SELECT number FROM freezes")}
    entries = connection.execute("SELECT resource_id FROM audit_entries WHERE event_type = %s", (FROZEN,))
    told = {ident for (ident,) in entries if ident}
    yield from (f"a freeze without its entry: {ref}" for ref in sorted(held ^ told))


def _verified(plant: Plant, outcome: "Outcome") -> Iterator[str]:
    """What `watchfloor audit verify --full` says."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("WATCHFLOOR_")}
    env |= {"WATCHFLOOR_URL": plant.backend_urls[0], "WATCHFLOOR_TOKEN": plant.tokens[ADMIN.name]}
    argv = [sys.executable, "-m", "watchfloor", "audit", "verify", "--full", "--json"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    try:
        said = json.loads(done.stdout)["verdicts"]
        outcomes = {name: said[name]["outcome"] for name in _VERDICTS}
    except (ValueError, KeyError):
        yield f"audit verify ended with {done.returncode}: {done.stderr.strip()[-500:]}"
        return
    outcome.told.append("audit verify: " + ", ".join(f"{name} {said}" for name, said in outcomes.items()))
    if done.returncode or set(outcomes.values()) != {"ok"}:
        yield f"audit verify ended with {done.returncode}: {_findings(said)}"


def _only_waiting(verdicts: dict[str, Any]) -> bool:
    """Whether all it found is entries that had waited for more than a minute: on a starved machine they do."""
    found = [(name, one) for name, one in verdicts.items() if one["outcome"] == "failed"]
    seen = [finding["what"] for _, one in found for finding in one["first"]]
    return [name for name, _ in found] == ["completeness"] and set(seen) == {"waiting"}


def _findings(verdicts: dict[str, Any]) -> dict[str, Any]:
    return {name: one["first"] or one.get("reason") for name, one in verdicts.items() if one["outcome"] != "ok"}
