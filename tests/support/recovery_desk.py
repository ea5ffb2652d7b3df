"""A backend whose drill needs a person: a name before something destructive, and evidence. Nothing of it is real.

Started as a program with a directory: a step called X ends once a file `go-X` is there.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.floor import Floor, running_floor
from tests.support.recovery import FakeKind, Stage, plan_of, with_plans

STEPS: tuple[dict[str, Any], ...] = (
    {"name": "first", "title": "Simulate a failure", "begins_outage": True, "destructive": True},
    {"name": "second", "title": "Take over", "ends_outage": True},
    {"name": "third", "title": "Ask the traders", "kind": "manual", "instructions": "Ask each desk whether it trades."},
)
TOUCHING = "failover"
HARMLESS = "harmless"


@dataclass
class Drilling:
    """The backend, and what it waits for."""

    floor: Floor
    work: Path

    def let(self, *names: str) -> None:
        """Let steps end."""
        for name in names:
            (self.work / f"go-{name}").touch()

    def hold(self) -> None:
        """Have every step wait again."""
        for path in self.work.glob("go-*"):
            path.unlink()


@contextmanager
def drilling(template: str, directory: Path) -> Iterator[Drilling]:
    """A served backend with such plans."""
    work = directory / "work"
    work.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WATCHFLOOR_DATA_DIR", str(directory / "data"))
        with running_floor(template, directory, program=("tests.support.recovery_desk", str(work))) as floor:
            yield Drilling(floor, work)


def _main() -> int:
    from backend import main
    from backend.clock import Clock
    from backend.context import Runtime
    from backend.runtime import build_runtime
    from backend.settings import Settings
    from tests.support import backends

    kind = FakeKind(directory=Path(sys.argv.pop()))
    plans = (plan_of(*STEPS, name=TOUCHING), plan_of({"name": "fourth"}, name=HARMLESS))

    def runtime_of(settings: Settings, clock: Clock) -> Runtime:
        return with_plans(build_runtime(settings, clock), *plans)

    vars(main).update(build_runtime=runtime_of, parts_of=Stage(kind=kind).parts)
    return backends.main()


if __name__ == "__main__":
    sys.exit(_main())
