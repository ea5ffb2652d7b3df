"""Verifies a ledger's bundle or a single proof offline: `python verify_bundle.py PATH [--key VKEY] [--witness VKEY]`.

One file, standard library and cryptography only, shared with nothing: its answer does not rest on the program that
made what it reads. Exit code 0 when everything holds, 1 when something does not. Must never write anything.
"""

import argparse
import hashlib
import json
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BUNDLE_FORMAT = "watchfloor/ledger-bundle/v1"
PROOF_FORMAT = "watchfloor/entry-proof/v1"
MANIFEST, MANIFEST_SUM = "manifest.json", "manifest.json.sha256"
_KEY = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_LARGEST_INTEGER, _LARGEST_ENTRY_BYTES, _DEEPEST = 2**53 - 1, 32 * 1024, 8
_CERTIFICATE = "watchfloor/epoch-certificate/v1"
_TILE_LEVELS = (8, 16, 24)
_ED25519, _COSIGNATURE = 1, 4
_INDEX_KEYS = (
    "action", "actor", "actor_type", "category", "event_type", "id", "incident", "log", "occurred_at", "outcome",
    "request_id", "resource_id", "resource_type",
)  # fmt: skip


class _Wrong(Exception):  # noqa: N818  what a person reads
    """Something does not hold; the text says what."""


def _need(holds: object, what: str) -> None:
    if not holds:
        raise _Wrong(what)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    _need(len(set(keys)) == len(keys), "a key is given twice")
    return dict(pairs)


def _refuse_number(text: str) -> Any:
    raise _Wrong(f"{text[:20]} is no integer")


def _read_json(raw: bytes) -> Any:
    try:
        text, no = raw.decode(), _refuse_number
        return json.loads(text, object_pairs_hook=_members, parse_float=no, parse_constant=no)
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"not JSON: {error}") from None


def _canonical(value: Any, depth: int = 1) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        _need(abs(value) <= _LARGEST_INTEGER, "an integer of more than 53 bits")
        return str(value)
    if isinstance(value, str):
        return _canonical_text(value)
    _need(depth <= _DEEPEST, "nested too deeply")
    if isinstance(value, list):
        return "[" + ",".join(_canonical(one, depth + 1) for one in value) + "]"
    _need(isinstance(value, dict), "a value of no JSON type")
    _need(all(_KEY.fullmatch(key) for key in value), "a key is not [a-z0-9_]{1,64}")
    return "{" + ",".join(f'"{key}":{_canonical(value[key], depth + 1)}' for key in sorted(value)) + "}"


