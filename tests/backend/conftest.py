"""Fixtures of the tests on a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.parties import signing


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A running signer and a directory that witnesses."""
    monkeypatch.setenv("WATCHFLOOR_SIGNER_SOCKET", str(tmp_path / "signer.sock"))
    monkeypatch.setenv("WATCHFLOOR_WITNESSES", f"dir:{tmp_path / 'kept'}")
    with signing(tmp_path):
        yield tmp_path


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of the test's own, for every backend that it starts."""
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path))
    return tmp_path
