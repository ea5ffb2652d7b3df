"""Challenges to hardware keys and the check of their answers. Pure: the instant and the randomness are handed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.auth.hardware import rules, signatures
from backend.auth.hardware.errors import ChallengeExpiredError, NotEnrolledError, SignatureRefusedError
from backend.auth.hardware.keys import HardwareKey
from contract.hardware import HardwareAnswer, HardwareChallenge, HardwareStatement, bytes_to_sign
from contract.sshwire import MalformedError, decode64, encode64

NONCE_BYTES = 32
"""Randomness of a nonce: 256 bits, which nobody guesses or meets twice."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One key of the account and what it last counted."""

    key: HardwareKey
    last_counter: int
    """0 before its first answer."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A good answer: what to store, and what to write into the audit entry."""

    key: HardwareKey
    counter: int
    verified: bool


def challenge(
    statement: HardwareStatement, keys: Sequence[HardwareKey], *, needs_verification: bool
) -> HardwareChallenge:
    """What the console gets for a statement; `keys` are those that may answer."""
    return HardwareChallenge(
        statement=statement,
        to_sign=encode64(bytes_to_sign(statement)),
        keys=[key.on_the_wire() for key in keys],
        needs_verification=needs_verification,
    )


def check(
    answer: HardwareAnswer,
    statement: HardwareStatement,
    enrolled: Sequence[Enrolled],
    *,
    now: datetime,
    needs_verification: bool,
) -> Accepted:
    """What an answer proves. `statement` is the one stored with the challenge, never one that came with the answer.

    The caller spends the challenge first, whatever comes of it, locks the key's row, and stores the counter returned.

    Raises:
        HardwareRefusedError: one of its kinds, each with its sentence.
    """
    if answer.challenge_id != statement.challenge_id:
        raise ChallengeExpiredError("The answer is to another challenge. Try again.")
    if now >= statement.expires_at:
        raise ChallengeExpiredError("The answer came too late. Try again, and touch the key sooner.")
    try:
        blob, signature = decode64(answer.key, "the key"), decode64(answer.signature, "the signature")
    except MalformedError as error:
        raise SignatureRefusedError(f"The hardware key's answer cannot be read: {error}.") from error
    found = next((each for each in enrolled if each.key.blob == blob), None)
    if found is None:
        raise NotEnrolledError("The answer comes from a key that is not enrolled for this account.")
    assertion = signatures.verify(found.key, signature, bytes_to_sign(statement))
    counter = rules.judge(assertion, last_counter=found.last_counter, needs_verification=needs_verification)
    return Accepted(found.key, counter, assertion.verified)
