"""What the console is willing to have signed, and with which key; through the whole way to the verifier."""

from collections.abc import Callable

import pytest

from backend.auth.hardware.challenge import Enrolled, challenge, check
from console.client.agent import Agent, AgentKey, AgentRefusedError
from console.client.hardware import (
    ChallengeRefusedError,
    Intent,
    NoHardwareKeyError,
    NotEnrolledHereError,
    answer,
    usable_keys,
)
from contract.hardware import (
    HARDWARE_KEY_TYPES,
    SK_ECDSA,
    SK_ED25519,
    HardwareAct,
    HardwareChallenge,
    HardwareStatement,
    bytes_to_sign,
    sshsig,
    statement_bytes,
)
from contract.sshwire import encode64, string
from tests.support.hardware import NOW, ORIGIN, PATIENCE_S, Desk, agent_of, desk, statement

INTENT = Intent("officer1", ORIGIN, HardwareAct.SIGN_IN)


def _challenge(held: Desk, *kinds: str, about: HardwareStatement | None = None) -> HardwareChallenge:
    keys = [held.public(kind) for kind in kinds or HARDWARE_KEY_TYPES]
    return challenge(about or statement(), keys, needs_verification=False)


def _agent(path: str) -> Agent:
    return Agent(path, answer_limit_s=PATIENCE_S, touch_limit_s=PATIENCE_S)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
@pytest.mark.parametrize("act", [HardwareAct.SIGN_IN, HardwareAct.APPROVE_THAW])
async def test_from_challenge_to_accepted(kind: str, act: HardwareAct) -> None:
    stated = statement(act=act, about="FRZ-0001 " + "a" * 64)
    said: list[str] = []
    with desk() as held:
        held.behaviour.verified = True
        async with agent_of(held) as path:
            given = await answer(
                challenge(stated, [held.public(kind)], needs_verification=True).model_copy(),
                Intent("officer1", ORIGIN, act, stated.about),
                _agent(path),
                said.append,
            )
        accepted = check(given, stated, [Enrolled(held.public(kind), 0)], now=NOW, needs_verification=True)
        fingerprint = held.public(kind).fingerprint
    assert (accepted.counter, accepted.verified) == (1, True)
    assert said == [f"Touch your hardware key now and give its PIN where your agent asks for it ({fingerprint})."]


def _foreign(signed: bytes) -> Callable[[HardwareChallenge], HardwareChallenge]:
    return lambda made: made.model_copy(update={"to_sign": encode64(signed)})


def _stating(**changed: object) -> Callable[[HardwareChallenge], HardwareChallenge]:
    stated = statement(**changed)
    return lambda made: made.model_copy(update={"statement": stated, "to_sign": encode64(bytes_to_sign(stated))})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_foreign(string(bytes(32)) + b"\x32" + string(b"root")), "otherwise than this console"),
        (_foreign(sshsig("git", statement_bytes(statement()))), "otherwise than this console"),
        (_foreign(statement_bytes(statement())), "otherwise than this console"),
        (_stating(origin="https://floor-2.example"), "is for https://floor-2.example"),
        (_stating(user="admin1"), "something else"),
        (_stating(act=HardwareAct.APPROVE_THAW), "something else"),
        (_stating(about="FRZ-0001"), "something else"),
    ],
)
async def test_nothing_else_is_ever_signed(change: Callable[[HardwareChallenge], HardwareChallenge], said: str) -> None:
    told: list[str] = []
    with desk() as held:
        async with agent_of(held) as path:
            with pytest.raises(ChallengeRefusedError) as refused:
                await answer(change(_challenge(held)), INTENT, _agent(path), told.append)
        assert held.key.counter == 0  # the key was not even asked
    assert said in refused.value.message
    assert not told


async def test_a_key_that_the_agent_refuses_is_passed_over() -> None:
    told: list[str] = []
    with desk() as held:
        held.behaviour.refuses = frozenset({SK_ED25519})
        async with agent_of(held) as path:
            given = await answer(_challenge(held), INTENT, _agent(path), told.append)
            assert given.key == encode64(held.key.blob(SK_ECDSA))
            assert [line.split()[0] for line in told] == ["Touch", "The", "Touch"]
            held.behaviour.refuses = frozenset(HARDWARE_KEY_TYPES)
            with pytest.raises(AgentRefusedError):
                await answer(_challenge(held), INTENT, _agent(path), told.append)


async def test_keys_of_somebody_else_are_not_asked() -> None:
    with desk() as held, desk() as other:
        async with agent_of(held) as path:
            with pytest.raises(NotEnrolledHereError) as refused:
                await answer(_challenge(other), INTENT, _agent(path), lambda _: pytest.fail("asked for a touch"))
        assert other.public(SK_ED25519).fingerprint in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("files", "said"), [(0, "no key at all"), (1, "only key lies in a file"), (3, "3 keys lie in")]
)
def test_ordinary_keys_are_none(files: int, said: str) -> None:
    ordinary = AgentKey(string(b"ssh-ed25519") + string(bytes(32)), "ssh-ed25519", "")
    with desk() as held, pytest.raises(NoHardwareKeyError) as refused:
        usable_keys([ordinary] * files, _challenge(held))
    assert said in refused.value.message
