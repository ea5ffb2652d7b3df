"""Which directory is whose when several people come by SSH under one account of the machine."""

from pathlib import Path

import pytest

from console.client import per_key
from console.client.session import SessionError

KEY, OTHER = "ssh-ed25519 AAAAC3Nz", "sk-ssh-ed25519@openssh.com AAAAGnNr"


def home(tmp_path: Path, told: str) -> str:
    file = tmp_path / "told"
    file.write_text(told)
    return per_key.state_home({"SSH_USER_AUTH": str(file), "XDG_STATE_HOME": str(tmp_path)})


def test_each_key_has_its_own_and_always_the_same(tmp_path: Path) -> None:
    mine = home(tmp_path, f"publickey {KEY}\n")
    assert mine == home(tmp_path, f"keyboard-interactive\npublickey {KEY}\n")
    assert mine != home(tmp_path, f"publickey {OTHER}\n")
    assert Path(mine).parent == tmp_path / "watchfloor" / "keys"


@pytest.mark.parametrize("told", ["", "password\n", "hostbased ssh-ed25519 AAAA\n", "publickey\n"])
def test_without_a_key_there_is_none(tmp_path: Path, told: str) -> None:
    with pytest.raises(SessionError):
        home(tmp_path, told)


@pytest.mark.parametrize("environ", [{}, {"SSH_USER_AUTH": ""}, {"SSH_USER_AUTH": "/nowhere/at/all"}])
def test_without_sshds_word_there_is_none(environ: dict[str, str]) -> None:
    with pytest.raises(SessionError, match="Cannot tell whose SSH key"):
        per_key.state_home(environ)
