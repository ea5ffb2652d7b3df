"""The witness: C2SP tlog-witness status by status, and keys that only a certificate can renew."""

import json
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest

from ledger import checkpoint, note
from ledger.note import KeyType, SignerKey, VerifierKey
from tests.support.logs import HandClock, MemoryLog
from tests.support.shared_data import shared_data
from witness.asgi import WitnessService
from witness.cosigner import Cosigner, WrongKeyError
from witness.signer import Signer
from witness.wire import AddRequest, ConflictError, RefusalError, join_notes, origin_hash, split_notes

LEDGER = "watchfloor-test"
ORIGIN = f"{LEDGER}/7y"
NAME = "auditor.example/watchfloor"


class Pair:
    """A signer and a witness that trusts it."""

    def __init__(self, directory: Path) -> None:
        self.clock, self.log = HandClock(), MemoryLog(ORIGIN, 60)
        self.signer = Signer(directory / "signer", self.clock.now, self.clock.random_bytes)
        self.last = self.signer.sign(self.log.request(0, 10))
        self.directory = directory / "witness"
        self.witness = self.reopened()

    def reopened(self) -> Cosigner:
        return Cosigner(self.directory, NAME, [self.signer.keys()["genesis"]], self.clock.now, self.clock.random_bytes)

    def grow(self, old: int, new: int) -> bytes:
        self.last = self.signer.sign(self.log.request(old, new))
        return self.last

    def ask(self, old: int, new: int, signed: bytes | None = None) -> AddRequest:
        return AddRequest(old, self.log.proof(old, new), signed or self.last)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def refused(ask: Callable[[], object]) -> HTTPStatus:
    with pytest.raises(RefusalError) as caught:
        ask()
    return caught.value.status


def test_a_cosigned_head_can_be_read_and_verified_with_both_keys(pair: Pair) -> None:
    line = pair.witness.add(pair.ask(0, 10))
    served = pair.witness.head(origin_hash(ORIGIN))
    assert served is not None
    assert line in served
    genesis = VerifierKey.parse(pair.signer.keys()["genesis"])
    both = checkpoint.open_checkpoint(served, [genesis, VerifierKey.parse(pair.witness.vkey)])
    assert {one.key.kind for one in both.note.verified} == {KeyType.ED25519, KeyType.COSIGNATURE}
    assert pair.reopened().head(origin_hash(ORIGIN)) == served


def test_what_does_not_continue_is_refused_with_the_status_of_the_specification(pair: Pair) -> None:
    pair.witness.add(pair.ask(0, 10))
    pair.grow(10, 30)
    with pytest.raises(ConflictError) as conflict:
        pair.witness.add(pair.ask(0, 30))
    assert conflict.value.known == 10
    asked = pair.ask(10, 30)
    assert refused(lambda: pair.witness.add(AddRequest(10, asked.proof[1:], asked.checkpoint))) == 422
    assert refused(lambda: pair.witness.add(AddRequest(31, (), asked.checkpoint))) == 400
    assert refused(lambda: pair.witness.add(AddRequest(10, asked.proof, asked.checkpoint[:-9]))) == 400
    foreign = note.sign(pair.log.checkpoint(30).format(), [SignerKey(f"{LEDGER}/epoch/20513", b"\1" * 32)])
    assert refused(lambda: pair.witness.add(AddRequest(10, asked.proof, foreign))) == 403
    other = note.sign(MemoryLog("else/7y", 3).checkpoint(3).format(), [SignerKey("else/epoch/1", b"\1" * 32)])
    assert refused(lambda: pair.witness.add(AddRequest(0, (), other))) == 404
    pair.witness.add(asked)


def test_an_equivocating_signer_gets_no_cosignature(tmp_path: Path, pair: Pair) -> None:
    pair.witness.add(pair.ask(0, 10))
    stolen = SignerKey.parse(_private_key(tmp_path))
    fork = MemoryLog(ORIGIN, 60, "fork")
    for size in (10, 30):
        head = checkpoint.head(ORIGIN, size, fork.checkpoint(size).root, 20513)
        forged = AddRequest(10, fork.proof(10, size), note.sign(head.format(), [stolen]))
        assert refused(partial(pair.witness.add, forged)) == 422