_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _canonical_text(text: str) -> str:
    _need("\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text), "a character no entry may have")
    return '"' + "".join(_SHORT.get(char) or (f"\\u{ord(char):04x}" if char < " " else char) for char in text) + '"'


def _check_entry(raw: bytes, log: str) -> dict[str, Any]:
    _need(len(raw) <= _LARGEST_ENTRY_BYTES, "an entry is too long")
    tree: dict[str, Any] = _read_json(raw)
    _need(isinstance(tree, dict) and _canonical(tree).encode() == raw, "the bytes of an entry are not canonical")
    _need(set(tree) == {"body", "index", "v"} and tree["v"] == 1, "not an entry of version 1")
    body, index = tree["body"], tree["index"]
    _need(isinstance(body, dict) and set(body) == {"actor_role", "detail", "emitter", "sealed"}, "not an entry's body")
    _need(isinstance(index, dict) and set(index) == set(_INDEX_KEYS), "not an entry's index")
    _need(all(one is None or isinstance(one, str) for one in index.values()), "an index field is no text")
    _need(index["log"] == log, f"an entry of log {index['log']} lies in log {log}")
    _need(_INSTANT.fullmatch(index["occurred_at"] or ""), "an entry's time is not to the microsecond in UTC")
    return tree


def _leaf_hash(raw: bytes) -> bytes:
    return hashlib.sha256(b"\0" + raw).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class _Tree:
    def __init__(self, size: int, edge: list[bytes]) -> None:
        levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
        _need(len(levels) == len(edge) and all(len(one) == 32 for one in edge), "no edge of a tree of that size")  # noqa: PLR2004
        self.size = size
        self._stack = list(zip(levels, edge, strict=True))

    def append(self, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
        level, one, position = 0, leaf, self.size
        self.size += 1
        while self._stack and self._stack[-1][0] == level:
            one = _node_hash(self._stack.pop()[1], one)
            level, position = level + 1, position >> 1
            if level in _TILE_LEVELS:
                yield level, position, one
        self._stack.append((level, one))

    def root(self) -> bytes:
        if not self._stack:
            return hashlib.sha256().digest()
        root = self._stack[-1][1]
        for _, left in reversed(self._stack[:-1]):
            root = _node_hash(left, root)
        return root


def _check_inclusion(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> None:
    _need(0 <= index < size, "no such leaf in a tree of that size")
    _need(_climb(leaf, index, size, list(path)) == root, "the path does not lead to the root")


def _climb(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    if size == 1:
        _need(not path, "the path is too long")
        return leaf
    _need(path, "the path is too short")
    sibling, left = path.pop(), 1 << (size - 1).bit_length() - 1
    if index < left:
        return _node_hash(_climb(leaf, index, left, path), sibling)
    return _node_hash(sibling, _climb(leaf, index - left, size - left, path))


def _check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: list[bytes]) -> None:
    _need(0 <= old <= new, "a tree cannot be the beginning of a smaller one")
    if old in (0, new):
        _need(not path, "a proof where none is needed")
        _need(old != new or old_root == new_root, "two trees of one size have two roots")
        return
    rest = list(path)
    found = _subproof(old, new, rest, old_root, whole=True)
    _need(not rest, "the proof is too long")
    _need(found == (old_root, new_root), "the older tree is not the beginning of the newer one")


def _subproof(old: int, new: int, path: list[bytes], old_root: bytes, *, whole: bool) -> tuple[bytes, bytes]:
    """Roots of the first `old` and of all `new` leaves of one subtree, read from the end of the proof."""
    if old == new:
        if whole:
            return old_root, old_root
        _need(path, "the proof is too short")
        one = path.pop()
        return one, one
    _need(path, "the proof is too short")
    sibling, left = path.pop(), 1 << (new - 1).bit_length() - 1
    if old <= left:
        first, second = _subproof(old, left, path, old_root, whole=whole)
        return first, _node_hash(second, sibling)
    first, second = _subproof(old - left, new - left, path, old_root, whole=False)
    return _node_hash(sibling, first), _node_hash(sibling, second)


def _strict_base64(text: str) -> bytes:
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raise _Wrong("not base64") from None
    _need(b64encode(raw).decode() == text, "not the one base64 of its bytes")
    return raw


class _Key:
    def __init__(self, vkey: str) -> None:
        parts = vkey.split("+", 2)
        _need(len(parts) == 3, "a vkey has three parts")  # noqa: PLR2004
        material = _strict_base64(parts[2])
        self.name, self.kind, self.public, self.vkey = parts[0], material[:1], material[1:], vkey
        self.ident = hashlib.sha256(self.name.encode() + b"\n" + material).digest()[:4]
        _need(self.kind in (b"\1", b"\4") and len(self.public) == 32, "not an Ed25519 key")  # noqa: PLR2004
        _need(self.ident.hex() == parts[1], "the id of a vkey is not its own")

    def verifies(self, text: str, value: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        message = text.encode()
        if self.kind == bytes([_COSIGNATURE]):
            seconds, value = int.from_bytes(value[:8], "big"), value[8:]
            message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(value, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    text, blank, lines = note.rpartition("\n\n")
    _need(blank and lines.endswith("\n"), "not a signed note")
    found = []
    for line in lines[:-1].split("\n"):
        _need(line.startswith("\u2014 ") and line.count(" ") >= 2, "not a signature line")  # noqa: PLR2004
        name, _, value = line[2:].partition(" ")
        found.append((name, _strict_base64(value)))
    return text + "\n", found


def _signed_by(note: str, keys: list[_Key]) -> tuple[str, list[_Key]]:
    text, lines = _split_note(note)
    signers = []
    for name, value in lines:
        for key in keys:
            if (key.name, key.ident) == (name, value[:4]):
                _need(key.verifies(text, value[4:]), f"the signature of {name} does not verify")
                signers.append(key)
    return text, signers


def _follow_keys(keys: list[str]) -> list[_Key]:
    chain = [_Key(keys[0])]
    ledger, _, epoch = chain[0].name.rpartition("/epoch/")
    number = int(epoch) if epoch.isdecimal() else -1
    _need(ledger and number >= 0, "the first key is not that of an epoch")
    for certificate in keys[1:]:
        number += 1
        text, signers = _signed_by(certificate, [chain[-1]])
        lines = text.split("\n")
        _need(signers and lines[:3] == [_CERTIFICATE, ledger, str(number)], "a certificate does not follow")
        _need(lines[4:] == [""], "a certificate says too much")
        chain.append(_Key(lines[3]))
        _need(chain[-1].name == f"{ledger}/epoch/{number}", "a certificate is for another key")
    _need(len({key.public for key in chain}) == len(chain), "a signing key is used twice")
    return chain


class _Trust:
    def __init__(self, key: str | None, witnesses: list[str]) -> None:
        self.key = key
        self.witnesses = [_Key(one) for one in witnesses]
        self.said: list[str] = []

    def check_head(self, note: str | None, keys: list[str], origin: str, size: int, root: bytes) -> None:
        if note is None:
            _need(self.key is None and not self.witnesses, f"{origin} has no signed head, and a signature is demanded")
            self.said.append(f"{origin}: NOT SIGNED: nobody outside vouches for the root {root.hex()}")
            return
        _need(keys, "there is a signed head and no key")
        _need(self.key in (None, keys[0]), "the first signing key is not the one given with --key")
        text, signers = _signed_by(note, [*_follow_keys(keys), *self.witnesses])
        lines = text.split("\n")
        _need(lines[:3] == [origin, str(size), b64encode(root).decode()] and lines[-1] == "", "the head is another one")
        epochs = [line.removeprefix("epoch ") for line in lines[3:] if line.startswith("epoch ")]
        own = [key.name.rpartition("/epoch/")[2] for key in signers if key.kind == bytes([_ED25519])]
        _need(own and own == epochs, "the head is not signed by the key of its epoch")
        present = {key.public for key in signers if key.kind == bytes([_COSIGNATURE])}
        _need(all(key.public in present for key in self.witnesses), "a witness demanded has not cosigned")
        trusted = "the key given" if self.key else "a key that came with it: compare it with one you trust: " + keys[0]
        self.said.append(f"{origin}: signed at size {size} by {trusted}; {len(present)} witnesses")


def _hexadecimal(text: object) -> bytes:
    _need(isinstance(text, str) and re.fullmatch(r"[0-9a-f]{64}", text), "not a hash in hex")
    return bytes.fromhex(str(text))


def _check_proof(raw: bytes, trust: _Trust) -> None:
    proof = _read_json(raw)
    _need(isinstance(proof, dict) and proof.get("format") == PROOF_FORMAT, "not a proof of an entry")
    entry, path = _strict_base64(proof["entry"]), [_strict_base64(one) for one in proof["path"]]
    tree = _check_entry(entry, proof["log"])
    root = _hexadecimal(proof["root"])
    _check_inclusion(_leaf_hash(entry), proof["seq"], proof["size"], path, root)
    _need(re.sub(r"/r\d+\Z", "", proof["origin"]).endswith("/" + proof["log"]), "the origin is that of another log")
    trust.check_head(proof["checkpoint"], proof["keys"], proof["origin"], proof["size"], root)
    _check_text(proof, path)
    index = tree["index"]
    trust.said.append(f"entry {index['id']} ({index['event_type']}, {index['occurred_at']}) is number {proof['seq']}")


def _check_text(proof: dict[str, Any], path: list[bytes]) -> None:
    if proof["checkpoint"] is None:
        _need(proof["tlog_proof"] is None, "a C2SP proof without a signed head")
        return
    lines = ["c2sp.org/tlog-proof@v1", f"index {proof['seq']}", *(b64encode(one).decode() for one in path), "", ""]
    _need(proof["tlog_proof"] == "\n".join(lines) + proof["checkpoint"], "the C2SP proof says something else")


def _check_bundle(directory: Path, trust: _Trust) -> None:
    raw = (directory / MANIFEST).read_bytes()
    told = f"{hashlib.sha256(raw).hexdigest()}  {MANIFEST}\n".encode()
    _need((directory / MANIFEST_SUM).read_bytes() == told, "the manifest is not the one that was written")
    manifest = _read_json(raw)
    _need(isinstance(manifest, dict) and manifest.get("format") == BUNDLE_FORMAT, "not a bundle")
    _check_files(directory, manifest["files"])
    keys = _read_json((directory / "keys.json").read_bytes())
    periods = _read_json((directory / "periods.json").read_bytes())
    _need(isinstance(keys, list) and isinstance(periods, list), "keys or periods are no lists")
    _check_periods(periods)
    for log, told_log in sorted(manifest["logs"].items()):
        own = [one for one in periods if one["log"] == log]
        _check_log(directory, log, told_log, own, manifest["ledger"])
        note = directory / f"{log}.checkpoint"
        head = told_log["head"]
        trust.check_head(
            note.read_text() if note.exists() else None, keys, told_log["origin"], head["size"],
            _hexadecimal(head["root"]),
        )  # fmt: skip
        trust.said.append(f"{log}: {told_log['seq_end'] - told_log['seq_start']} entries, {len(own)} sealed periods")


def _check_files(directory: Path, files: dict[str, dict[str, Any]]) -> None:
    present = {path.name for path in directory.iterdir()} - {MANIFEST, MANIFEST_SUM}
    _need(present == set(files), f"files missing or too many: {sorted(present ^ set(files))[:5]}")
    for name, told in files.items():
        _need(re.fullmatch(r"[A-Za-z0-9_.-]+", name), "a file name that is none")
        digest, size = hashlib.sha256(), 0
        with (directory / name).open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
                size += len(part)
        _need((digest.hexdigest(), size) == (told["sha256"], told["bytes"]), f"{name} is not the file that was written")


def _check_periods(periods: list[dict[str, Any]]) -> None:
    before: dict[str, dict[str, Any]] = {}
    for one in periods:
        _need(one["record_count"] == one["seq_end"] - one["seq_start"] >= 0, "a period has another number of entries")
        previous = before.get(one["log"])
        if previous is not None:
            digest = hashlib.sha256(_canonical(previous).encode()).hexdigest()
            follows = (previous["n"] + 1, previous["period_end"], previous["seq_end"], digest)
            same = (one["n"], one["period_start"], one["seq_start"], one["prev_period_hash"]) == follows
            _need(same, f"period {one['n']} of {one['log']} does not follow the one before it")
        before[one["log"]] = one


def _check_log(directory: Path, log: str, told: dict[str, Any], periods: list[dict[str, Any]], ledger: str) -> None:
    _need(re.sub(r"/r\d+\Z", "", told["origin"]) == f"{ledger}/{log}", f"{log}: the origin is that of another log")
    start, stop, head = told["seq_start"], told["seq_end"], told["head"]
    tree = _Tree(start, [_strict_base64(one) for one in told["edge"]])
    _need(tree.root() == _hexadecimal(told["root_start"]), f"{log}: the tree before the first entry has another root")
    marks: dict[int, set[bytes]] = {}
    for one in periods:
        marks.setdefault(one["seq_end"], set()).add(_hexadecimal(one["hash_chain"]))
    _need(marks.get(start, {tree.root()}) == {tree.root()}, f"{log}: a period ends with another root")
    nodes: list[tuple[int, int, bytes]] = []
    with (directory / f"{log}.jsonl").open("rb") as lines:
        for line in lines:
            _need(line.endswith(b"\n"), f"{log}: the last line is cut")
            _check_entry(line[:-1], log)
            nodes += tree.append(_leaf_hash(line[:-1]))
            root = tree.root() if tree.size in marks else b""
            _need(not root or marks[tree.size] == {root}, f"{log}: a period ends with another root")
    _need(tree.size == stop, f"{log}: {tree.size - start} entries, {stop - start} were named")
    _need(tree.root() == _hexadecimal(told["root_end"]), f"{log}: the tree after the last entry has another root")
    stored = [
        (one["level"], one["position"], one["hash"])
        for one in _read_json((directory / f"{log}.nodes.json").read_bytes())
    ]
    _need(stored == sorted((level, position, one.hex()) for level, position, one in nodes), f"{log}: other tree nodes")
    path = [_strict_base64(one) for one in told["consistency"]]
    _check_consistency(stop, head["size"], tree.root(), _hexadecimal(head["root"]), path)


def main(arguments: list[str]) -> int:
    """Verify what the command line names."""
    parser = argparse.ArgumentParser(description="Verify a ledger's bundle (a directory) or proof (a file) offline.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--key", help="the ledger's first signing key (vkey), from a source you trust")
    parser.add_argument("--witness", action="append", default=[], help="a witness that must have cosigned (vkey)")
    options = parser.parse_args(arguments)
    try:
        trust = _Trust(options.key, options.witness)
        if options.path.is_dir():
            _check_bundle(options.path, trust)
        else:
            _check_proof(options.path.read_bytes(), trust)
    # the program's boundary: whatever a hostile file provokes is a failed check, not a crash
    except Exception as error:  # noqa: BLE001  see above
        sys.stderr.write(f"FAILED: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in trust.said) + "ok\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
