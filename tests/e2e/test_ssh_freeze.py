"""A freeze over SSH while the line drops: it happened once or not at all, and the next console says which.

The connection ends at moments that are known, and at moments drawn from a seed: more of these with
WATCHFLOOR_SSH_RUNS=…
"""

import os
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.floor import Floor, running_floor
from tests.support.lines import Line, Moment, line_to
from tests.support.over_ssh import fill_in_freeze, sign_in
from tests.support.people import OFFICER
from tests.support.sshd import Bastion, bastion, need_sshd
from tests.support.terminal import Terminal
from tests.support.touches import agents

pytestmark = pytest.mark.e2e
RUNS = int(os.environ.get("WATCHFLOOR_SSH_RUNS", "2"))
SEED = 5
LONGEST_S = 0.25
"""Until then most freezes have been answered on a quiet machine, and few on a busy one: both sides are drawn."""
PATIENCE_S = 60.0
VERDICT = r"(NOT TAKEN|TAKEN): the freeze of {scope} sent at \d\d:\d\d:\d\d"


@pytest.fixture(scope="module")
def floor(template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    need_sshd()
    with running_floor(template_database, tmp_path_factory.mktemp("floor")) as running:
        yield running


@pytest.fixture(scope="module")
def to_backend(floor: Floor) -> Iterator[Line]:
    with line_to(int(floor.url.rpartition(":")[2])) as line:
        yield line


@pytest.fixture(scope="module")
def gate(to_backend: Line) -> Iterator[Bastion]:
    """A bastion whose console reaches the backend through that line; the officer has signed in once."""
    with bastion(f"http://127.0.0.1:{to_backend.port}") as running:
        with running.terminal("oscar", agent=agents() / OFFICER.name) as terminal:
            sign_in(terminal, OFFICER)
            terminal.press("q")
            assert terminal.wait_exit() == 0
        yield running


def happened(floor: Floor, scope: str) -> int:
    with psycopg.connect(floor.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM freezes WHERE scope_name = %s", [scope.partition(":")[2]])
        return int(row.fetchall()[0][0])


def notes(gate: Bastion) -> list[Path]:
    return list(gate.state().rglob("unanswered/*.json"))


def drop(terminal: Terminal, line: Line, how: str) -> None:
    if how == "killed":
        os.kill(terminal.pid, signal.SIGKILL)
    else:
        line.cut()


def told(gate: Bastion, scope: str) -> str:
    """What the next console says of the freeze; once it has been read, it is not said again."""
    with gate.terminal("oscar") as terminal:
        terminal.wait_for("Overview", OFFICER.name)
        looked_for = VERDICT.format(scope=re.escape(scope))
        screen = terminal.wait_until(
            lambda text: re.search(looked_for, text) is not None, looked_for, patience_s=PATIENCE_S
        )
        found = re.search(looked_for, screen)
        assert found is not None
        assert [path.stat().st_mode & 0o777 for path in notes(gate)] == [0o600]
        terminal.press("esc")
        terminal.wait_until(lambda text: re.search(looked_for, text) is None, "no message")
        terminal.press("q")
        terminal.wait_exit()
    assert notes(gate) == []
    return found.group(1)


@pytest.mark.parametrize(
    ("moment", "how", "said"),
    [
        (Moment.BEFORE, "killed", "NOT TAKEN"),
        (Moment.HALF, "cut", "NOT TAKEN"),
        (Moment.AFTER, "killed", "TAKEN"),
        (Moment.AFTER, "cut", "TAKEN"),
    ],
)
def test_the_next_console_says_what_became_of_it(  # noqa: PLR0917  pytest hands these in by name
    gate: Bastion, floor: Floor, to_backend: Line, moment: Moment, how: str, said: str
) -> None:
    scope = f"strategy:{moment.name.lower()}-{how}"
    to_backend.stopped.clear()
    with line_to(gate.port) as line, gate.terminal("oscar", port=line.port) as terminal:
        terminal.wait_for("Overview", OFFICER.name, "live")
        fill_in_freeze(terminal, scope)
        to_backend.moment = moment
        terminal.press("enter")
        assert to_backend.stopped.wait(PATIENCE_S)
        drop(terminal, line, how)
        gate.until_left()
    assert told(gate, scope) == said
    assert happened(floor, scope) == (said == "TAKEN")


def test_at_any_moment_what_is_said_is_what_happened(gate: Bastion, floor: Floor) -> None:
    drawn = random.Random(SEED)  # noqa: S311  a test, not a secret
    said: dict[str, bool] = {}
    for run in range(RUNS):
        scope, how, after_s = f"strategy:run-{run}", drawn.choice(["killed", "cut"]), drawn.uniform(0, LONGEST_S)
        with line_to(gate.port) as line, gate.terminal("oscar", port=line.port) as terminal:
            terminal.wait_for("Overview", OFFICER.name, "live")
            fill_in_freeze(terminal, scope)
            terminal.type("\r")
            terminal.settle(after_s)
            drop(terminal, line, how)
            gate.until_left()
        if notes(gate):
            said[scope] = told(gate, scope) == "TAKEN"
            assert happened(floor, scope) == said[scope], (run, how, after_s)
        else:  # it was answered, or the key never came as far as the console
            assert happened(floor, scope) <= 1
    print("of", RUNS, "drops", len(said), "left a note, of which", sum(said.values()), "were taken")  # noqa: T201  -s
    assert {scope: happened(floor, scope) for scope in said} == said, "and it stays so"
