"""Proofs and bundles, checked by the program that ships with them and shares nothing with what made them."""

import asyncio
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.audit.verification import periods
from backend.clock import Clock
from ledger import canon, checkpoint, entry, merkle, note, verify_bundle
from ledger.canon import CanonError
from ledger.note import KeyType, SignerKey
from tests.backend.test_audit_verification import ODD, write
from tests.support.app import App
from tests.support.evidence import WHENEVER, make_bundle, sign
from tests.support.ledger import ledger_rows, settled
from tests.support.people import AUDITOR, OFFICER


def run(path: Path, *options: str) -> int:
    return verify_bundle.main([str(path), *options])


async def test_every_entry_is_proved_by_route_and_checked_offline(
    app: App, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await write(app, 9)
    await write(app, 2, text=ODD)
    async with await app.as_(AUDITOR) as client:
        await settled(app)
        rows = await ledger_rows(app)
        for signed in (False, True):
            key = await sign(app, database_url) if signed else None
            for row in rows:
                answer = await client.get(f"/v1/ledger/entries/{row.id}/proof")
                assert answer.status_code == 200, answer.text
                path = tmp_path / f"{row.id}.json"
                path.write_text(answer.text)
                assert run(path) == 0, capsys.readouterr().err
                assert run(path, "--key", note.VerifierKey("x/epoch/0", b"k" * 32).encode()) == 1
                assert key is None or run(path, "--key", key) == 0, capsys.readouterr().err
                body = answer.json()
                assert (body["checkpoint"] is not None) == (body["tlog_proof"] is not None) == signed
                assert sum(map(len, body["path"])) < 1024
        missing = await client.get("/v1/ledger/entries/00000000-0000-0000-0000-000000000000/proof")
        assert missing.status_code == 404


async def test_a_bundle_is_checked_by_its_own_copy_of_the_program_and_every_byte_counts(
    app: App, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await write(app, 6)
    later = app.runtime.clock.now() + timedelta(days=2)
    async with app.runtime.database.transaction() as session:
        await periods.seal_due(session, replace(app.runtime, clock=Clock(now=lambda: later)))
    key = await sign(app, database_url)
    directory = tmp_path / "bundle"
    manifest = await make_bundle(app, directory)
    assert sum(one["seq_end"] - one["seq_start"] for one in manifest["logs"].values()) >= 6
    argv = [sys.executable, "-I", str(directory / "verify_bundle.py"), str(directory), "--key", key]
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ok\n")
    missed = []

    def passes() -> bool:
        try:
            verify_bundle._check_bundle(directory, verify_bundle._Trust(key, []))
        except Exception:  # noqa: BLE001  as the program's own boundary
            return False
        return True

    for path in sorted(directory.iterdir()):
        raw = path.read_bytes()
        # of files whose content one hash tells, some bytes stand for all
        step = {".jsonl": 7, ".py": 97}.get(path.suffix, 1 if path.name.startswith("manifest") else 3)
        for at in range(0, len(raw), step):
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
            if passes():
                missed.append((path.name, at))
        for cut in (raw[:-1], raw + b"\n", b""):
            path.write_bytes(cut)
            if cut != raw and passes():
                missed.append((path.name, len(cut)))
        path.unlink()
        if passes():
            missed.append((path.name, -1))
        path.write_bytes(raw)
    capsys.readouterr()
    assert missed == []
    assert run(directory, "--key", key) == 0


def reseal(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a bundle as a forger would who makes every hash in it fit again."""
    import hashlib

    manifest = json.loads((directory / "manifest.json").read_text())
    change(manifest)
    for path in directory.iterdir():
        if path.name in manifest["files"]:
            raw = path.read_bytes()
            manifest["files"][path.name] = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    raw = json.dumps(manifest).encode()
    (directory / "manifest.json").write_bytes(raw)
    (directory / "manifest.json.sha256").write_text(f"{hashlib.sha256(raw).hexdigest()}  manifest.json\n")


async def test_a_bundle_whose_hashes_were_made_to_fit_again_fails_by_what_was_signed(
    app: App, database_url: str, tmp_path: Path
) -> None:
    await write(app, 8)
    key = await sign(app, database_url)
    directory = tmp_path / "bundle"
    manifest = await make_bundle(app, directory)
    log = next(name for name, one in manifest["logs"].items() if one["seq_end"] - one["seq_start"] > 1)
    lines = (directory / f"{log}.jsonl").read_bytes().splitlines(keepends=True)
    forged: dict[str, bytes] = {
        "replaced": b"".join([lines[0].replace(b"olga", b"olgb").replace(b"look", b"lock"), *lines[1:]]),
        "swapped": b"".join([lines[1], lines[0], *lines[2:]]),
        "doubled": b"".join([lines[0], *lines]),
        "cut": b"".join(lines[:-1]),
    }
    whole = (directory / f"{log}.jsonl").read_bytes()
    for name, content in forged.items():
        (directory / f"{log}.jsonl").write_bytes(content)
        reseal(directory, lambda _: None)
        assert run(directory, "--key", key) == 1, name
    (directory / f"{log}.jsonl").write_bytes(b"".join(lines[:-1]))

    def shorter(told: dict[str, Any]) -> None:
        edge = merkle.CompactRange()
        edge.extend([merkle.leaf_hash(line[:-1]) for line in lines[:-1]])
        root = edge.root().hex()
        told["logs"][log] |= {"seq_end": len(lines) - 1, "root_end": root, "consistency": []}
        told["logs"][log]["head"] = {"size": len(lines) - 1, "root": root}

    reseal(directory, shorter)
    assert run(directory, "--key", key) == 1
    (directory / f"{log}.checkpoint").unlink()
    reseal(directory, lambda told: told["files"].pop(f"{log}.checkpoint"))
    assert run(directory) == 0  # nobody outside vouches, and it says so
    assert run(directory, "--key", key) == 1
    (directory / f"{log}.jsonl").write_bytes(whole)


async def test_bundles_are_taken_by_those_who_may_export(app: App) -> None:
    await write(app, 4)
    times = {"from": WHENEVER[0].isoformat(), "to": WHENEVER[1].isoformat()}
    async with await app.as_(AUDITOR) as client:
        assert (await client.get("/v1/ledger/bundle", params=times)).status_code == 403
    async with await app.as_(OFFICER) as client:
        answer = await client.get("/v1/ledger/bundle", params=times)
        assert answer.status_code == 200
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
            names = set(tar.getnames())
    assert {"manifest.json", "manifest.json.sha256", "verify_bundle.py", "periods.json", "keys.json"} <= names


LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(70)]


@given(st.integers(0, 69), st.integers(1, 70), st.data())
def test_the_checkers_trees_are_ours(index: int, size: int, data: st.DataObject) -> None:
    def subtree(level: int, position: int) -> bytes:
        return merkle.root_of(LEAVES[position << level : (position + 1) << level])

    root = merkle.root_of(LEAVES[:size])
    index %= size
    path = merkle.inclusion_path(index, size, subtree)
    verify_bundle._check_inclusion(LEAVES[index], index, size, path, root)
    old = data.draw(st.integers(0, size))
    proof = merkle.consistency_path(old, size, subtree)
    verify_bundle._check_consistency(old, size, merkle.root_of(LEAVES[:old]), root, proof)
    wrong = data.draw(st.integers(0, size - 1).filter(lambda one: one != index)) if size > 1 else None
    if wrong is not None:
        with pytest.raises(verify_bundle._Wrong):
            verify_bundle._check_inclusion(LEAVES[index], wrong, size, path, root)
    for at in range(len(proof)):
        broken = [*proof[:at], bytes(32), *proof[at + 1 :]]
        with pytest.raises(verify_bundle._Wrong):
            verify_bundle._check_consistency(old, size, merkle.root_of(LEAVES[:old]), root, broken)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=())) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab_Z", max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text("ab_", min_size=1, max_size=3), TREES, max_size=3))
def test_the_checkers_canonical_bytes_are_ours(tree: dict[str, Any]) -> None:
    try:
        ours = canon.encode(tree)
    except CanonError:
        ours = None
    if ours is not None:
        assert verify_bundle._canonical(tree).encode() == ours
        assert verify_bundle._read_json(ours) == tree
    else:
        with pytest.raises(verify_bundle._Wrong):
            verify_bundle._canonical(verify_bundle._read_json(json.dumps(tree).encode()))


def test_the_checkers_notes_are_ours() -> None:
    signer = SignerKey("ledger/epoch/0", b"a" * 32)
    witness = SignerKey("witness", b"b" * 32, KeyType.COSIGNATURE)
    head = checkpoint.head("ledger/7y", 3, merkle.root_of(LEAVES[:3]), 0)
    signed = note.sign(head.format(), [signer])
    signed = note.attach(signed, [note.cosign(head.format(), witness, 1_700_000_000)])
    trust = verify_bundle._Trust(signer.verifier.encode(), [witness.verifier.encode()])
    keys = [signer.verifier.encode()]
    trust.check_head(signed.decode(), keys, "ledger/7y", 3, head.root)
    for at in range(len(signed)):
        broken = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
        with pytest.raises((verify_bundle._Wrong, UnicodeDecodeError)):
            trust.check_head(broken.decode(), keys, "ledger/7y", 3, head.root)


def test_the_checker_knows_the_same_fields_of_an_entry() -> None:
    assert verify_bundle._INDEX_KEYS == entry.INDEX_FIELDS
    assert verify_bundle._LARGEST_ENTRY_BYTES == canon.MAX_ENTRY_BYTES
    assert verify_bundle._TILE_LEVELS == merkle.TILE_LEVELS
