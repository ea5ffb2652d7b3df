"""A signer that dies: at every single step of its writing, and as a real process at moments nobody chose."""

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ledger import checkpoint
from ledger.merkle import verify_consistency
from tests.support.logs import HandClock, MemoryLog
from tests.support.parties import signing
from tests.support.processes import until
from witness.signer import Signer
from witness.wire import AddRequest, ConflictError, RefusalError, origin_hash

ORIGIN = "watchfloor-test/7y"
KILLS = 6


class DiedError(BaseException):
    """The process ended here; nothing of ours may catch it."""


@contextmanager
def dying_after(monkeypatch: pytest.MonkeyPatch, calls: int) -> Iterator[list[int]]:
    """Die at one of the calls that change the disk; the list counts those made."""
    made = [0]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            made[0] += 1
            if made[0] > calls:
                raise DiedError
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counted(os.fsync))
        patch.setattr(os, "open", counted(os.open))
        patch.setattr(Path, "replace", counted(Path.replace))
        yield made


def opened(directory: Path, clock: HandClock) -> Signer:
    return Signer(directory, clock.now, clock.random_bytes)


@pytest.mark.parametrize("new_day", [0, 1])
def test_dying_at_any_step_neither_forks_nor_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_day: int
) -> None:
    log, fork, finished = MemoryLog(ORIGIN, 40), MemoryLog(ORIGIN, 40, "fork"), False
    for calls in range(100):
        directory, clock = tmp_path / f"{calls}", HandClock()
        signer = opened(directory, clock)
        signer.sign(log.request(0, 10))
        first_key = signer.keys()["genesis"]
        clock.pass_days(new_day)
        try:
            with dying_after(monkeypatch, calls):
                signer.sign(log.request(10, 20))
            finished = True
        except DiedError:
            pass
        again = opened(directory, clock)
        told = again.keys()
        assert told["genesis"] == first_key
        keys = checkpoint.verify_chain(first_key, [one.encode() for one in told["certificates"]])
        assert len(keys) <= 1 + new_day
        held = again.head(origin_hash(ORIGIN))
        assert held is not None
        size = checkpoint.open_checkpoint(held, list(keys.values())).checkpoint.size
        assert size == 20 if finished else size in (10, 20)
        with pytest.raises(RefusalError):
            again.sign(fork.request(size, 20 if size == 20 else 10))
        assert again.sign(log.request(size, 30))
        if finished:
            return
    pytest.fail("the signer makes more steps than the test knows")


def post(path: Path, body: bytes) -> tuple[int, str]:
    """Ask a signer once, on a connection of its own."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(2)
        stream.connect(str(path))
        connection = HTTPConnection("signer")
        connection.sock = stream
        connection.request("POST", "/sign-checkpoint", body)
        with connection.getresponse() as answer:
            return answer.status, answer.read().decode()


def test_a_killed_process_never_signs_two_trees_of_one_size(tmp_path: Path) -> None:
    """Two askers with two trees and a killer: whatever was answered, it is one growing tree."""
    logs = {salt: MemoryLog(ORIGIN, 3_000, salt) for salt in ("", "fork")}
    roots: dict[int, bytes] = {}
    lock, chance = threading.Lock(), random.Random(7)  # noqa: S311  a test's dice
    stop = threading.Event()

    def ask(log: MemoryLog) -> None:
        known = 0
        while not stop.is_set():
            size = min(known + 1 + known % 3, 2_999)
            body = AddRequest(known, log.proof(known, size), log.checkpoint(size).format().encode()).format()
            try:
                status, answer = post(tmp_path / "signer.sock", body)
            except (OSError, HTTPException):
                time.sleep(0.01)
                continue
            if status == 409:
                known = int(answer)
            elif status == 200:
                head = checkpoint.Checkpoint.parse(answer.partition("\n\n")[0] + "\n")
                with lock:
                    assert roots.setdefault(head.size, head.root) == head.root
                known = size
            else:
                assert status == 422
                time.sleep(0.01)

    askers = [threading.Thread(target=ask, args=(log,)) for log in logs.values()]
    for thread in askers:
        thread.start()
    try:
        for _ in range(KILLS):
            with signing(tmp_path) as process:
                time.sleep(chance.uniform(0.0, 0.4))
                process.kill()
        with signing(tmp_path):
            until(lambda: len(roots) > KILLS, "heads signed after the last death")
    finally:
        stop.set()
        for thread in askers:
            thread.join()
    winners = [salt for salt, log in logs.items() if all(log.checkpoint(size).root == roots[size] for size in roots)]
    assert len(winners) == 1
    log = logs[winners[0]]
    sizes = sorted(roots)
    for old, new in pairwise(sizes):
        verify_consistency(old, new, roots[old], roots[new], log.proof(old, new))
    signer = opened(tmp_path / "signer", HandClock())
    with pytest.raises(ConflictError) as conflict:
        signer.sign(log.request(0, 2_999))
    assert conflict.value.known >= max(roots)
