"""The published Merkle vectors: RFC 6962 proofs with probes, and a log written by another implementation."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

from ledger import checkpoint, merkle
from ledger.merkle import CompactRange, ProofError
from ledger.note import VerifierKey
from tests.support.shared_data import shared_data

TESSERA_LOG = "vectors/tlog-tessera/testdata/log"
# published beside the test log; its own key id and 16 signatures vouch for it
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


def _cases(kind: str) -> list[tuple[Path, dict[str, Any]]]:
    folder = shared_data(f"vectors/merkle-rfc6962/testdata/{kind}")
    return [(path, json.loads(path.read_bytes())) for path in sorted(folder.rglob("*.json"))]


def _bytes(text: str | None) -> bytes:
    return b64decode(text or "")


def _refused(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except ProofError:
        return True
    return False


def test_all_inclusion_vectors() -> None:
    cases = _cases("inclusion")
    assert len(cases) >= 40
    for path, case in cases:
        proof = [_bytes(one) for one in case["proof"] or []]
        arguments = (_bytes(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, _bytes(case["root"]))
        assert _refused(merkle.verify_inclusion, *arguments) == case["wantErr"], path


def test_all_consistency_vectors() -> None:
    cases = _cases("consistency")
    assert len(cases) > 20
    for path, case in cases:
        proof = [_bytes(one) for one in case["proof"] or []]
        roots = (_bytes(case["root1"]), _bytes(case["root2"]))
        arguments = (case["size1"], case["size2"], *roots, proof)
        assert _refused(merkle.verify_consistency, *arguments) == case["wantErr"], path


def _entries(bundle: bytes) -> list[bytes]:
    """Read an entry bundle of C2SP tlog-tiles: big-endian uint16 length, then the entry."""
    found, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        found.append(bundle[at + 2 : end])
        at = end
    return found


def test_a_foreign_log_has_our_leaves_roots_and_signatures_at_every_size() -> None:
    log, key, edge = shared_data(TESSERA_LOG), VerifierKey.parse(TESSERA_KEY), CompactRange()
    leaves: list[bytes] = []
    for size in range(16):
        if size:
            bundle = _entries((log / f"tile/entries/000.p/{size}").read_bytes())
            leaves = [merkle.leaf_hash(entry) for entry in bundle]
            assert len(leaves) == size
            assert (log / f"tile/0/000.p/{size}").read_bytes() == b"".join(leaves)
            edge.append(leaves[-1])
        opened = checkpoint.open_checkpoint((log / f"checkpoint.{size}").read_bytes(), [key])
        assert (opened.checkpoint.size, opened.checkpoint.root) == (size, edge.root())
        assert opened.checkpoint.origin == key.name
    state = json.loads((log / ".state/treeState").read_bytes())
    assert (state["size"], _bytes(state["root"])) == (edge.size, edge.root())
