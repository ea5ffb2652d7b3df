"""Signing: what a key or a command gives is a signature or one plain error, and neither says what is secret."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.pausable import signing
from adapters.pausable.signing import CommandSigner, KeySigner, SignError, Transaction
from watchers.places import PlaceError

SENDER = "0x" + "ab" * 20
ASKED = Transaction(chain_id=1, nonce=0, to=SENDER, data="0x8456cb59", gas=50_000, max_fee_wei=10, tip_wei=1)


def script(text: str) -> CommandSigner:
    return CommandSigner([sys.executable, "-c", text], SENDER)


async def test_a_command_gets_the_fields_and_gives_bytes_and_hash() -> None:
    signer = script(
        "import json, sys\n"
        "asked = json.load(sys.stdin)\n"
        "assert asked['chainId'] == 1 and asked['type'] == 2 and asked['value'] == 0 and asked['from']\n"
        "print(json.dumps({'raw': '0x02ff', 'hash': '0x' + 'Cd' * 32}))\n"
    )
    signed = await signer.sign(ASKED)
    assert (signed.raw, signed.hash) == ("0x02ff", "0x" + "cd" * 32)
    assert "02ff" not in repr(signed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys; print('secret', file=sys.stderr); sys.exit(3)", "ended with 3"),
        ("print('secret')", "not understood"),
        ("print('{}')", "not understood"),
        ("print('[]')", "not understood"),
        ("""print('{"raw": "0x0", "hash": "0x1"}')""", "not understood"),
        ("print('x' * 1000000)", "not understood"),
    ],
)
async def test_a_command_that_does_not_sign_is_one_plain_error(text: str, words: str) -> None:
    with pytest.raises(SignError, match=words) as raised:
        await script(text).sign(ASKED)
    assert "secret" not in str(raised.value)


async def test_a_command_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "SIGN_LIMIT_S", 0.3)
    with pytest.raises(SignError, match="did not answer within"):
        await script("import time; time.sleep(600)").sign(ASKED)
    with pytest.raises(SignError, match="cannot be started"):
        await CommandSigner(["/nonexistent/signer"], SENDER).sign(ASKED)


def test_what_cannot_sign_is_refused_without_repeating_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    for wrong in ("0x1234secret", "0" * 64, "f" * 64, "seed words of somebody"):
        path.write_text(wrong)
        with pytest.raises(PlaceError) as raised:
            KeySigner(path)
        assert wrong not in str(raised.value)
        assert raised.value.__cause__ is None
    for argv, sender in (([], SENDER), (["sign"], "0x1")):
        with pytest.raises(PlaceError):
            CommandSigner(argv, sender)


def test_the_library_leaves_the_limit_of_recursion_where_hostile_text_meets_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    path.write_text("11" * 32)
    code = (
        "import pathlib, sys\n"
        "from adapters.pausable.signing import KeySigner\n"
        "before = sys.getrecursionlimit()\n"
        "KeySigner(pathlib.Path(sys.argv[1]))\n"
        "sys.exit(sys.getrecursionlimit() != before)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0
