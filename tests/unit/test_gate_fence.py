"""What a choke point lets pass: scopes, floors, freshness, and a model of freezes it cannot be talked around."""

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gate.fence import MAX_SCOPES, Fence, covers
from gate.permits import Hold, Identity, Mode, Permit, Reason

ME = Identity(executor="bot-1", chain="arbitrum", strategy="arbitrage", wallet="0xAb", boot_id="b1")
AGE_S = 2.0


def permit(epoch: int = 0, *, no: int = 1, mode: Mode | None = None, **change: Any) -> Permit:
    holds = (Hold("FRZ-0001", epoch, mode),) if mode else ()
    plain = Permit(holder=ME, request_no=no, mode=mode, epoch=epoch, ttl_s=2.0, renew_s=0.5, holds=holds)
    return replace(plain, **change)


def state(nonce: str | None, epoch: int = 0, *, held: tuple[str, ...] = (), lifted: tuple[str, ...] = ()) -> Any:
    return {
        "epoch": epoch,
        "holds": [{"freeze_ref": "FRZ-0001", "epoch": epoch, "mode": "halt", "scope": scope} for scope in held],
        "lifted": [{"scope": scope, "epoch": epoch} for scope in lifted],
        "nonce": nonce,
    }


def fresh(**told: Any) -> Fence:
    fence = Fence(AGE_S)
    fence.asked(0.0, "n")
    assert fence.told(state("n", **told))
    return fence


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("global", True),
        ("chain:arbitrum", True),
        ("chain:Arbitrum", True),
        ("chain:base", False),
        ("strategy:arbitrage", True),
        ("strategy:sandwich", False),
        ("wallet:0xab", True),
        ("wallet:0xcd", False),
        ("executor:bot-1", True),
        ("executor:bot-2", False),
        ("chain:arbitrum+strategy:arbitrage", True),
        ("chain:arbitrum+strategy:sandwich", False),
        ("chain:base+strategy:arbitrage", False),
        ("chain:arbitrum+strategy:arbitrage+wallet:0xAB+executor:bot-1", True),
        ("a scope of the future", True),
        ("venue:binance", True),
        ("", True),
    ],
)
def test_a_scope_that_is_not_understood_covers_everything(scope: str, covered: bool) -> None:  # noqa: FBT001
    assert covers(scope, ME) is covered


@pytest.mark.parametrize("how", ["held", "lifted"])
def test_a_permit_older_than_a_freeze_over_its_place_is_refused_even_once_it_is_lifted(how: str) -> None:
    over: dict[str, Any] = {how: ("chain:arbitrum",)}
    fence = fresh(epoch=5, **over)
    assert fence.judge(0.1, permit(4)).reason is Reason.OUTDATED
    assert fence.judge(0.1, permit(5))
    assert fence.judge(0.1, permit(4), cancels=True)


def test_a_freeze_elsewhere_changes_nothing() -> None:
    assert fresh(epoch=5, held=("chain:base",)).judge(0.1, permit(0))


def test_without_fresh_word_nothing_but_cancels_passes() -> None:
    fence = Fence(AGE_S)
    assert fence.judge(0.0, permit()).reason is Reason.UNINFORMED
    assert fence.judge(0.0, None, cancels=True)
    fence.asked(10.0, "n")
    fence.told(state("n"))  # however late it arrives, it is as old as the question
    assert fence.judge(11.99, permit())
    assert fence.judge(12.0, permit()).reason is Reason.UNINFORMED


def test_a_state_nobody_asked_for_only_closes_the_fence_further() -> None:
    fence = fresh()
    assert not fence.told(state(None, 3, held=("global",)))
    assert fence.judge(0.1, permit(2)).reason is Reason.OUTDATED
    assert not fence.told(state("n", 3))  # a question is answered once
    assert fence.judge(2.0, permit(3)).reason is Reason.UNINFORMED


def test_an_older_state_neither_freshens_nor_lowers() -> None:
    fence = fresh(epoch=5, held=("global",))
    fence.asked(1.0, "m")
    assert not fence.told(state("m", 4))
    assert fence.judge(2.5, permit(5)).reason is Reason.UNINFORMED
    assert fence.floor(ME) == 5


