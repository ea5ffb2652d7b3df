"""Running client commands in this process against a real backend: exit code, stdout and stderr of each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from console import cli
from tests.support.floor import Floor
from tests.support.people import Person
from tests.support.touches import agents


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def body(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self
        found: dict[str, Any] = json.loads(lines[0])
        return found


@dataclass
class Commands:
    """A person's command line."""

    floor: Floor
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    state: Path

    def __call__(self, who: Person | None, *arguments: str, url: str | None = None) -> Ran:
        """Run one command as a person; None is nobody."""
        self.monkeypatch.setenv("XDG_STATE_HOME", str(self.state))
        self.monkeypatch.setenv("WATCHFLOOR_URL", url or self.floor.url)
        self.monkeypatch.delenv("WATCHFLOOR_TOKEN", raising=False)
        if who is not None:
            self.monkeypatch.setenv("WATCHFLOOR_TOKEN", self.floor.token(who))
            self.monkeypatch.setenv("SSH_AUTH_SOCK", str(agents() / who.name))
        self.capsys.readouterr()
        code = cli.main(list(arguments))
        captured = self.capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    def digest_of(self, who: Person, ref: str) -> str:
        """What lifting a freeze means now, as a person is shown it."""
        return str(self(who, "freezes", "show", ref, "--json").body["thaw"]["digest"])
