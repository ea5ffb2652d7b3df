"""What several nodes of one chain show together, pure. Does no I/O; knows no node.

Every rule errs towards "not verified": a single node that says more than the others ends the standing still, and only
what at least as many say as have to agree counts as having happened.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contract.gate import MAX_COUNT
from contract.observing import Fate, Looked, Observation, ObservedFate
from watchers.node import Look, Seen


@dataclass(frozen=True, slots=True)
class Together:
    """What is reported of one chain."""

    observations: list[Observation]
    fates: list[ObservedFate]
    doubts: list[str]
    """Why some of it can verify nothing, in plain words."""


def together(chain: str, looks: Sequence[Look], agree: int) -> Together:
    """Put the newest looks of all nodes together; `agree` of them have to say the same."""
    doubts = []
    observations = []
    for wallet in sorted({name for look in looks for name in look.wallets}):
        seen = [look.wallets[wallet] for look in looks if wallet in look.wallets]
        if len(seen) < agree:
            doubts.append(f"{wallet}: {len(seen)} of the {agree} nodes that have to agree have answered")
            continue
        one = _wallet(chain, wallet, seen, agree)
        if one.unchanged_blocks == 0 and len({(each.value, each.pending) for each in seen}) > 1:
            doubts.append(f"{wallet}: the nodes do not agree")
        observations.append(one)
    for contract in sorted({name for look in looks for name in look.contracts}):
        told = [(look.contracts[contract], look.head.number) for look in looks if contract in look.contracts]
        if (found := _contract(chain, contract, told, agree)) is None:
            doubts.append(f"{contract}: fewer than {agree} nodes say the same of it")
        else:
            observations.append(found)
    return Together(observations, _fates([look.fates for look in looks], agree), doubts)


def _wallet(chain: str, wallet: str, seen: Sequence[Seen], agree: int) -> Observation:
    """What enough nodes say at least. It stands still only if as many say exactly that, and nobody says more."""
    value = sorted((one.value for one in seen), reverse=True)[agree - 1]
    used = sorted((_used(one) for one in seen), reverse=True)
    still = sorted((one.blocks for one in seen if one.value == value and one.pending in {None, value}), reverse=True)
    stands = used[0] == value and len(still) >= agree
    return Observation(
        looked_at=Looked.NONCE,
        chain=chain,
        subject=wallet,
        value=value,
        pending=None if all(one.pending is None for one in seen) else max(value, used[agree - 1]),
        unchanged_blocks=min(still[agree - 1], MAX_COUNT) if stands else 0,
    )


def _contract(chain: str, contract: str, told: Sequence[tuple[Seen, int]], agree: int) -> Observation | None:
    """What enough nodes say of the latest block; it stays so only if nobody says otherwise of any block.

    Of the same block both ways, it is not paused.
    """
    says: list[tuple[int, int, int]] = []
    for value in (0, 1):
        blocks = sorted((block for one, block in told if one.value == value), reverse=True)
        still = sorted((one.blocks for one, _ in told if one.value == value), reverse=True)
        if len(blocks) >= agree:
            says.append((blocks[agree - 1], value, still[agree - 1] if len(blocks) == len(told) else 0))
    if not says:
        return None
    block, value, stands = max(says, key=lambda said: (said[0], -said[1]))
    return Observation(
        looked_at=Looked.PAUSED,
        chain=chain,
        subject=contract,
        value=value,
        unchanged_blocks=min(stands, MAX_COUNT),
        block=block,
    )


def _used(one: Seen) -> int:
    return max(one.value, one.pending or 0)


def _fates(told: Sequence[Mapping[str, Fate]], agree: int) -> list[ObservedFate]:
    votes: dict[str, Counter[Fate]] = {}
    for fates in told:
        for ident, fate in fates.items():
            votes.setdefault(ident, Counter())[fate] += 1
    return [
        ObservedFate(id=ident, fate=next(iter(count)))
        for ident, count in sorted(votes.items())
        if len(count) == 1 and count.total() >= agree
    ]
