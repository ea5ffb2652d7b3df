"""Answers a backend's challenge with a hardware key, in the SSH agent or on USB. Owns what this console lets be signed.

Signs only bytes that it built itself, about what the person is doing here and now, for the backend it speaks to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from console.client.agent import AgentError, AgentKey, AgentRefusedError
from console.client.errors import ClientError
from console.client.touch import Signer
from contract.errors import ExitCode
from contract.hardware import HardwareAct, HardwareAnswer, HardwareChallenge, bytes_to_sign
from contract.sshwire import encode64


class ChallengeRefusedError(ClientError):
    """The backend wants something signed that the person at this console is not doing."""


class NoHardwareKeyError(AgentError):
    """The agent works, and none of its keys is a hardware key."""

    exit_code = ExitCode.CONFIGURATION


class NotEnrolledHereError(AgentError):
    """The agent has hardware keys, and none of them belongs to this account."""

    exit_code = ExitCode.CONFIGURATION


@dataclass(frozen=True, slots=True)
class Intent:
    """What the person is doing, by this console's own knowledge."""

    user: str
    origin: str
    """Address of the backend that this console speaks to."""
    act: HardwareAct
    about: str = ""


async def answer(
    challenge: HardwareChallenge, intent: Intent, agent: Signer, tell: Callable[[str], None]
) -> HardwareAnswer:
    """Have one of the account's keys sign. `tell` is given one line right before each key has to be touched.

    A key that the agent refuses to use (it is not plugged in) is passed over while another is left.

    Raises:
        ChallengeRefusedError: it is not about what the person is doing.
        AgentError: one of its kinds.
    """
    message = message_of(challenge, intent)
    usable = usable_keys(await agent.keys(), challenge)
    for key in usable[:-1]:
        try:
            return await _answer_with(key, message, challenge, agent, tell)
        except AgentRefusedError:
            tell(f"The SSH agent refused {key.fingerprint}.")
    return await _answer_with(usable[-1], message, challenge, agent, tell)


def message_of(challenge: HardwareChallenge, intent: Intent) -> bytes:
    """The bytes to have signed, built here.

    Raises:
        ChallengeRefusedError: what the challenge states is not what the person is doing, or it states it otherwise.
    """
    stated = challenge.statement
    if (stated.user, stated.act, stated.about) != (intent.user, intent.act, intent.about):
        raise ChallengeRefusedError("The backend asked for a signature about something else: nothing was signed.")
    if stated.origin != intent.origin:
        raise ChallengeRefusedError(
            f"The challenge is for {stated.origin}, and this console speaks to {intent.origin}: nothing was signed.",
            "Either the backend's own address is set wrong, or somebody is between you and it.",
        )
    message = bytes_to_sign(stated)
    if encode64(message) != challenge.to_sign:
        raise ChallengeRefusedError(
            "The backend spells what is to be signed otherwise than this console: nothing was signed.",
            "Bring both to the same version.",
        )
    return message


def usable_keys(offered: Sequence[AgentKey], challenge: HardwareChallenge) -> list[AgentKey]:
    """Keys of the agent that may answer, in the agent's order; at least one.

    Raises:
        NoHardwareKeyError: the agent has no hardware key.
        NotEnrolledHereError: it has some, but none of this account.
    """
    hardware = [key for key in offered if key.hardware]
    if not hardware:
        held = f"its {len(offered)} keys lie in files" if len(offered) > 1 else "its only key lies in a file"
        raise NoHardwareKeyError(
            f"The SSH agent has no hardware key: {held if offered else 'it has no key at all'}.",
            "Plug the key in and add it: ssh-add ~/.ssh/id_ed25519_sk, or ssh-add -K for one stored on the device.",
        )
    wanted = {key.blob for key in challenge.keys}
    usable = [key for key in hardware if encode64(key.blob) in wanted]
    if not usable:
        enrolled = ", ".join(key.fingerprint for key in challenge.keys) or "none"
        raise NotEnrolledHereError(
            "The SSH agent's hardware key is not enrolled for this account.", f"Enrolled: {enrolled}"
        )
    return usable


async def _answer_with(
    key: AgentKey, message: bytes, challenge: HardwareChallenge, agent: Signer, tell: Callable[[str], None]
) -> HardwareAnswer:
    pin = " and give its PIN where your agent asks for it" if challenge.needs_verification else ""
    tell(f"Touch your hardware key now{pin} ({key.fingerprint}).")
    signature = await agent.sign(key, message)
    return HardwareAnswer(
        challenge_id=challenge.statement.challenge_id, key=encode64(key.blob), signature=encode64(signature)
    )
