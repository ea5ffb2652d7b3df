"""Checkpoints, epochs and single-entry proofs: what is read back, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import checkpoint, merkle, note, tlogproof
from ledger.checkpoint import Checkpoint, CheckpointError, EpochCertificate
from ledger.note import KeyType, NoteError, SignerKey
from ledger.tlogproof import TlogProof, TlogProofError
from tests.support.shared_data import shared_data

LEDGER = "example.com/ledger"
ORIGIN = "example.com/ledger/y7"
WITNESS = SignerKey("example.com/witness", b"w" * 32, KeyType.COSIGNATURE)
EPOCHS = [SignerKey(checkpoint.epoch_key_name(LEDGER, epoch), bytes([epoch]) * 32) for epoch in range(4)]
CANONS = [b'{"n":%d}' % number for number in range(21)]
LEAVES = [merkle.leaf_hash(one) for one in CANONS]


def subtree(level: int, position: int) -> bytes:
    return merkle.root_of(LEAVES[position << level : (position + 1) << level])


def certificates() -> list[bytes]:
    return [
        EpochCertificate(LEDGER, epoch, EPOCHS[epoch].verifier).sign(EPOCHS[epoch - 1])
        for epoch in range(1, len(EPOCHS))
    ]


def test_the_published_checkpoints_read_back() -> None:
    for name in ("tlog-checkpoint.md", "tlog-cosignature.md"):
        page = shared_data(f"vectors/tlog-specs-c2sp/{name}").read_text()
        start = page.index("example.com/behind-the-sofa\n")
        data = page[start : page.index("```", start)].encode()
        text, signatures = note.split(data)
        found = Checkpoint.parse(text)
        assert (found.origin, found.size, found.extensions) == ("example.com/behind-the-sofa", 20852163, ())
        assert found.format() == text
        assert len(signatures) in (1, 2)
        assert (text + "\n" + "".join(one.line() for one in signatures)).encode() == data


def test_a_head_is_accepted_from_the_key_of_its_epoch_only() -> None:
    keys = [key.verifier for key in EPOCHS]
    for epoch in range(4):
        for signer in range(4):
            data = note.sign(checkpoint.head(ORIGIN, 21, merkle.root_of(LEAVES), epoch).format(), [EPOCHS[signer]])
            if signer == epoch:
                assert checkpoint.open_checkpoint(data, keys).checkpoint.epoch == epoch
            else:
                with pytest.raises(CheckpointError):
                    checkpoint.open_checkpoint(data, keys)
    plain = note.sign(Checkpoint(ORIGIN, 21, merkle.root_of(LEAVES)).format(), [EPOCHS[1]])
    with pytest.raises(CheckpointError):
        checkpoint.open_checkpoint(plain, keys)


def test_a_cosignature_alone_does_not_make_a_head_of_an_epoch() -> None:
    text = checkpoint.head(ORIGIN, 0, merkle.EMPTY_ROOT, 2).format()
    data = note.attach(note.sign(text, [EPOCHS[2]]), [note.cosign(text, WITNESS, 1)])
    with pytest.raises(CheckpointError):
        checkpoint.open_checkpoint(data, [WITNESS.verifier])
    assert checkpoint.open_checkpoint(data, [WITNESS.verifier, EPOCHS[2].verifier])


ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize(
    "text",
    [
        "", "o\n", f"o\n0\n{ROOT}", f"\n0\n{ROOT}\n", f"o\n00\n{ROOT}\n", f"o\n-1\n{ROOT}\n", f"o\n0\n{ROOT[:-1]}\n",
        f"o\n0\n{ROOT}\n\n", "o\n0\nAAAA\n", f"o\n+1\n{ROOT}\n", f"o\n1_0\n{ROOT}\n", f"o\n٣\n{ROOT}\n",
        f"o\n9223372036854775808\n{ROOT}\n", "o\n0\n" + "A" * 43 + "=\n", f"o\n1\n{ROOT}\n" + "x\n" * 17,
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        Checkpoint.parse(text)


@pytest.mark.parametrize("lines", [("epoch 1", "epoch 1"), ("epoch 01",), ("epoch ",), ("epoch x",)])
def test_an_epoch_has_one_spelling(lines: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError):
        _ = Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT, lines).epoch


def test_the_chain_of_epoch_keys_is_followed() -> None:
    chain = checkpoint.verify_chain(EPOCHS[0].verifier.encode(), certificates())
    assert chain == {epoch: key.verifier for epoch, key in enumerate(EPOCHS)}
    assert list(checkpoint.verify_chain(EPOCHS[2].verifier.encode(), certificates()[2:])) == [2, 3]


def test_a_chain_with_a_gap_another_order_or_another_signer_is_refused() -> None:
    one, two, three = certificates()
    genesis = EPOCHS[0].verifier.encode()
    forged = note.sign(EpochCertificate(LEDGER, 1, EPOCHS[1].verifier).format(), [EPOCHS[3]])
    reused_key = SignerKey(checkpoint.epoch_key_name(LEDGER, 1), EPOCHS[0].seed)
    reused = EpochCertificate(LEDGER, 1, reused_key.verifier).sign(EPOCHS[0])
    for wrong in ([two], [one, three], [one, one], [two, one], [forged], [reused]):
        with pytest.raises((CheckpointError, NoteError)):
            checkpoint.verify_chain(genesis, wrong)
    for at in range(len(one)):
        with pytest.raises((CheckpointError, NoteError)):
            checkpoint.verify_chain(genesis, [one[:at] + bytes([one[at] ^ 1]) + one[at + 1 :]])
    with pytest.raises(CheckpointError):
        checkpoint.verify_chain(WITNESS.verifier.encode(), [])


def test_a_certificate_is_no_checkpoint_and_the_other_way_round() -> None:
    with pytest.raises(CheckpointError):
        Checkpoint.parse(EpochCertificate(LEDGER, 1, EPOCHS[1].verifier).format())
    with pytest.raises(CheckpointError):
        EpochCertificate.parse(checkpoint.head(checkpoint.CERTIFICATE_HEADER, 0, merkle.EMPTY_ROOT, 1).format())


def proof_of(index: int, extra: bytes | None = None) -> TlogProof:
    text = checkpoint.head(ORIGIN, len(LEAVES), merkle.root_of(LEAVES), 1).format()
    data = note.attach(note.sign(text, [EPOCHS[1]]), [note.cosign(text, WITNESS, 7)])
    return TlogProof(index, tuple(merkle.inclusion_path(index, len(LEAVES), subtree)), data, extra)


def verify(proof: TlogProof, canon: bytes, *, origin: str = ORIGIN, witnesses: int = 1) -> None:
    tlogproof.verify(
        proof, canon, origin=origin, log_keys=[EPOCHS[1].verifier], witness_keys=[WITNESS.verifier],
        witnesses_needed=witnesses,
    )  # fmt: skip


@pytest.mark.parametrize("extra", [None, b"", b"more"])
def test_a_proof_reads_back_and_holds_for_its_entry_only(extra: bytes | None) -> None:
    for index, canon in enumerate(CANONS):
        proof = TlogProof.parse(proof_of(index, extra).format())
        assert proof == proof_of(index, extra)
        verify(proof, canon)
        with pytest.raises(TlogProofError):
            verify(proof, CANONS[index - 1])
    assert proof_of(3).format().startswith(b"c2sp.org/tlog-proof@v1\nindex 3\n")


def test_a_proof_of_another_log_or_with_too_few_witnesses_is_refused() -> None:
    with pytest.raises(TlogProofError, match="another log"):
        verify(proof_of(3), CANONS[3], origin="example.com/other")
    with pytest.raises(TlogProofError, match="witnesses"):
        verify(proof_of(3), CANONS[3], witnesses=2)
    with pytest.raises(TlogProofError, match="itself"):
        tlogproof.verify(signed_by_a_witness(), CANONS[3], origin=ORIGIN, log_keys=[], witness_keys=[WITNESS.verifier])


def signed_by_a_witness() -> TlogProof:
    text = Checkpoint(ORIGIN, len(LEAVES), merkle.root_of(LEAVES)).format()
    data = note.attach(note.sign(text, [EPOCHS[1]]), [note.cosign(text, WITNESS, 7)])
    return TlogProof(3, proof_of(3).path, data)


def test_a_proof_changed_in_any_byte_is_refused() -> None:
    data = proof_of(5).format()
    for at in range(len(data)):
        with pytest.raises(TlogProofError):
            verify(TlogProof.parse(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]), CANONS[5])


@given(st.binary(max_size=100), st.text(max_size=60))
def test_parsers_fail_only_in_their_own_words(raw: bytes, text: str) -> None:
    whole = proof_of(5).format()
    for data in (raw, raw + whole, b"c2sp.org/tlog-proof@v1\n" + raw, whole[:200] + raw):
        try:
            TlogProof.parse(data)
        except TlogProofError:
            continue
    for parse in (Checkpoint.parse, EpochCertificate.parse):
        with pytest.raises(CheckpointError):
            parse(text)
