"""What is stored about each executor under a hold, read for many holds at once. Reads only; `proof` has the rules."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.freeze import core, proof, thawing
from backend.freeze.tables import FreezeRow, HaltAck, HaltFate, HaltMilestone, HaltObservation
from backend.roster import service as roster
from contract.freeze import FreezeMode
from contract.observing import Fate, Looked
from contract.states import HaltState

CLOCK_RATE_ERROR = Decimal("1.05")
"""An executor's clock may run this much too slowly: its permit lives so much longer than it says."""


_UNANSWERED = frozenset({HaltState.REQUESTED, HaltState.DELIVERED})


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was said and seen under one hold."""

    acks: Mapping[str, HaltAck] = field(default_factory=dict)
    fates: Mapping[str, Mapping[str, Fate]] = field(default_factory=dict)
    """By executor and id."""
    observations: Sequence[HaltObservation] = ()
    reached: Mapping[str, HaltMilestone] = field(default_factory=dict)
    """The last state that each executor is known to have reached."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One executor under one hold."""

    executor: str
    facts: roster.Facts | None
    """None for one that is no longer covered."""
    ack: HaltAck | None
    verdict: proof.Verdict
    halted_after: timedelta | None
    """How long the halt took, or the bound by which every permit was dead."""
    permit_dead_at: datetime | None = None
    """When every permit it can have is dead; None once that no longer matters, and where none bounds it."""
    exercised: bool = True
    """False under a drill's hold that it leaves alone."""


async def read(session: AsyncSession, freezes: Sequence[UUID]) -> Mapping[UUID, Evidence]:
    """The evidence under some holds."""
    acks: dict[UUID, dict[str, HaltAck]] = defaultdict(dict)
    fates: dict[UUID, dict[str, dict[str, Fate]]] = defaultdict(lambda: defaultdict(dict))
    seen: dict[UUID, list[HaltObservation]] = defaultdict(list)
    reached: dict[UUID, dict[str, HaltMilestone]] = defaultdict(dict)
    for ack in await session.scalars(select(HaltAck).where(HaltAck.freeze_id.in_(freezes))):
        acks[ack.freeze_id][ack.executor] = ack
    for fate in await session.scalars(select(HaltFate).where(HaltFate.freeze_id.in_(freezes))):
        fates[fate.freeze_id][fate.executor][fate.in_flight_id] = Fate(fate.fate)
    for look in await session.scalars(select(HaltObservation).where(HaltObservation.freeze_id.in_(freezes))):
        seen[look.freeze_id].append(look)
    milestones = select(HaltMilestone).where(HaltMilestone.freeze_id.in_(freezes)).order_by(HaltMilestone.reached_at)
    for stone in await session.scalars(milestones):
        reached[stone.freeze_id][stone.executor] = stone
    return {
        ident: Evidence(acks=acks[ident], fates=fates[ident], observations=seen[ident], reached=reached[ident])
        for ident in freezes
    }


def dead_at(frozen_at: datetime, permit_life: timedelta) -> datetime:
    """When every permit is dead that was given from a state without the hold, also on a clock that runs slowly."""
    return frozen_at + permit_life * float(CLOCK_RATE_ERROR) + core.COMMIT_GRACE


def judge(
    row: FreezeRow,
    covered: Mapping[str, roster.Facts],
    evidence: Evidence,
    *,
    now: datetime,
    permit_life: timedelta,
    verify_blocks: int,
) -> list[Judged]:
    """Every executor that a hold covers or that has answered it, by name.

    Once a hold is lifted nobody is judged any more: what stands is what was reached while it was in force. Those that
    a thaw under way has let go are left out.
    """
    judged = []
    for name in sorted({*covered, *evidence.acks, *evidence.reached} - set(row.thaw_released or ())):
        facts, ack = covered.get(name), evidence.acks.get(name)
        ends = None
        if facts is None or row.thawed_at is not None:
            verdict = _as_it_was(ack, evidence.reached.get(name))
        else:
            known = _known(row, facts, ack, evidence, now=now, permit_life=permit_life)
            verdict = proof.judge(known, verify_blocks=verify_blocks)
            matters = verdict.state in _UNANSWERED and known.bounded and known.exercised
            ends = known.permits_dead_at if matters else None
        after = _halted_after(row, ack, verdict, permit_life)
        took_part = ack is not None or facts is None or _takes_part(row, facts)
        judged.append(Judged(name, facts, ack, verdict, after, ends, exercised=took_part))
    return judged


def _takes_part(row: FreezeRow, facts: roster.Facts) -> bool:
    return facts.in_drills or row.drill_id is None


def _as_it_was(ack: HaltAck | None, reached: HaltMilestone | None) -> proof.Verdict:
    if reached is not None:
        return proof.Verdict(HaltState(reached.state), reached.proof)
    return proof.Verdict(HaltState.ACKED if ack else HaltState.REQUESTED, "as it was when the hold was lifted")


def _halted_after(
    row: FreezeRow, ack: HaltAck | None, verdict: proof.Verdict, permit_life: timedelta
) -> timedelta | None:
    if ack is not None:
        return max(timedelta(0), ack.acked_at - thawing.held_from(row.created_at, row.held_since, ack.acked_at))
    return dead_at(row.held_since, permit_life) - row.held_since if verdict.state is HaltState.EXPIRED else None


def _known(
    row: FreezeRow,
    facts: roster.Facts,
    ack: HaltAck | None,
    evidence: Evidence,
    *,
    now: datetime,
    permit_life: timedelta,
) -> proof.Known:
    said = None if ack is None else _statement(ack)
    until = facts.permit_until
    dead = dead_at(row.held_since, permit_life)
    return proof.Known(
        mode=FreezeMode(row.mode),
        frozen_at=row.held_since,
        now=now,
        permits_dead_at=dead if until is None else max(dead, until),
        told=max(facts.seen_epoch, facts.halted_epoch) >= row.epoch,
        statement=said,
        reported_order_seq=facts.last_order_seq,
        reported_open_orders=facts.open_orders,
        reported_in_flight=facts.in_flight,
        fates=evidence.fates.get(facts.name, {}),
        observations=[_observation(look) for look in evidence.observations if _concerns(look, facts, said)],
        bounded=facts.bounded,
        exercised=_takes_part(row, facts),
    )


def _statement(ack: HaltAck) -> proof.Statement:
    return proof.Statement(
        arrived_at=ack.acked_at,
        last_order_seq=ack.last_order_seq,
        nonces=ack.nonces,
        in_flight=tuple(ack.in_flight_ids),
        in_flight_count=ack.in_flight,
        open_orders=ack.open_orders,
        paused=ack.paused,
        signed=ack.statement is not None,
    )


def _concerns(look: HaltObservation, facts: roster.Facts, said: proof.Statement | None) -> bool:
    if look.looked_at == Looked.OPEN_ORDERS.value:
        return look.subject == facts.name.casefold()
    if look.looked_at == Looked.PAUSED.value:
        return look.chain == facts.chain.casefold() and said is not None and look.subject in said.paused
    wallets = {facts.wallet.casefold(), *(said.nonces if said else ())}
    return look.chain == facts.chain.casefold() and look.subject in wallets


def _observation(look: HaltObservation) -> proof.Observation:
    return proof.Observation(
        source=look.source,
        looked_at=Looked(look.looked_at),
        subject=look.subject,
        value=look.value,
        pending=look.pending,
        unchanged_blocks=look.unchanged_blocks,
        at=look.seen_at,
        ceiling=look.ceiling,
        block=look.block,
    )
