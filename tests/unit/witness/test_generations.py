"""A new generation is signed with the restore that it began with, and with nothing less."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledger.checkpoint import Checkpoint
from ledger.merkle import EMPTY_ROOT, inclusion_path, leaf_hash, root_of
from ledger.restored import Origin, ProvedEntry, Restoration, RestorationError
from tests.support.logs import HandClock, MemoryLog
from witness.cosigner import Cosigner
from witness.heads import DamagedHeadError
from witness.signer import Signer
from witness.wire import AddRequest, ConflictError, RefusalError, RestorationRequest

LEDGER = "watchfloor-test"
NAME = "auditor.example/watchfloor"


class Party:
    """A signer and a witness behind it that are asked the same; what both say must be the same."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock = directory, HandClock()
        self.open()

    def open(self) -> None:
        self.signer = Signer(self.directory / "signer", self.clock.now, self.clock.random_bytes)

    def witness(self) -> Cosigner:
        genesis = self.signer.keys()["genesis"]
        return Cosigner(self.directory / "witness", NAME, [genesis], self.clock.now, self.clock.random_bytes)

    def sign(self, log: MemoryLog, old: int, new: int) -> bytes:
        signed = self.signer.sign(log.request(old, new))
        self.witness().add(AddRequest(old, log.proof(old, new), signed))
        return signed

    def restore(self, log: MemoryLog, old: int, new: int, entries: list[ProvedEntry]) -> bytes:
        signed = self.signer.restore(RestorationRequest(log.request(old, new), tuple(entries)))
        self.witness().restore(RestorationRequest(AddRequest(old, log.proof(old, new), signed), tuple(entries)))
        return signed


@pytest.fixture
def party(tmp_path: Path) -> Party:
    """Both hold heads of `meta` and of a log, of 10 and 20 entries."""
    made = Party(tmp_path)
    made.sign(meta(), 0, 10)
    made.sign(MemoryLog(f"{LEDGER}/7y", 30), 0, 20)
    return made


def meta(generation: int = 1, *canons: bytes, count: int = 10) -> MemoryLog:
    log = MemoryLog(str(Origin(LEDGER, "meta", generation)), count)
    log.leaves += [leaf_hash(canon) for canon in canons]
    return log


def lost(head: Checkpoint, note: bytes | None = None, present: tuple[int, bytes] = (0, EMPTY_ROOT)) -> dict[str, Any]:
    signed = note or (head.format() + "\n— nobody AAAAAAA=\n").encode()
    return {"checkpoint": signed.decode(), "present": {"size": present[0], "root": present[1].hex()}}


def told(generation: Any, *items: dict[str, Any], **changed: Any) -> bytes:
    origin = changed.pop("origin", None) or str(Origin(LEDGER, "meta", generation))
    facts = {"generation": generation, "origin": origin, "lost": list(items)}
    index = {"log": "meta", "event_type": "ledger.log.restored", **changed.pop("index", {})}
    return json.dumps({"body": {"detail": {"new_value": {**facts, **changed}}}, "index": index}).encode()


def proved(log: MemoryLog, at: int, size: int, canon: bytes) -> ProvedEntry:
    def subtree(level: int, position: int) -> bytes:
        return root_of(log.leaves[position << level : (position + 1) << level])

    return ProvedEntry(at, tuple(inclusion_path(at, size, subtree)), canon)


def status(ask: Callable[[], object]) -> int:
    with pytest.raises(RefusalError) as refused:
        ask()
    return int(refused.value.status)


def test_a_new_generation_begins_with_its_restore_and_goes_on_from_what_was_held(party: Party) -> None:
    whole = MemoryLog(f"{LEDGER}/7y", 30)
    canon = told(2)
    log = meta(2, canon)
    assert status(partial(party.signer.sign, log.request(0, 11))) == 428
    entry = proved(log, 10, 11, canon)
    with pytest.raises(ConflictError) as conflict:
        party.restore(log, 0, 11, [entry])
    assert conflict.value.known == 10
    party.restore(log, 10, 11, [entry])
    party.open()
    whole.origin = f"{LEDGER}/7y/r2"
    other = MemoryLog(f"{LEDGER}/7y/r2", 30, "other")
    for started in (0, 20):
        assert status(partial(party.signer.sign, other.request(started, 30))) in {409, 422}
    party.sign(whole, 20, 30)
    whole.origin = f"{LEDGER}/7y"
    assert status(partial(party.signer.sign, whole.request(20, 30))) == 422
    assert f"{LEDGER}/meta/r2" in party.witness().origins(LEDGER)
    assert party.witness().origins("other") == ()


def test_a_head_that_is_accounted_for_need_not_be_continued_but_what_was_left_must(party: Party) -> None:
    before, after = MemoryLog(f"{LEDGER}/7y", 30), MemoryLog(f"{LEDGER}/7y/r2", 15)
    after.leaves += [leaf_hash(b"new")] * 20
    left = after.checkpoint(15)
    canon = told(2, lost(before.checkpoint(20), present=(15, left.root)))
    log = meta(2, canon)
    party.restore(log, 10, 11, [proved(log, 10, 11, canon)])
    with pytest.raises(ConflictError) as conflict:
        party.signer.sign(after.request(0, 35))
    assert conflict.value.known == 15
    forged = MemoryLog(f"{LEDGER}/7y/r2", 35, "other")
    assert status(partial(party.signer.sign, forged.request(15, 35))) == 422
    party.sign(after, 15, 35)


