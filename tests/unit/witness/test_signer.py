"""The signer: it continues, it never forks, it never goes back, and its keys form one chain."""

import json
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import checkpoint
from ledger.note import NoteError
from tests.support.logs import HandClock, MemoryLog
from witness.heads import DamagedHeadError
from witness.signer import DamagedKeyError, Signer
from witness.wire import AddRequest, ConflictError, RefusalError, origin_hash

LEDGER = "watchfloor-test"
ORIGIN = f"{LEDGER}/7y"


def opened(directory: Path, clock: HandClock) -> Signer:
    return Signer(directory, clock.now, clock.random_bytes)


def verify(signer: Signer, signed: bytes) -> checkpoint.SignedCheckpoint:
    told = signer.keys()
    chain = checkpoint.verify_chain(told["genesis"], [one.encode() for one in told["certificates"]])
    return checkpoint.open_checkpoint(signed, list(chain.values()))


def test_heads_that_continue_are_signed_by_the_key_of_the_day(tmp_path: Path) -> None:
    signer, log = opened(tmp_path, HandClock()), MemoryLog(ORIGIN, 50)
    for old, new in ((0, 7), (7, 7), (7, 50)):
        head = verify(signer, signer.sign(log.request(old, new))).checkpoint
        assert (head.origin, head.size, head.root) == (ORIGIN, new, log.checkpoint(new).root)
        assert head.epoch == 20513
    assert signer.head(origin_hash(ORIGIN)) == signer.sign(log.request(50, 50))


def test_another_tree_of_the_same_or_a_larger_size_is_refused(tmp_path: Path) -> None:
    signer, log, fork = opened(tmp_path, HandClock()), MemoryLog(ORIGIN, 50), MemoryLog(ORIGIN, 50, "other")
    signer.sign(log.request(0, 20))
    for request in (fork.request(20, 20), fork.request(20, 50), AddRequest(20, (), log.request(0, 50).checkpoint)):
        with pytest.raises(RefusalError) as refused:
            signer.sign(request)
        assert refused.value.status is HTTPStatus.UNPROCESSABLE_ENTITY
    assert verify(signer, signer.sign(log.request(20, 50))).checkpoint.size == 50


def test_an_older_head_is_told_the_size_of_the_last_one(tmp_path: Path) -> None:
    signer, log = opened(tmp_path, HandClock()), MemoryLog(ORIGIN, 50)
    signer.sign(log.request(0, 40))
    for old, new in ((0, 50), (10, 30), (30, 40)):
        with pytest.raises(ConflictError) as conflict:
            signer.sign(log.request(old, new))
        assert conflict.value.known == 40
    with pytest.raises(RefusalError, match="larger than the checkpoint's"):
        signer.sign(AddRequest(40, (), log.request(0, 39).checkpoint))


def test_logs_stand_each_for_itself_and_other_ledgers_are_refused(tmp_path: Path) -> None:
    signer = opened(tmp_path, HandClock())
    signer.sign(MemoryLog(ORIGIN, 9).request(0, 9))
    signer.sign(MemoryLog(f"{LEDGER}/meta", 3).request(0, 3))
    with pytest.raises(RefusalError, match="signs for watchfloor-test only"):
        signer.sign(MemoryLog("watchfloor-other/7y", 3).request(0, 3))
    assert signer.keys()["origins"] == [ORIGIN, f"{LEDGER}/meta"]


def test_a_new_day_has_a_new_key_and_the_old_one_is_gone(tmp_path: Path) -> None:
    clock = HandClock()
    signer, log = opened(tmp_path, clock), MemoryLog(ORIGIN, 50)
    first = signer.sign(log.request(0, 10))
    before = json.loads((tmp_path / "signer.json").read_text())["key"]
    clock.pass_days(3)
    second = signer.sign(log.request(10, 20))
    assert len(signer.keys()["certificates"]) == 3
    assert before not in (tmp_path / "signer.json").read_text()
    assert [verify(signer, one).checkpoint.epoch for one in (first, second)] == [20513, 20516]
    clock.pass_days(-2)  # a clock that runs backwards does not bring an old key back
    assert verify(signer, signer.sign(log.request(20, 30))).checkpoint.epoch == 20516


def test_a_clock_far_ahead_is_not_followed(tmp_path: Path) -> None:
    clock = HandClock()
    signer, log = opened(tmp_path, clock), MemoryLog(ORIGIN, 50)
    signer.sign(log.request(0, 10))
    clock.pass_days(36_500)
    with pytest.raises(RefusalError) as refused:
        signer.sign(log.request(10, 20))
    assert refused.value.status is HTTPStatus.SERVICE_UNAVAILABLE


def test_a_signature_of_the_wrong_epochs_key_is_not_believed(tmp_path: Path) -> None:
    clock = HandClock()
    signer, log = opened(tmp_path, clock), MemoryLog(ORIGIN, 50)
    signed = signer.sign(log.request(0, 10))
    forged = signed.replace(b"epoch 20513\n", b"epoch 20514\n", 1)
    with pytest.raises((NoteError, checkpoint.CheckpointError)):
        verify(signer, forged)


def test_damaged_files_stop_the_signer_instead_of_starting_anew(tmp_path: Path) -> None:
    clock = HandClock()
    opened(tmp_path, clock).sign(MemoryLog(ORIGIN, 9).request(0, 9))
    key, (head,) = tmp_path / "signer.json", (tmp_path / "heads").glob("*.checkpoint")
    whole = key.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole.replace(b"PRIVATE+KEY", b"PRIVATE-KEY")):
        key.write_bytes(damaged)
        with pytest.raises(DamagedKeyError):
            opened(tmp_path, clock)
    key.unlink()
    with pytest.raises(DamagedKeyError, match="missing"):
        opened(tmp_path, clock)
    key.write_bytes(whole)
    head.write_bytes(head.read_bytes()[:-9])
    with pytest.raises(DamagedHeadError):
        opened(tmp_path, clock)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans(), st.booleans()), max_size=12))
def test_no_sequence_of_requests_and_restarts_signs_two_trees(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool, bool]]
) -> None:
    directory, clock = tmp_path_factory.mktemp("signer"), HandClock()
    logs = {False: MemoryLog(ORIGIN, 40), True: MemoryLog(ORIGIN, 40, "fork")}
    signer, signed, largest = opened(directory, clock), dict[int, bytes](), 0
    for old, new, forked, restart in steps:
        if old > new:
            continue
        try:
            head = verify(signer, signer.sign(logs[forked].request(old, new))).checkpoint
        except RefusalError:
            pass
        else:
            assert signed.setdefault(head.size, head.root) == head.root
            assert head.size >= largest
            largest = head.size
        if restart:
            signer = opened(directory, clock)