def _private_key(directory: Path) -> str:
    return str(json.loads((directory / "signer" / "signer.json").read_text())["key"])


def test_a_new_days_key_is_taken_with_its_certificate_only(pair: Pair) -> None:
    pair.witness.add(pair.ask(0, 10))
    pair.clock.pass_days(2)
    pair.grow(10, 20)
    assert refused(lambda: pair.witness.add(pair.ask(10, 20))) == 403
    certificates = [one.encode() for one in pair.signer.keys()["certificates"]]
    assert refused(lambda: pair.witness.learn(certificates[1:])) == 403
    pair.witness.learn(certificates)
    pair.witness.learn(certificates)
    again = pair.reopened()
    again.add(pair.ask(10, 20))


def test_a_head_of_an_ended_epoch_is_refused(tmp_path: Path, pair: Pair) -> None:
    yesterday = SignerKey.parse(_private_key(tmp_path))
    pair.clock.pass_days(1)
    pair.grow(10, 20)
    pair.witness.learn([one.encode() for one in pair.signer.keys()["certificates"]])
    pair.witness.add(pair.ask(0, 20))
    late = checkpoint.head(ORIGIN, 40, pair.log.checkpoint(40).root, 20513)
    assert refused(lambda: pair.witness.add(pair.ask(20, 40, note.sign(late.format(), [yesterday])))) == 403


def test_keys_that_cannot_be_are_told_at_the_start(pair: Pair) -> None:
    other = SignerKey("not-an-epoch", b"\1" * 32).verifier.encode()
    for key in ("nonsense", other):
        with pytest.raises(WrongKeyError):
            Cosigner(pair.directory, NAME, [key], pair.clock.now, pair.clock.random_bytes)
    with pytest.raises(WrongKeyError, match=r"is the key of auditor\.example"):
        Cosigner(pair.directory, "another", [], pair.clock.now, pair.clock.random_bytes)


def test_requests_are_read_as_the_specification_writes_them() -> None:
    text = shared_data("vectors/tlog-specs-c2sp/tlog-witness.md").read_text()
    example = text[text.index("    old 20852014") : text.index("The witness MUST verify the checkpoint signature")]
    body = "".join(f"{line[4:]}\n" for line in example.rstrip().split("\n")).encode()
    request = AddRequest.parse(body)
    assert (request.old, len(request.proof)) == (20852014, 4)
    assert request.format() == body
    assert checkpoint.Checkpoint.parse(note.split(request.checkpoint)[0]).size == 20852163


@pytest.mark.parametrize(
    "body",
    [b"", b"old 1\n", b"old 01\n\nx", b"new 1\n\nx", b"old 1\nAAAA\n\nx", b"old -1\n\nx", b"old 1\n\xff\n\nx",
     b"old 1\n" + b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64 + b"\nx"],
)  # fmt: skip
def test_bodies_that_are_none_are_refused(body: bytes) -> None:
    assert refused(lambda: AddRequest.parse(body)) == 400


def test_joined_notes_come_apart_again() -> None:
    assert split_notes(join_notes([b"one", b"", b"3\nthree"])) == (b"one", b"", b"3\nthree")
    for wrong in (b"x", b"9\nshort", b"-1\n", b"01\nx"):
        assert refused(partial(split_notes, wrong)) == 400


def test_addresses_that_name_nothing(pair: Pair) -> None:
    service = WitnessService(pair.witness)
    assert refused(lambda: service.answer("GET", "/", b"")) == 404
    assert refused(lambda: service.answer("GET", f"/{'0' * 64}/checkpoint", b"")) == 404
    assert refused(lambda: service.answer("DELETE", f"/{'0' * 64}/checkpoint", b"")) == 405