@pytest.mark.parametrize("named", [19, 21, "fork"])
def test_a_restore_that_names_another_head_than_the_one_held_is_refused(party: Party, named: Any) -> None:
    before = MemoryLog(f"{LEDGER}/7y", 30, "fork" if named == "fork" else "")
    canon = told(2, lost(before.checkpoint(20 if named == "fork" else named)))
    log = meta(2, canon)
    request = RestorationRequest(log.request(10, 11), (proved(log, 10, 11, canon),))
    assert status(partial(party.signer.restore, request)) == 422
    assert status(partial(party.signer.sign, log.request(10, 11))) == 428


def test_a_larger_head_releases_a_smaller_one_if_it_was_signed(party: Party) -> None:
    """A witness that was away holds less than what the restore accounts for."""
    newest = party.signer.sign(MemoryLog(f"{LEDGER}/7y", 30).request(20, 25))
    canon = told(2, lost(MemoryLog(f"{LEDGER}/7y", 30).checkpoint(25), newest))
    log = meta(2, canon)
    party.restore(log, 10, 11, [proved(log, 10, 11, canon)])


def test_what_is_no_restore_is_refused(party: Party) -> None:
    good = told(2)
    log = meta(2, good)
    entry = proved(log, 10, 11, good)
    wrong = [
        [],
        [ProvedEntry(9, entry.path, good)],
        [ProvedEntry(10, entry.path[1:], good)],
        [ProvedEntry(10, entry.path, told(2, reason="x"))],
    ]
    for entries in wrong:
        request = RestorationRequest(log.request(10, 11), tuple(entries))
        assert status(partial(party.signer.restore, request)) == 400
    for canon in (
        told(3),
        told(2, index={"log": "7y"}),
        told(2, index={"event_type": "ledger.key.rotated"}),
        told(2, origin="other/meta/r2"),
        told(2, origin=f"{LEDGER}/7y/r2"),
        told("2", origin=f"{LEDGER}/meta/r2"),
        told(2, {"checkpoint": "x", "present": {"size": 0, "root": ""}}),
        told(2, lost(Checkpoint("other/7y", 0, EMPTY_ROOT))),
        b"[]",
        b"\xff",
    ):
        shown = meta(2, canon)
        request = RestorationRequest(shown.request(10, 11), (proved(shown, 10, 11, canon),))
        assert status(partial(party.signer.restore, request)) == 400
    aside = MemoryLog(f"{LEDGER}/7y/r2", 30)
    assert status(partial(party.signer.restore, RestorationRequest(aside.request(20, 30), (entry,)))) == 400


def test_a_witness_that_was_away_is_shown_every_restore(party: Party) -> None:
    before = MemoryLog(f"{LEDGER}/7y", 30)
    first = told(2, lost(before.checkpoint(20)))
    second = told(3)
    early = meta(2, first)
    party.signer.restore(RestorationRequest(early.request(10, 11), (proved(early, 10, 11, first),)))
    log = meta(3, first, second)
    entries = [proved(log, 10, 12, first), proved(log, 11, 12, second)]
    signed = party.signer.restore(RestorationRequest(log.request(11, 12), tuple(entries)))
    witness = party.witness()
    request = RestorationRequest(AddRequest(10, log.proof(10, 12), signed), tuple(entries))
    witness.restore(request)
    after = MemoryLog(f"{LEDGER}/7y/r3", 5, "new")
    line = party.witness().add(AddRequest(0, (), party.signer.sign(after.request(0, 5))))
    assert line.startswith("— ".encode() + NAME.encode())


def test_a_restore_survives_a_crash_between_its_two_files(party: Party, tmp_path: Path) -> None:
    canon = told(2)
    log = meta(2, canon)
    signed = party.restore(log, 10, 11, [proved(log, 10, 11, canon)])
    for kept in (tmp_path / "signer" / "heads").iterdir():
        if kept.read_bytes() == signed:
            kept.unlink()
    party.open()
    assert f"{LEDGER}/meta/r2" in party.signer.keys()["origins"]
    (shown,) = (tmp_path / "signer" / "restores").iterdir()
    shown.write_bytes(shown.read_bytes()[:-3])
    with pytest.raises(DamagedHeadError):
        party.open()


def test_the_request_comes_back_as_it_was_written() -> None:
    log = meta(2, b"entry")
    request = RestorationRequest(log.request(4, 11), (proved(log, 10, 11, b"en\n\ntry"),))
    assert RestorationRequest.parse(request.format()) == request
    for raw in (b"", b"3\nabc", b"7\nold 1\n\nx"):
        with pytest.raises(RefusalError):
            RestorationRequest.parse(raw)


@pytest.mark.parametrize("text", ["", "x", "x/", "/x", "x/7y/r1", "x/7y/r02", "x/7y/r2/r3", "x/7y/2", "x/7y/r2\n"])
def test_an_origin_has_one_spelling(text: str) -> None:
    with pytest.raises(RestorationError):
        Origin.parse(text)
    assert str(Origin.parse("x/7y")) == "x/7y"
    assert Origin.parse("x/import:a_b/r12") == Origin("x", "import:a_b", 12)


def test_an_entry_is_read_whatever_is_in_it() -> None:
    for canon in (b"{}", b"null", b'{"index":{},"body":{}}', b"[" * 100_000):
        with pytest.raises(RestorationError):
            Restoration.parse(canon)