def test_what_a_permit_says_itself_still_counts() -> None:
    fence = fresh(epoch=1, held=("global",))
    assert fence.judge(0.1, permit(1, mode=Mode.HALT)).reason is Reason.HELD
    assert fence.judge(0.1, permit(1, mode=Mode.CANCEL_ALL)).cancel_resting
    assert fence.judge(0.1, permit(1, mode=Mode.REDUCE_ONLY)).reason is Reason.HELD_TO_REDUCING
    assert fence.judge(0.1, permit(1, mode=Mode.REDUCE_ONLY), reduces=True)
    small = permit(1, max_trade_eth=Decimal(1))
    assert fence.judge(0.1, small).reason is Reason.AMOUNT_MISSING
    assert fence.judge(0.1, small, amount_eth=Decimal(2)).reason is Reason.TOO_LARGE
    assert fence.judge(0.1, small, amount_eth=Decimal(1))


def test_a_permit_counts_for_its_own_executor_and_wallet_only() -> None:
    fence = fresh()
    assert fence.judge(0.1, permit(), executor="bot-1", wallet="0xAB")
    assert fence.judge(0.1, permit(), executor="bot-2").reason is Reason.OTHER_PLACE
    assert fence.judge(0.1, permit(), wallet="0xcd").reason is Reason.OTHER_PLACE
    assert fence.judge(0.1, None).reason is Reason.NOT_A_PERMIT


def test_a_permit_shown_again_and_again_ends_a_life_after_it_was_first_shown() -> None:
    fence = Fence(AGE_S)
    for at in (0.0, 1.5, 3.0):
        fence.asked(at, f"n{at}")
        fence.told(state(f"n{at}"))
        if at < 2:
            assert fence.judge(at, permit(no=7))
    assert fence.judge(3.0, permit(no=7)).reason is Reason.EXPIRED
    assert fence.judge(3.0, permit(no=6)).reason is Reason.EXPIRED
    assert fence.judge(3.0, permit(no=8))


@pytest.mark.parametrize(
    "payload",
    [
        {},
        state("n") | {"epoch": None},
        state("n") | {"epoch": -1},
        state("n") | {"holds": None},
        state("n") | {"holds": [{"epoch": 1}]},
        state("n") | {"holds": [{"epoch": 1, "scope": 7}]},
        state("n") | {"lifted": [{"scope": "global", "epoch": "1"}]},
    ],
)
def test_what_is_no_state_freshens_nothing(payload: Any) -> None:
    fence = Fence(AGE_S)
    fence.asked(0.0, "n")
    with pytest.raises(ValueError, match="not"):
        fence.told(payload)
    assert fence.judge(0.1, permit()).reason is Reason.UNINFORMED


def test_more_scopes_than_can_be_remembered_close_it_for_all() -> None:
    fence = Fence(AGE_S)
    fence.asked(0.0, "n")
    many = tuple(f"chain:c{number}" for number in range(MAX_SCOPES + 1))
    assert fence.told(state("n", 9, lifted=many))
    assert fence.judge(0.1, permit(8)).reason is Reason.OUTDATED


@pytest.mark.parametrize("seed", range(30))
def test_no_permit_from_before_a_freeze_passes_once_the_fence_is_as_fresh_as_the_freeze(seed: int) -> None:
    """Random walks: questions and states late, lost, doubled and reordered; permits of any age are shown."""
    rng, fence = random.Random(seed), Fence(AGE_S)  # noqa: S311  a walk that can be repeated
    now, epoch, frozen_at = 0.0, 0, {0: 0.0}
    asked: list[str] = []
    states: list[Any] = []
    floors: dict[str, int] = {}
    passed = 0
    for step in range(400):
        now += rng.choice((0.01, 0.2, 1.0))
        match rng.choices(("ask", "answer", "arrive", "freeze"), (4, 4, 4, 1))[0]:
            case "ask":
                asked.append(f"n{step}")
                fence.asked(now, f"n{step}")
            case "answer" if asked:
                answer = state(rng.choice((asked[-1], rng.choice(asked), None)), epoch)
                answer["lifted"] = [{"scope": scope, "epoch": at} for scope, at in floors.items()]
                states.append(answer)
            case "arrive" if states:
                fence.told(rng.choice((states[-1], rng.choice(states))))
            case "freeze":
                epoch += 1
                frozen_at[epoch] = now
                floors[rng.choice(("global", "chain:arbitrum", "wallet:0xab+executor:bot-1"))] = epoch
            case _:
                pass
        for old in range(epoch + 1):
            if fence.judge(now, permit(old, no=step)):
                passed += 1
                assert old == epoch or now < frozen_at[old + 1] + AGE_S
    assert passed
