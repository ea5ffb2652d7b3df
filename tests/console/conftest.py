"""Fixtures of the tests that need a backend behind the console."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Commands
from tests.support.floor import Floor, running_floor


@pytest.fixture(scope="module")
def floor(template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    """A served backend for one module."""
    with running_floor(template_database, tmp_path_factory.mktemp("floor")) as running:
        yield running


@pytest.fixture
def run(floor: Floor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Commands:
    """Client commands against that backend, with sign-ins of the test's own."""
    return Commands(floor, capsys, monkeypatch, tmp_path / "state")
