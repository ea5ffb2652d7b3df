"""Taking trades in: batches and file imports. A session's caller commits; nothing here does.

A batch or a file is stored whole or not at all, unless its sender asks to leave the bad lines out. A trade that is
already stored with the same values is `unchanged`; one that is stored with other values is refused, so that nothing
is overwritten and nothing is lost: the stored one stays, the refused line is reported with its number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from backend.events import publish
from backend.executor_names import not_for, speaks_for
from backend.lookup import row_named
from backend.transactions.rows import RowRefusedError, Rules, stored_values
from backend.transactions.store import Added, add_new, differing, lines_with_bodies, rows_of_batch, rows_of_import
from backend.transactions.tables import Import, StagedTransaction
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.stream import Topic, TransactionsStored
from contract.transactions import (
    BatchRequest,
    ImportOpened,
    ImportResult,
    ImportStart,
    RefusedRow,
    StageRequest,
    TransactionIn,
)

MAX_IMPORT_ROWS = 200_000
"""Bounds the one transaction that stores a file; larger files are split."""
MAX_OPEN_IMPORTS = 50
"""Bounds what abandoned uploads can occupy before they are pruned."""
ABANDONED_AFTER = timedelta(hours=1)
"""An upload without a commit for this long was given up by its client."""
STORE_TIMEOUT_MS = 60_000
"""Statement timeout while a file is stored: 200,000 rows on slow disks."""
MAX_REFUSALS_AUDITED = 20
"""How many refused lines an audit entry quotes; the answer to the client has them all."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch or a file, for the client and for those who judge the days it touched."""

    result: ImportResult
    added: list[Added] = field(default_factory=list)
    import_id: UUID | None = None

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """First and last block time of the rows that are new."""
        if not self.added:
            return None
        return min(day.first for day in self.added), max(day.last for day in self.added)


def _rules(runtime: Runtime) -> Rules:
    return Rules(now=runtime.clock.now(), outcome_of=runtime.policy.transactions.outcome_of)


def _judge(runtime: Runtime, lines: list[tuple[int, TransactionIn]]) -> tuple[list[dict[str, Any]], list[RefusedRow]]:
    rules = _rules(runtime)
    good: list[dict[str, Any]] = []
    refused: list[RefusedRow] = []
    for line, transaction in lines:
        try:
            values = stored_values(transaction, rules)
        except RowRefusedError as error:
            refused.append(RefusedRow(line=line, reason=str(error)))
        else:
            good.append({"line": line, "id": runtime.clock.new_id(), **values})
    return good, refused


async def _store(
    session: AsyncSession,
    runtime: Runtime,
    incoming: Select[Any],
    *,
    total: int,
    refused: list[RefusedRow],
    import_id: UUID | None,
    leave_out_refused: bool,
) -> Stored:
    savepoint = await session.begin_nested()
    added = await add_new(
        session,
        incoming,
        recorded_at=runtime.clock.now(),
        import_id=import_id,
        reporting_threshold_usd=runtime.policy.transactions.reporting.threshold_usd,
    )
    imported = sum(day.trades for day in added)
    conflicts = await differing(session, incoming) if imported < total else []
    refused = sorted([*refused, *conflicts], key=lambda row: row.line)
    if refused and not leave_out_refused:
        await savepoint.rollback()
        return Stored(ImportResult(imported=0, unchanged=0, refused=refused), import_id=import_id)
    await savepoint.commit()
    result = ImportResult(imported=imported, unchanged=total - imported - len(conflicts), refused=refused)
    return Stored(result, added, import_id)


async def _announce(session: AsyncSession, runtime: Runtime, caller: Caller, stored: Stored, draft: AuditDraft) -> None:
    span = stored.span
    if span is not None:
        event = TransactionsStored(count=stored.result.imported, first_block_time=span[0], last_block_time=span[1])
        publish(session, Topic.TRANSACTIONS, event)
    result = stored.result
    facts: dict[str, Any] = {
        "imported": result.imported,
        "unchanged": result.unchanged,
        "refused": len(result.refused),
        "first_block_time": span[0].isoformat() if span else None,
        "last_block_time": span[1].isoformat() if span else None,
    }
    if result.refused:
        facts["refused_lines"] = [row.model_dump() for row in result.refused[:MAX_REFUSALS_AUDITED]]
    nothing_taken = bool(result.refused) and not result.imported and not result.unchanged
    await audit.record(
        session,
        runtime,
        caller,
        AuditDraft(
            event_type=draft.event_type,
            action=draft.action,
            resource_type=draft.resource_type,
            resource_id=draft.resource_id,
            new_value=facts,
            result=AuditResult.FAILURE if nothing_taken else AuditResult.SUCCESS,
            error_message="lines were refused, nothing was stored" if nothing_taken else None,
            metadata=draft.metadata,
        ),
    )


def _refuse_of_others(caller: Caller, transactions: Sequence[TransactionIn]) -> None:
    """A token that is bound to executors reports their trades only, and says whose they are."""
    for one in transactions:
        if not speaks_for(caller, one.executor):
            raise not_for(caller, "report trades", one.executor)


async def store_batch(session: AsyncSession, runtime: Runtime, caller: Caller, request: BatchRequest) -> Stored:
    """Store a batch whole or not at all; a row's line is its position in the batch, counted from 1.

    Raises:
        WatchfloorError: NOT_ALLOWED for trades of an executor that the caller's token is not bound to.
    """
    _refuse_of_others(caller, request.transactions)
    good, refused = _judge(runtime, list(enumerate(request.transactions, start=1)))
    if refused:
        stored = Stored(ImportResult(imported=0, unchanged=0, refused=refused))
    else:
        stored = await _store(
            session,
            runtime,
            rows_of_batch(good),
            total=len(good),
            refused=[],
            import_id=None,
            leave_out_refused=False,
        )
    draft = AuditDraft(event_type="transactions.batch.stored", action="store batch", resource_type="transactions")
    await _announce(session, runtime, caller, stored, draft)
    return stored


