"""HTTP routes of verification."""

import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from backend.audit.events import AuditEvent
from backend.audit.identity import ledger_of
from backend.audit.service import AuditDraft, record
from backend.audit.verification import bundles, periods, proving, runs
from backend.context import CurrentRuntime, Runtime
from backend.db import Tx
from backend.demand import Effect
from backend.guard import CurrentCaller, needs
from contract.base import Page
from contract.permissions import Permission
from contract.verification import EntryProof, LedgerPeriod, Verification, VerificationRequest

_PART_BYTES: Final = 1 << 18
"""Read from the disk at a time while a bundle is sent."""

router = APIRouter(tags=["ledger"])


@router.post("/v1/ledger/verifications", status_code=202, **needs(Permission.VIEW_AUDIT_LOGS, effect=Effect.READS))
async def verify(
    wanted: VerificationRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Verification:
    """Verify the ledger, or join the verification that is under way. Recorded, as is its result."""
    return (await runs.shown(session, await runs.request(session, runtime, caller, wanted)))[0]


@router.get("/v1/ledger/verifications", **needs(Permission.VIEW_AUDIT_LOGS))
async def list_verifications(session: Tx, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> Page[Verification]:
    """The newest verifications first."""
    return Page(items=await runs.shown(session, *await runs.latest(session, limit)))


@router.get("/v1/ledger/verifications/{ident}", **needs(Permission.VIEW_AUDIT_LOGS))
async def read_verification(ident: str, session: Tx) -> Verification:
    """One verification: how far it is, or how it ended."""
    return (await runs.shown(session, await runs.find(session, ident)))[0]


@router.get("/v1/ledger/periods", **needs(Permission.VIEW_AUDIT_LOGS))
async def list_periods(
    session: Tx, log: str | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> Page[LedgerPeriod]:
    """Integrity records of sealed periods, the newest first."""
    return Page(items=await periods.latest(session, log, limit))


@router.get("/v1/ledger/entries/{entry_id}/proof", **needs(Permission.VIEW_AUDIT_LOGS))
async def prove_entry(entry_id: str, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> EntryProof:
    """What shows, without us, that an entry is in the ledger. That it was taken is recorded."""
    return await proving.prove(session, runtime, caller, entry_id)


@router.get("/v1/ledger/bundle", response_class=StreamingResponse, **needs(Permission.VIEW_AUDIT_LOGS, exports=True))
async def take_bundle(
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    since: Annotated[AwareDatetime, Query(alias="from")],
    until: Annotated[AwareDatetime, Query(alias="to")],
) -> StreamingResponse:
    """The entries placed in a time, with what proves them, as a tar file. Recorded; refused to roles without export."""
    facts = {"from": since, "to": until}
    draft = AuditDraft(AuditEvent.BUNDLE_MADE, "take a bundle of the ledger", "audit", new_value=facts)
    await record(session, runtime, caller, draft)
    ledger = (await ledger_of(session, runtime)).name
    file = await _bundle(runtime, ledger, since.astimezone(UTC), until.astimezone(UTC))
    return StreamingResponse(file, media_type="application/x-tar")


async def _bundle(runtime: Runtime, ledger: str, since: datetime, until: datetime) -> Iterator[bytes]:
    """Make a bundle and give it as a tar file, which is gone from the disk once it is read."""
    with tempfile.TemporaryDirectory(prefix="wf-bundle-") as scratch:
        directory = Path(scratch) / "bundle"
        directory.mkdir()
        async with runtime.database.read() as session:
            await bundles.write(session, runtime, directory, ledger=ledger, since=since, until=until)
        return await anyio.to_thread.run_sync(_packed, directory)


def _packed(directory: Path) -> Iterator[bytes]:
    file = tempfile.TemporaryFile(prefix="wf-bundle-")  # noqa: SIM115  closed by whoever reads it
    with tarfile.open(fileobj=file, mode="w") as tar:
        for path in sorted(directory.iterdir()):
            tar.add(path, arcname=path.name)
    file.seek(0)

    def parts() -> Iterator[bytes]:
        with file:
            while part := file.read(_PART_BYTES):
                yield part

    return parts()
