"""Owns what is known of one freeze drill while it is watched, and when it has shown what it is for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contract.freeze import Freeze, HaltProof
from contract.freeze_drills import DrillEvidence, FreezeDrill, SignedHalt


@dataclass(frozen=True)
class Watched:
    """A drill, its canaries' answers while it runs, and what they signed once it is over."""

    drill: FreezeDrill
    proofs: Mapping[str, HaltProof] = field(default_factory=dict)
    """By executor; of one under several holds the answer to the last of them."""
    signed: Mapping[str, Sequence[SignedHalt]] = field(default_factory=dict)
    """By executor."""


def running(drill: FreezeDrill, holds: Sequence[Freeze]) -> Watched:
    """What is known while it runs."""
    return Watched(drill, proofs={proof.executor: proof for hold in holds for proof in hold.proofs})


def over(pack: DrillEvidence) -> Watched:
    """What is known once it has ended."""
    signed: dict[str, list[SignedHalt]] = {}
    for one in pack.signed:
        signed.setdefault(one.executor, []).append(one)
    return Watched(pack.drill, signed=signed)


def is_clean(drill: FreezeDrill) -> bool:
    """Whether it has ended and shown that everybody who took part halts and stays halted."""
    return drill.ended_at is not None and not drill.missed and not drill.orders_after_halt and drill.times.count > 0
