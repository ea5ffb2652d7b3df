"""Challenges, and what the answer to one is worth: whose key, in time, touched, verified, not cloned."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from backend.auth.hardware import rules
from backend.auth.hardware.challenge import Accepted, Enrolled, challenge, check
from backend.auth.hardware.errors import (
    ChallengeExpiredError,
    ClonedKeyError,
    CopyableKeyError,
    HardwareRefusedError,
    NotEnrolledError,
    NotTouchedError,
    NotVerifiedError,
    SignatureRefusedError,
)
from backend.auth.hardware.signatures import Assertion
from contract.hardware import (
    HARDWARE_KEY_TYPES,
    MAX_BLOB_CHARS,
    SK_ECDSA,
    SK_ED25519,
    HardwareAct,
    HardwareAnswer,
    HardwareStatement,
    bytes_to_sign,
    statement_bytes,
)
from contract.sshwire import encode64
from simulator.security_key import Counting, SecurityKey
from tests.support.hardware import NOW, Desk, desk, statement

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)


@pytest.fixture
def held() -> Iterator[Desk]:
    with desk() as one:
        yield one


def _answer(held: Desk, about: HardwareStatement, kind: str = SK_ED25519) -> HardwareAnswer:
    signature = held.sign(kind, bytes_to_sign(about))
    return HardwareAnswer(
        challenge_id=about.challenge_id, key=encode64(held.key.blob(kind)), signature=encode64(signature)
    )


def _check(
    held: Desk, answer: HardwareAnswer, *, last: int = 0, now: datetime = NOW, needs_verification: bool = False
) -> Accepted:
    enrolled = [Enrolled(held.public(kind), last) for kind in HARDWARE_KEY_TYPES]
    return check(answer, statement(), enrolled, now=now, needs_verification=needs_verification)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    user=TEXT, origin=TEXT, about=TEXT, act=st.sampled_from(HardwareAct), expires=st.datetimes(timezones=st.just(UTC))
)
def test_a_statement_has_the_spelling_of_rfc_8785(
    user: str, origin: str, about: str, act: HardwareAct, expires: datetime
) -> None:
    made = statement(user=user, origin=origin, about=about, act=act, expires_at=expires)
    fields = {
        "about": about,
        "act": act.value,
        "challenge": "ch-1",
        "expires": expires.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z",
        "nonce": "n" * 43,
        "origin": origin,
        "user": user,
        "version": 1,
    }
    assert statement_bytes(made) == rfc8785.dumps(fields)
    again = HardwareStatement.model_validate_json(made.model_dump_json())
    assert bytes_to_sign(again) == bytes_to_sign(made)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hours=st.integers(-12, 12))
def test_an_instant_is_spelt_the_same_in_every_zone(hours: int) -> None:
    there = statement().expires_at.astimezone(timezone(timedelta(hours=hours)))
    assert statement_bytes(statement(expires_at=there)) == statement_bytes(statement())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(one=st.tuples(TEXT, TEXT, TEXT), other=st.tuples(TEXT, TEXT, TEXT))
def test_different_statements_never_share_their_bytes(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    made = [bytes_to_sign(statement(user=each[0], origin=each[1], about=each[2])) for each in (one, other)]
    assert (made[0] == made[1]) == (one == other)


def test_no_statement_can_be_the_signature_of_a_login() -> None:
    """A login starts with a session id: four bytes of length, of which the first is 0 for any id below 16 MiB."""
    assert bytes_to_sign(statement()).startswith(b"SSHSIG\x00\x00\x00\x17hardware-key@watchfloor")


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2025-07-11T12:00:00"])
def test_instants_that_are_none_are_refused(instant: str) -> None:
    with pytest.raises(ValidationError):
        statement(expires_at=instant)


@pytest.mark.parametrize("field", ["user", "origin", "about"])
@pytest.mark.parametrize("text", ["\x00", "\ud800", "x" * 301])
def test_text_that_cannot_be_kept_is_refused(field: str, text: str) -> None:
    with pytest.raises(ValidationError):
        statement(**{field: text})


@pytest.mark.parametrize("field", ["key", "signature"])
@pytest.mark.parametrize("text", ["", "A" * (MAX_BLOB_CHARS + 4), "a b", "ä", "=", "AAAA\n"])
def test_an_answer_has_bounds(field: str, text: str) -> None:
    with pytest.raises(ValidationError):
        HardwareAnswer.model_validate({"challenge_id": "ch-1", "key": "AAAA", "signature": "AAAA"} | {field: text})


def test_a_challenge_says_which_keys_may_answer(held: Desk) -> None:
    made = challenge(statement(), [held.public(kind) for kind in HARDWARE_KEY_TYPES], needs_verification=True)
    assert made.to_sign == encode64(bytes_to_sign(statement()))
    assert [(each.blob, each.application) for each in made.keys] == [
        (encode64(held.key.blob(kind)), "ssh:") for kind in HARDWARE_KEY_TYPES
    ]
    assert all(each.fingerprint.startswith("SHA256:") for each in made.keys)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
def test_a_good_answer_is_accepted_with_what_is_to_be_stored(held: Desk, kind: str) -> None:
    held.key.set_counter(41)
    accepted = _check(held, _answer(held, statement(), kind), last=41)
    assert (accepted.key.blob, accepted.counter, accepted.verified) == (held.key.blob(kind), 42, False)
    held.behaviour.verified = True
    assert _check(held, _answer(held, statement(), kind), last=42, needs_verification=True).verified


@pytest.mark.parametrize(
    "changed",
    [
        {"user": "admin1"},
        {"origin": "https://floor-2.example"},
        {"act": HardwareAct.APPROVE_THAW},
        {"about": "FRZ-0001"},
        {"nonce": "m" * 43},
        {"expires_at": NOW + timedelta(hours=1)},
    ],
)
def test_an_answer_about_anything_else_is_refused(held: Desk, changed: dict[str, object]) -> None:
    with pytest.raises(SignatureRefusedError):
        _check(held, _answer(held, statement(**changed)))


def test_an_answer_to_another_challenge_is_refused(held: Desk) -> None:
    with pytest.raises(ChallengeExpiredError, match="another challenge"):
        _check(held, _answer(held, statement(challenge_id="ch-2")))


def test_an_answer_ends_with_its_challenge(held: Desk) -> None:
    answer = _answer(held, statement())
    end = statement().expires_at
    assert _check(held, answer, now=end - timedelta(microseconds=1)).counter == 1
    with pytest.raises(ChallengeExpiredError, match="too late"):
        _check(held, answer, now=end)


def test_only_keys_of_the_account_count(held: Desk) -> None:
    with desk() as stranger, pytest.raises(NotEnrolledError):
        _check(held, _answer(stranger, statement()))


def test_a_key_cannot_answer_in_the_name_of_another(held: Desk) -> None:
    answer = _answer(held, statement(), SK_ED25519)
    with pytest.raises(SignatureRefusedError):
        _check(held, answer.model_copy(update={"key": encode64(held.key.blob(SK_ECDSA))}))


def test_another_spelling_of_base64_is_refused(held: Desk) -> None:
    answer = _answer(held, statement())
    with pytest.raises(SignatureRefusedError, match="not base64"):
        _check(held, answer.model_copy(update={"signature": answer.signature.rstrip("=") + "A"}))


def test_touch_and_owner_are_asked_for(held: Desk) -> None:
    with pytest.raises(NotVerifiedError, match="verify-required"):
        _check(held, _answer(held, statement()), needs_verification=True)
    held.behaviour.touched = False
    held.behaviour.verified = True
    with pytest.raises(NotTouchedError):
        _check(held, _answer(held, statement()), needs_verification=True)


@pytest.mark.parametrize("flags", [0x08, 0x10, 0x18])
def test_a_key_that_can_be_copied_is_no_hardware_key(held: Desk, flags: int) -> None:
    held.behaviour.other_flags = flags
    with pytest.raises(CopyableKeyError):
        _check(held, _answer(held, statement()))


def test_of_two_copies_the_one_that_is_behind_shows(held: Desk) -> None:
    """Whoever copies the state answers unseen until the owner does: then one of the two is refused."""
    first = _check(held, _answer(held, statement())).counter
    with desk() as thief:
        shutil.copy(held.directory / "state", thief.directory / "copy")
        copy = Desk(thief.directory, SecurityKey(thief.directory / "copy"))
        stolen = _check(copy, _answer(copy, statement()), last=first).counter
        with pytest.raises(ClonedKeyError, match="a copy of it may be in use"):
            _check(held, _answer(held, statement()), last=stolen)


def test_a_counter_that_stands_still_shows_and_one_that_is_absent_does_not(held: Desk) -> None:
    held.behaviour.counting = Counting.ABSENT
    assert _check(held, _answer(held, statement()), last=0).counter == 0
    with pytest.raises(ClonedKeyError):
        _check(held, _answer(held, statement()), last=1)
    held.key.set_counter(9)
    held.behaviour.counting = Counting.FROZEN
    assert _check(held, _answer(held, statement()), last=8).counter == 9
    with pytest.raises(ClonedKeyError):
        _check(held, _answer(held, statement()), last=9)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    flags=st.integers(0, 31),
    counter=st.integers(0, 3) | st.integers(0, 2**32 - 1),
    last=st.integers(0, 3) | st.integers(0, 2**32 - 1),
    needs=st.booleans(),
)
def test_the_rules_as_a_table(flags: int, counter: int, last: int, needs: bool) -> None:  # noqa: FBT001  drawn
    allowed = flags & 0x01 and not flags & 0x18 and (flags & 0x04 or not needs)
    allowed = allowed and (counter > last or counter == last == 0)
    try:
        assert rules.judge(Assertion(flags, counter), last_counter=last, needs_verification=needs) == counter
        taken = True
    except HardwareRefusedError as error:
        taken = False
        cloned = isinstance(error, ClonedKeyError)
    if not taken:
        assert cloned == (counter <= last and not counter == last == 0)
    assert taken == bool(allowed)
