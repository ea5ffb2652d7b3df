"""Signed notes, keys and cosignatures: the published examples, every changed byte, hostile input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import note
from ledger.note import KeyType, NoteError, Signature, SignerKey, VerifierKey
from tests.support.shared_data import shared_data

LOG = SignerKey("example.com/log", bytes(32))
WITNESS = SignerKey("example.com/witness", b"w" * 32, KeyType.COSIGNATURE)
STRANGER = SignerKey("example.com/stranger", b"s" * 32)
TEXT = "example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"


def test_the_published_example_opens() -> None:
    page = shared_data("vectors/tlog-specs-c2sp/signed-note.md").read_text()
    vkey = next(line.strip() for line in page.splitlines() if line.strip().startswith("example.com/foo+"))
    start = page.index("This is an example message.")
    data = page[start : page.index("```", start)].encode()
    key = VerifierKey.parse(vkey)
    opened = note.open_note(data, [key])
    assert opened.text == "This is an example message.\n"
    assert [one.key for one in opened.verified] == [key]
    assert key.encode() == vkey


def test_signatures_and_cosignatures_verify_and_strangers_stay_unverified() -> None:
    data = note.attach(note.sign(TEXT, [LOG, STRANGER]), [note.cosign(TEXT, WITNESS, 1_679_315_147)])
    opened = note.open_note(data, [LOG.verifier, WITNESS.verifier])
    assert [(one.key.name, one.posix_seconds) for one in opened.verified] == [
        ("example.com/log", None),
        ("example.com/witness", 1_679_315_147),
    ]
    assert [one.name for one in opened.unverified] == ["example.com/stranger"]
    assert opened.text == TEXT


@pytest.mark.parametrize("keys", [[LOG.verifier, WITNESS.verifier]])
def test_a_note_changed_in_any_byte_never_says_something_else(keys: list[VerifierKey]) -> None:
    data = note.attach(note.sign(TEXT, [LOG]), [note.cosign(TEXT, WITNESS, 5)])
    before = note.open_note(data, keys)
    for at in range(len(data)):
        for flip in (1, 0x20):
            changed = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
            try:
                after = note.open_note(changed, keys)
            except NoteError:
                continue
            # a line whose name or key id was changed is a stranger's: the other still vouches for the same text
            assert after.text == before.text
            assert len(after.verified) == 1
            assert set(after.verified) < set(before.verified)


def test_a_post_quantum_cosignature_is_recognised_and_stays_unverified() -> None:
    key = VerifierKey("example.com/pq", bytes(1312), KeyType.ML_DSA_44)
    assert VerifierKey.parse(key.encode()) == key
    line = Signature(key.name, key.key_id, bytes(8 + 2420))
    data = note.attach(note.sign(TEXT, [LOG]), [line])
    assert note.open_note(data, [LOG.verifier, key]).unverified == (line,)
    with pytest.raises(NoteError) as refused:
        note.open_note(data, [key])
    assert refused.value.code == "unsigned"


def test_a_wrong_signature_of_a_known_key_rejects_the_whole_note() -> None:
    forged = Signature(WITNESS.name, WITNESS.verifier.key_id, bytes(72))
    short = Signature(WITNESS.name, WITNESS.verifier.key_id, bytes(3))
    for line in (forged, short):
        with pytest.raises(NoteError) as refused:
            note.open_note(note.attach(note.sign(TEXT, [LOG]), [line]), [LOG.verifier, WITNESS.verifier])
        assert refused.value.code == "signature"


def test_one_key_counts_once_however_often_it_signed() -> None:
    lines = [note.cosign(TEXT, WITNESS, seconds) for seconds in (1, 2, 3)]
    opened = note.open_note(note.attach(note.sign(TEXT, [LOG]), lines), [WITNESS.verifier])
    assert [one.posix_seconds for one in opened.verified] == [1]


@pytest.mark.parametrize("key", [LOG, WITNESS])
def test_keys_read_back_and_refuse_another_id(key: SignerKey) -> None:
    assert SignerKey.parse(key.encode()) == key
    assert VerifierKey.parse(key.verifier.encode()) == key.verifier
    assert "seed" not in repr(key)
    name, _, rest = key.verifier.encode().partition("+")
    with pytest.raises(NoteError):
        VerifierKey.parse(f"{name}x+{rest}")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\n", "a\x01", "x" * 256, "\ud800"])
def test_names_that_could_mislead_are_refused(name: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey(name, bytes(32))


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "\ud800\n", "x" * (note.MAX_NOTE_BYTES + 1) + "\n"])
def test_texts_no_note_can_carry_are_refused(text: str) -> None:
    with pytest.raises(NoteError):
        note.sign(text, [LOG])


def test_too_many_signatures_and_the_wrong_keys_are_refused() -> None:
    many = [SignerKey(f"example.com/{number}", bytes(32)) for number in range(note.MAX_SIGNATURES)]
    full = note.sign(TEXT, many)
    assert len(note.open_note(full, [one.verifier for one in many]).verified) == note.MAX_SIGNATURES
    with pytest.raises(NoteError):
        note.attach(full, [note.cosign(TEXT, WITNESS, 1)])
    for keys in ([], [WITNESS], [*many, LOG]):
        with pytest.raises(NoteError):
            note.sign(TEXT, keys)
    with pytest.raises(NoteError):
        note.cosign(TEXT, LOG, 1)
    with pytest.raises(NoteError):
        note.cosign(TEXT, WITNESS, 2**63)


@given(st.binary(max_size=120), st.text(max_size=80))
def test_parsers_fail_only_in_their_own_words(raw: bytes, text: str) -> None:
    for data in (raw, note.sign(TEXT, [LOG]) + raw, raw + note.sign(TEXT, [LOG])):
        try:
            note.open_note(data, [LOG.verifier])
        except NoteError:
            continue
        assert data == note.sign(TEXT, [LOG])
    for parse in (VerifierKey.parse, SignerKey.parse):
        with pytest.raises(NoteError):
            parse(text)
