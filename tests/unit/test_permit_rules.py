"""The pure parts of giving permits: the form of statements, and when a report is written."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.executors.process import Process, acknowledged
from backend.executors.signing import PermitSigner, StatementError, decode, encode, read_acknowledgement, read_key
from backend.freeze import service as freeze
from contract.scope import GLOBAL
from contract.states import FreezeMode
from gate.statements import Kind, key_id, read
from tests.support.holds import renewal

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LIFE = timedelta(seconds=2)
SIGNER = PermitSigner(bytes(range(32)))


def hold(epoch: int = 1, mode: FreezeMode = FreezeMode.HALT) -> freeze.Hold:
    return freeze.Hold(id=UUID(int=epoch), number=epoch, epoch=epoch, scope=GLOBAL, mode=mode, created_at=NOW)


def written(request_no: int = 1, *, permit_life: timedelta | None = LIFE) -> Process:
    """A process whose report has just been stored."""
    request = renewal(request_no=request_no)
    process = Process.of(request, None)
    process.wrote(process.report(request, epoch=0, now=NOW, permit_life=permit_life), NOW)
    return process


def test_the_key_follows_from_the_seed_and_is_named_as_gates_name_it() -> None:
    assert PermitSigner(bytes(range(32))).public_key == SIGNER.public_key
    raw = decode(SIGNER.public_key)
    assert SIGNER.kid == key_id(raw)
    header, _, _ = SIGNER.sign({}).split(".")
    assert json.loads(decode(header)) == {"alg": "EdDSA", "kid": SIGNER.kid, "typ": "watchfloor-permit"}
    assert raw.hex() not in repr(SIGNER)


@given(st.dictionaries(st.text(max_size=9), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()))
def test_whatever_is_signed_is_read_alike_by_the_other_side(claims: dict[str, int | str | None]) -> None:
    assert read(SIGNER.sign(claims), Kind.PERMIT, {SIGNER.kid: decode(SIGNER.public_key)}) == claims


@pytest.mark.parametrize("text", ["AA=", "AB", "A", "A A", "ä", "AAA\n", "A+/A"])
def test_base64_has_one_form(text: str) -> None:
    with pytest.raises(StatementError):
        decode(text)
    assert decode(encode(b"\x00")) == b"\x00"


@given(st.text(max_size=60) | st.tuples(*[st.binary(max_size=30).map(encode)] * 3).map(".".join))
def test_no_text_reads_as_an_acknowledgement(text: str) -> None:
    with pytest.raises(StatementError):
        read_acknowledgement(text, kid="boot-1", key=read_key(SIGNER.public_key))


def test_a_report_is_written_when_the_stored_one_says_too_little() -> None:
    quiet = renewal(request_no=2)
    assert Process.of(quiet, None).must_write(quiet, now=NOW, permit_life=LIFE)
    process = written()
    assert not process.must_write(quiet, now=NOW, permit_life=LIFE)
    assert process.must_write(quiet, now=NOW + freeze.REPORT_EVERY, permit_life=LIFE)
    assert process.must_write(renewal(seen_epoch=3), now=NOW, permit_life=LIFE)
    assert process.must_write(renewal(open_orders=9), now=NOW, permit_life=LIFE)


def test_a_permit_needs_a_stored_bound_that_outlives_it_and_a_halt_needs_none() -> None:
    process = written(permit_life=None)
    assert process.permit_until is None
    assert not process.must_write(renewal(), now=NOW, permit_life=None)
    assert process.must_write(renewal(), now=NOW, permit_life=LIFE)


@given(st.lists(st.integers(0, 1_500), max_size=30))
def test_no_permit_outlives_the_bound_that_is_stored_when_it_is_given(pauses_ms: list[int]) -> None:
    process, now, stored = Process.of(renewal(), None), NOW, NOW
    for pause in pauses_ms:
        now += timedelta(milliseconds=pause)
        if process.must_write(renewal(), now=now, permit_life=LIFE):
            report = process.report(renewal(), epoch=0, now=now, permit_life=LIFE)
            assert report.permit_until is not None
            stored = max(stored, report.permit_until)
            process.wrote(report, now)
        assert stored >= now + LIFE


def test_changes_are_written_once_a_second() -> None:
    process = written()
    first = renewal(open_orders=9)
    process.wrote(process.report(first, epoch=0, now=NOW, permit_life=LIFE), NOW)
    soon = NOW + freeze.REPORT_EVERY / 2
    assert not process.must_write(renewal(open_orders=10), now=soon, permit_life=LIFE)


def test_nobody_is_stored_as_knowing_of_a_freeze_that_is_not_made_yet() -> None:
    process = written()
    report = process.report(renewal(seen_epoch=7, halted_epoch=7), epoch=6, now=NOW, permit_life=None)
    assert (report.request.seen_epoch, report.request.halted_epoch) == (0, 0)


def test_a_simple_bots_word_acknowledges_what_was_made_and_only_once() -> None:
    process, holds = written(), (hold(1), hold(2))
    said = acknowledged(process, renewal(halted_epoch=1), holds=holds, epoch=2)
    assert said is not None
    assert [answer.hold.epoch for answer in said.answers] == [1]
    assert acknowledged(process, renewal(halted_epoch=3), holds=holds, epoch=2) is None
    process.acked_epoch = 1
    assert acknowledged(process, renewal(halted_epoch=1), holds=holds, epoch=2) is None
    later = acknowledged(process, renewal(halted_epoch=2), holds=holds, epoch=2)
    assert later is not None
    assert [answer.hold.epoch for answer in later.answers] == [2]


def test_who_registered_no_key_cannot_sign() -> None:
    with pytest.raises(StatementError, match="no key"):
        acknowledged(written(), renewal(acknowledgement="a.b.c"), holds=(hold(),), epoch=1)