async def open_import(session: AsyncSession, runtime: Runtime, caller: Caller, start: ImportStart) -> ImportOpened:
    """Begin a file import, and clear away those that their clients gave up.

    Raises:
        WatchfloorError: INVALID_REQUEST for a NUL in the file name; RATE_LIMITED when too many are open.
    """
    if "\x00" in start.filename:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "The file name contains a NUL character.")
    now = runtime.clock.now()
    open_ones = Import.committed_at.is_(None)
    await session.execute(delete(Import).where(open_ones, Import.started_at < now - ABANDONED_AFTER))
    if (await session.execute(select(func.count()).where(open_ones))).scalar_one() >= MAX_OPEN_IMPORTS:
        raise WatchfloorError(
            ErrorCode.RATE_LIMITED,
            f"{MAX_OPEN_IMPORTS} file imports are under way.",
            hint="Finish one, or try again in an hour, when those given up are cleared away.",
        )
    row = Import(
        id=runtime.clock.new_id(),
        filename=start.filename,
        sha256=start.sha256,
        started_by=caller.subject,
        started_at=now,
    )
    session.add(row)
    await session.flush()
    return ImportOpened(id=str(row.id))


async def _open_one(session: AsyncSession, caller: Caller, import_id: str) -> Import:
    """Lock an import of this caller that is not committed yet, or is: its result is then repeated."""
    row = await row_named(session, Import, "import", import_id, lock=True)
    if row.started_by != caller.subject:
        raise not_found("import", import_id)
    return row


async def stage_rows(
    session: AsyncSession, runtime: Runtime, caller: Caller, import_id: str, request: StageRequest
) -> ImportResult:
    """Keep a chunk of lines for the commit; a line sent twice counts once. The answer names lines already refused.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT when the import is committed; TOO_LARGE past the row limit; NOT_ALLOWED as
            for a batch.
    """
    _refuse_of_others(caller, [staged.transaction for staged in request.rows])
    row = await _open_one(session, caller, import_id)
    if row.committed_at is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, "The import is already stored.", hint="Open a new one.")
    if max(staged.line for staged in request.rows) > MAX_IMPORT_ROWS:
        raise WatchfloorError(
            ErrorCode.TOO_LARGE, f"A file has at most {MAX_IMPORT_ROWS:,} lines.", hint="Split it and import the parts."
        )
    good, refused = _judge(runtime, [(staged.line, staged.transaction) for staged in request.rows])
    bodies = {values.pop("line"): values for values in good} | {r.line: {"refused": r.reason} for r in refused}
    lines = lines_with_bodies(bodies)
    statement = upsert(StagedTransaction).from_select(
        ["import_id", "line", "body"], select(literal(row.id), lines.c.line, lines.c.body)
    )
    await session.execute(
        statement.on_conflict_do_update(index_elements=["import_id", "line"], set_={"body": statement.excluded.body})
    )
    return ImportResult(imported=0, unchanged=0, refused=refused)


async def _staged_refusals(session: AsyncSession, import_id: UUID) -> tuple[int, list[RefusedRow]]:
    mine = StagedTransaction.import_id == import_id
    reason = StagedTransaction.body["refused"].astext
    total = (await session.execute(select(func.count()).where(mine))).scalar_one()
    found = await session.execute(
        select(StagedTransaction.line, reason).where(mine, reason.is_not(None)).order_by(StagedTransaction.line)
    )
    refused = [RefusedRow(line=line, reason=why) for line, why in found]
    return total - len(refused), refused


async def commit_import(
    session: AsyncSession, runtime: Runtime, caller: Caller, import_id: str, *, skip_bad: bool
) -> Stored:
    """Store a staged file whole; with `skip_bad`, without its refused lines. Repeating a commit repeats its answer.

    A file that is refused stays staged until it is pruned, so that its sender may commit it again with `skip_bad`.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST when no line was staged.
    """
    row = await _open_one(session, caller, import_id)
    if row.committed_at is not None:
        return Stored(ImportResult(imported=row.imported, unchanged=row.unchanged), import_id=row.id)
    total, refused = await _staged_refusals(session, row.id)
    if not total and not refused:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "No line was staged.", hint="Send the rows before the commit.")
    await session.execute(text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": str(STORE_TIMEOUT_MS)})
    if refused and not skip_bad:
        stored = Stored(ImportResult(imported=0, unchanged=0, refused=refused), import_id=row.id)
    else:
        stored = await _store(
            session,
            runtime,
            rows_of_import(row.id),
            total=total,
            refused=refused,
            import_id=row.id,
            leave_out_refused=skip_bad,
        )
    if skip_bad or not stored.result.refused:
        row.committed_at = runtime.clock.now()
        row.imported, row.unchanged = stored.result.imported, stored.result.unchanged
        await session.execute(delete(StagedTransaction).where(StagedTransaction.import_id == row.id))
    draft = AuditDraft(
        event_type="transactions.file.imported",
        action="import file",
        resource_type="import",
        resource_id=str(row.id),
        metadata={"filename": row.filename, "sha256": row.sha256, "skip_bad": skip_bad},
    )
    await _announce(session, runtime, caller, stored, draft)
    return stored
