"""Entries of acts that have no transaction of their own, and what becomes of them when the database is away.

A category that the policy calls `closed` has no act without its entry. An entry of one it calls `spool` waits in a
local file, encrypted and authenticated, and is recorded once the database is back, exactly once: by its id.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson
import psycopg
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.audit import doubts
from backend.audit.canonical import clean_text, clean_values
from backend.audit.events import AuditEvent
from backend.audit.identity import ledger_of
from backend.audit.service import AuditDraft, introduce, record
from backend.clock import Clock
from backend.context import STORED_OF_CALLER, Caller, Runtime, system_caller
from backend.emitter import Doubt, Emitter, Stamp
from backend.spool import Spool, SpoolError
from contract.audit import AuditResult
from ledger.seal import NONCE_BYTES, derive

log = structlog.get_logger(__name__)

REPLAY_LINES: Final = 200
"""Lines recorded in one go."""
_PURPOSE: Final = "spool"
_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:id, 0))")
"""A replay whose COMMIT got no answer may still be under way: the next one waits for its end."""


class NotRecordedError(Exception):
    """The entry could neither be written nor kept: the act must not happen."""


class OtherLedgerError(SpoolError):
    """A file holds entries of another ledger: here their numbers would read as if earlier ones were lost."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """One line of the file, opened."""

    id: UUID
    at: datetime
    stamp: Stamp
    ledger: str | None
    """Its name, as the process knew it."""
    generation: int | None
    """Likewise."""
    caller: Caller
    draft: AuditDraft


@dataclass(frozen=True, slots=True)
class _Then(Clock):
    """The clock as it stood when the entry was made; the first id it gives is the entry's."""

    given: list[UUID] = field(default_factory=list)

    def new_id(self) -> UUID:
        """Give the entry's id, then fresh ones."""
        return self.given.pop() if self.given else Clock.new_id(self)


class _Numbered(Emitter):
    """Gives the number that the entry got when it was made; who numbered it settles it.

    A number from before a restore is none any more: the entry gets one of this process then.
    """

    stamp: Stamp
    real: Emitter
    renumbered: bool = False

    def take(self, *, settling: bool = False) -> Stamp:  # noqa: ARG002  what waits in a file settles nothing
        return self.stamp

    def notice(self, generation: int, boot: str) -> bool:
        self.real.notice(generation, boot)
        self.renumbered = self.renumbered or self.generation not in (None, generation)
        if self.renumbered:
            self.stamp, self.generation = self.real.take(), generation
            self.boot = self.stamp.boot
        return self.renumbered

    def settle(self, stamp: Stamp) -> None:
        """Not ours unless it was given anew."""
        if self.renumbered:
            self.real.settle(stamp)

    def withdraw(self, stamp: Stamp) -> None:
        """See `settle`."""
        if self.renumbered:
            self.real.withdraw(stamp)

    def doubt(self, doubt: Doubt) -> None:
        """See `settle`: the line stays in the file until its entry is known to be there."""
        if self.renumbered:
            self.real.doubt(doubt)


async def record_apart(runtime: Runtime, caller: Caller, draft: AuditDraft) -> None:
    """Record an entry in a transaction of its own; what the database cannot take is kept if its category allows it.

    Raises:
        NotRecordedError: there is no entry.
    """
    ident, at = runtime.clock.new_id(), runtime.clock.now()
    try:
        async with runtime.database.transaction() as session:
            await record(session, _as_it_was(runtime, ident, at), caller, draft)
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        category = runtime.policy.audit_category(draft.event_type)
        if not runtime.policy.audit.may_spool(category):
            raise NotRecordedError(f"{category}: {type(error).__name__}") from error
        await _keep(runtime, ident, at, caller, draft)


async def keep_apart(runtime: Runtime, caller: Caller, draft: AuditDraft) -> bool:
    """Keep the entry of an act that happens although the database is away, whatever its category; whether it is kept.

    Asks no database: one that hangs would hold the act up.
    """
    try:
        await _keep(runtime, runtime.clock.new_id(), runtime.clock.now(), caller, draft)
    except NotRecordedError as error:
        log.critical("entry_not_kept", event_type=str(draft.event_type), why=str(error))
        return False
    return True


async def _keep(runtime: Runtime, ident: UUID, at: datetime, caller: Caller, draft: AuditDraft) -> None:
    stamp = runtime.emitter.take()
    try:
        await runtime.write_path.spool.append(
            _line(
                runtime,
                Spooled(ident, at, stamp, runtime.write_path.ledger, runtime.emitter.generation, caller, draft),
            )
        )
    except BaseException as error:
        runtime.emitter.withdraw(stamp)
        if isinstance(error, SpoolError):
            raise NotRecordedError(str(error)) from error
        raise
    runtime.metrics.audit_spooled.inc()


