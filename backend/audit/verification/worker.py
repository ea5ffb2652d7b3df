"""The process that verifies: apart from the backend, so that hashing millions of entries slows no request.

Reads its order as one JSON line from standard input and ends when that is closed, asks the same way for what opens
subjects' keys, tells progress in the job's row and writes its result as one JSON line. Must never write a key anywhere.
"""

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final

import orjson
import psycopg

from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.generations import HeldHead
from backend.audit.verification.keys import Keys, Opened, Opener, WrappedKey, opened_from_tree
from backend.audit.verification.state import State

PROGRESS_EVERY_S: Final = 0.5
SAVE_EVERY_S: Final = 10.0
"""What a crash costs at most; saving itself takes some milliseconds a million entries."""
NICENESS: Final = 10
"""Verification takes what the others leave."""
_OPTIONS: Final = (
    "-c timezone=UTC -c jit=off -c plan_cache_mode=force_custom_plan -c statement_timeout=0 -c search_path=public"
)
_LOAD: Final = "SELECT packed FROM audit_verification_state WHERE name = %s"
_SAVE: Final = """
INSERT INTO audit_verification_state (name, packed, saved_at) VALUES (%s, %s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET packed = excluded.packed, saved_at = excluded.saved_at
"""
_TELL: Final = """
UPDATE audit_verification_jobs SET entries_done = %s, entries_total = %s, seen_at = clock_timestamp() WHERE id = %s
"""
_TOTAL: Final = "SELECT log, size FROM audit_heads"
_LEDGER: Final = "SELECT name FROM audit_ledger"
TRUSTED: Final = "trusted"
_ORPHANED: Final = 3


def trusted_as(ledger: str) -> str:
    """What the trusted state of a ledger is kept for."""
    return f"{ledger}|{TRUSTED}"


def job_state(job: str) -> str:
    """Name of the row that keeps how far a job is."""
    return f"job:{job}"


@dataclass(slots=True)
class _Teller:
    """Tells and saves between chunks."""

    connection: psycopg.Connection[Any]
    job: str
    key: bytes
    kept_as: str
    """Which ledger and which purpose a saved state serves."""
    total: int
    done: int
    told_at: float = 0.0
    saved_at: float = 0.0

    def __call__(self, state: State, entries: int) -> None:
        self.done += entries
        now = time.monotonic()
        if now - self.told_at >= PROGRESS_EVERY_S:
            self.told_at = now
            self.connection.execute(_TELL, (self.done, max(self.done, self.total), self.job))
        if now - self.saved_at >= SAVE_EVERY_S:
            self.saved_at = now
            self.save(state)

    def save(self, state: State) -> None:
        """Keep how far it is."""
        self.connection.execute(_SAVE, (job_state(self.job), state.pack(self.key, self.kept_as)))


def run(order: dict[str, Any], opener: Opener) -> dict[str, Any]:
    """Carry out one order and give its result."""
    url, key = order["url"], bytes.fromhex(order["verification_key"])
    keys = Keys(opener, bytes.fromhex(order["blinding_key"]), bytes.fromhex(order["outbox_key"]), key)
    with (
        psycopg.connect(url, autocommit=True, options=_OPTIONS, application_name="watchfloor verifier") as reader,
        psycopg.connect(url, autocommit=True, options=_OPTIONS, application_name="watchfloor verifier") as writer,
    ):
        row = writer.execute(_LEDGER).fetchone()
        ledger = row[0] if row else ""
        # what a state was kept for is under its MAC: a trusted one copied to a job's row would skip the job's reading
        resumed_as = f"{ledger}|{order['job']}|{order['full']}|{order['logs']}"
        trusted = _load(writer, TRUSTED, key, trusted_as(ledger))
        resumed = _load(writer, job_state(order["job"]), key, resumed_as)
        plan = Plan(
            keys=keys,
            trusted=trusted,
            full=order["full"],
            logs=order["logs"],
            genesis=order["genesis"],
            witnesses=tuple(order["witnesses"]),
            held=tuple(HeldHead.from_tree(tree) for tree in order["held"]),
        )
        start = resumed or (None if plan.full else trusted)
        total, done = _amount(writer, start, plan.logs)
        teller = _Teller(writer, order["job"], key, resumed_as, total, done)
        writer.execute(_TELL, (done, total, order["job"]))
        result = verify(reader, plan, resumed, teller)
        if order["logs"] is None and not result.verdicts.failed:
            teller.kept_as = trusted_as(ledger)
        teller.save(result.state)
        writer.execute(_TELL, (teller.done, teller.done, order["job"]))
        return _told(result)


def _amount(connection: psycopg.Connection[Any], start: State | None, logs: Sequence[str] | None) -> tuple[int, int]:
    """Entries that will have been read at the end, and those of them an interrupted run has read."""
    sizes = {log: size for log, size in connection.execute(_TOTAL) if logs is None or log in logs}
    before = sum(start.size(log) for log in sizes) if start else 0
    return sum(sizes.values()), before


def _load(connection: psycopg.Connection[Any], name: str, key: bytes, ledger: str) -> State | None:
    row = connection.execute(_LOAD, (name,)).fetchone()
    return State.unpack(row[0], key, ledger) if row else None


def _told(result: Result) -> dict[str, Any]:
    return {
        "verdicts": result.verdicts.to_tree(),
        "passed": not result.verdicts.failed,
        "entries": result.entries,
        "from_heads": result.from_heads,
        "to_heads": {log: {"size": head.size, "root": head.root.hex()} for log, head in result.ended.items()},
    }


def _listen(heard: SimpleQueue[bytes]) -> None:
    """Take what the backend says; nobody is left to tell the result to once standard input is closed."""
    for line in sys.stdin.buffer:
        heard.put(line)
    os._exit(_ORPHANED)


def _say(told: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
    sys.stdout.flush()


def main() -> int:
    """Run as a process."""
    heard: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(heard,), daemon=True).start()

    def opened_by_backend(wrapped: Sequence[WrappedKey]) -> list[Opened]:
        _say({"open": [one.to_tree() for one in wrapped]})
        return [opened_from_tree(tree) for tree in orjson.loads(heard.get())]

    order = orjson.loads(heard.get())
    with suppress(OSError):
        os.nice(NICENESS)
    try:
        result = run(order, opened_by_backend)
    except (psycopg.Error, LookupError) as error:
        sys.stderr.write(f"{type(error).__name__}: {str(error).strip()}\n")
        return 1
    _say({"result": result})
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the watching thread still waits for standard input
