"""HTTP routes of the ledger's keys and heads."""

from fastapi import APIRouter
from sqlalchemy import select

from backend.audit.checkpoints import cosigned, key_chain, latest_checkpoint
from backend.audit.heads.status import KeeperState, head_status
from backend.audit.tables import Ledger
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.errors import WatchfloorError
from backend.guard import needs
from backend.openapi import refusals
from contract.errors import ErrorCode
from contract.heads import LedgerHeads, LedgerKeeper, LedgerKeys, LogHead
from contract.permissions import Permission

router = APIRouter(tags=["ledger"])


@router.get("/v1/ledger/keys", responses=refusals(ErrorCode.NOT_FOUND), **needs(Permission.VIEW_AUDIT_LOGS))
async def ledger_keys(session: Tx) -> LedgerKeys:
    """The keys that sign the ledger's heads, from the first one on."""
    chain, ledger = await key_chain(session), await session.scalar(select(Ledger))
    if chain is None or ledger is None:
        raise WatchfloorError(ErrorCode.NOT_FOUND, "No head of this ledger was signed yet: it has no key.")
    keys = chain.keys()
    return LedgerKeys(
        ledger=ledger.name,
        genesis=chain.genesis,
        certificates=[one.decode() for one in chain.certificates],
        current=keys[max(keys)].encode(),
    )


@router.get("/v1/ledger/heads", **needs(Permission.VIEW_AUDIT_LOGS))
async def ledger_heads(session: Tx, runtime: CurrentRuntime) -> LedgerHeads:
    """How far each log is signed and witnessed, and by whom."""
    status = await head_status(session, runtime)
    logs = []
    for one in status.logs:
        head = await latest_checkpoint(session, one.origin)
        note = (await cosigned(session, head)).decode() if head else None
        shown = LogHead(
            log=one.log,
            origin=one.origin,
            size=one.size,
            signed=one.signed,
            witnessed=one.witnessed,
            signed_at=head.signed_at if head else None,
            unwitnessed_since=one.unwitnessed_since,
            checkpoint=note,
        )
        logs.append(shown)
    return LedgerHeads(
        summary=status.sentence(),
        fault=str(status.faults[0]) if status.faults else None,
        signer=_keeper(status.signer),
        witnesses=[_keeper(one) for one in status.witnesses],
        witnesses_required=status.required,
        logs=logs,
    )


def _keeper(state: KeeperState) -> LedgerKeeper:
    return LedgerKeeper(name=state.name, problem=state.problem, since=state.since)