def _line(runtime: Runtime, one: Spooled) -> bytes:
    said = {part.name: getattr(one.draft, part.name) for part in fields(AuditDraft)}
    whole = {
        "id": str(one.id),
        "at": one.at.isoformat(),
        "stamp": [one.stamp.settled, *one.stamp.void],
        "node": one.stamp.node,
        "ledger": one.ledger,
        "generation": one.generation,
        "caller": {name: getattr(one.caller, name) for name in STORED_OF_CALLER},
        "draft": {name: clean_values(value) if isinstance(value, dict) else value for name, value in said.items()},
    }
    nonce = runtime.clock.random_bytes(NONCE_BYTES)
    name = f"{one.stamp.boot} {one.stamp.n}".encode()
    sealed = AESGCM(derive(runtime.keyring.outbox, _PURPOSE)).encrypt(nonce, orjson.dumps(whole), name)
    return name + b" " + b64encode(nonce + sealed) + b"\n"


def _opened(runtime: Runtime, line: bytes) -> Spooled:
    """Read a line.

    Raises:
        ValueError: it is not one that a process of ours has written.
    """
    try:
        boot, n, sealed = line.split(b" ")
        raw = b64decode(sealed, validate=True)
        key = AESGCM(derive(runtime.keyring.outbox, _PURPOSE))
        whole = orjson.loads(key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], boot + b" " + n))
    except InvalidTag as error:
        raise ValueError("not written by a process that holds the master key") from error
    settled, *void = whole["stamp"]
    caller = Caller(permissions=frozenset(), **whole["caller"])
    draft = AuditDraft(**whole["draft"] | {"result": AuditResult(whole["draft"]["result"])})
    stamp = Stamp(whole["node"], boot.decode(), int(n), settled, tuple(void))
    at = datetime.fromisoformat(whole["at"])
    return Spooled(UUID(whole["id"]), at, stamp, whole.get("ledger"), whole["generation"], caller, draft)


async def replay(runtime: Runtime, spool: Spool) -> int:
    """Record what a spool holds and take it out of the file; returns how many lines that were.

    Raises:
        OtherLedgerError: its entries belong into another ledger than this database's; the file stays as it is.
        SpoolError: the file cannot be read or shortened.
        SQLAlchemyError: the database is still away.
    """
    lines = (await spool.lines())[:REPLAY_LINES]
    if lines:
        async with runtime.database.transaction() as session:
            runtime.write_path.ledger = (await ledger_of(session, runtime)).name
    for line in lines:
        try:
            one = _opened(runtime, line)
        except ValueError as error:
            await _set_aside(runtime, line, str(error))
            continue
        if one.ledger not in {None, runtime.write_path.ledger}:
            raise OtherLedgerError(f"{one.ledger} instead of {runtime.write_path.ledger}")
        await _record_again(runtime, one)
    if lines:
        await spool.clear(len(lines))
    return len(lines)


async def _record_again(runtime: Runtime, one: Spooled) -> None:
    async with runtime.database.transaction() as session:
        await introduce(session, runtime, one.caller, one.draft)
    async with runtime.database.transaction() as session:
        await session.execute(_ONE_AT_A_TIME, {"id": str(one.id)})
        there = await doubts.numbers(session, [one.id])
        if not there:
            await record(session, _as_it_was(runtime, one.id, one.at, one), one.caller, one.draft)
    if one.stamp.boot != runtime.emitter.boot:
        return
    if there.get(one.id, one.stamp.n) == one.stamp.n:
        runtime.emitter.settle(one.stamp)
    else:  # the transaction whose COMMIT got no answer had taken effect, under its own number
        runtime.emitter.withdraw(one.stamp)


async def _set_aside(runtime: Runtime, line: bytes, why: str) -> None:
    """Say in the ledger that a line of the file was not ours: nothing of it can be trusted, so that nothing is kept."""
    log.error("spool_line_refused", why=why)
    draft = AuditDraft(
        event_type=AuditEvent.SPOOL_LINE_REFUSED,
        action="refuse a line of a spool",
        result=AuditResult.FAILURE,
        error_message=clean_text(why),
        metadata={"line": clean_text(line[:200].decode(errors="replace"))},
    )
    async with runtime.database.transaction() as session:
        await record(session, runtime, system_caller("ledger"), draft)


def _as_it_was(runtime: Runtime, ident: UUID, at: datetime, one: Spooled | None = None) -> Runtime:
    clock = runtime.clock
    then = _Then(lambda: at, clock.monotonic, clock.random_bytes, [ident])
    if one is None:
        return replace(runtime, clock=then)
    numbered = _Numbered(one.stamp.node, one.stamp.boot, one.generation)
    numbered.stamp, numbered.real = one.stamp, runtime.emitter
    return replace(runtime, clock=then, emitter=numbered)
