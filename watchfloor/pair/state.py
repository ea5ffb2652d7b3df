"""What an agent has to know after it was killed: who is primary, and whether the standby has all that was acknowledged.

Written whole and durable before anything is done that it is about. Must never say "in step" of a standby for which
commits do not wait.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from watchfloor.embedded.cluster import LOCATION_FILE
from watchfloor.embedded.errors import ConfigurationError
from witness.files import write_whole

NODES: Final = ("a", "b")
DIRECTORY: Final = "pair"
"""Below the data directory: the state and the agent's lock."""
FILE: Final = "state.json"
FORMAT: Final = 1
SIGNAL_FILE: Final = "standby.signal"
"""In the data of a server that starts as a standby."""
SYNCHRONOUS: Final = "synchronous"
ASYNCHRONOUS: Final = "asynchronous"


@dataclass(frozen=True, slots=True)
class Loss:
    """What only a former primary had, counted before it was rewound."""

    since_lsn: str
    commits: int
    acknowledged_at_most: int


@dataclass(frozen=True, slots=True)
class Kill:
    """A primary that was killed on demand."""

    node: str
    at: str
    """ISO 8601, UTC."""
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a standby was behind when its primary was asked last."""

    node: str
    """The standby."""
    at: str
    """When that was: ISO 8601, UTC."""
    bytes: int
    whole_until: str
    """The standby has all that the primary had then, likewise."""


@dataclass(frozen=True, slots=True)
class PairState:
    """One moment of a pair."""

    primary: str = NODES[0]
    in_step: bool = False
    """Commits wait for the standby, and it has all that was acknowledged. Stays true while the primary is down."""
    diverged: str | None = None
    """A former primary that another one took over from: never started before it was rewound."""
    waited: bool = False
    """Whether commits on the diverged node waited for the standby when it was lost."""
    broken: str | None = None
    """A node whose data are being replaced: of no use until that is done."""
    held_down: bool = False
    """The primary was killed on demand and stays down until it is asked to come back."""
    killed: Kill | None = None
    """The last kill."""
    lost: Loss | None = None
    """Of the last former primary."""
    lost_of: str | None = None
    behind: Behind | None = None
    """Of a standby for which nobody waits, as it was written down last."""
    kept_log: str = ""
    """Where the log of a former primary lies of which nobody could count what only it had."""
    sockets: str = ""
    """The directory of both servers' socket directories: the same at every start, since the database's URL names it."""

    @property
    def standby(self) -> str:
        """The node that is not primary."""
        return NODES[1] if self.primary == NODES[0] else NODES[0]

    def but(self, **changes: Any) -> Self:
        """The same state with some of it changed."""
        return replace(self, **changes)


class Kept:
    """The state on disk and in memory, changed together."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.now = load(path) or PairState()

    def change(self, **changes: Any) -> None:
        """Change the state; durable on return."""
        following = self.now.but(**changes)
        if following != self.now:
            save(self._path, following)
            self.now = following


def load(path: Path) -> PairState | None:
    """Read the state; None where no pair was.

    Raises:
        ConfigurationError: the file is damaged. Nobody may guess who the primary is.
    """
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _damaged(path) from error
    try:
        if found.pop("format") != FORMAT:
            raise ConfigurationError(f"{path} was written by another version of Watchfloor: use that one")
        killed, lost = found.pop("killed"), found.pop("lost")
        if killed is not None:
            killed = Kill(killed["node"], killed["at"], tuple(killed["pids"]))
        behind = found.pop("behind", None)
        state = PairState(
            **found, killed=killed, lost=None if lost is None else Loss(**lost),
            behind=None if behind is None else Behind(**behind),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error
    if state.primary not in NODES:
        raise _damaged(path)
    return state


def save(path: Path, state: PairState) -> None:
    """Write the state; after a crash the old one or the new one is there."""
    write_whole(path, json.dumps({"format": FORMAT, **asdict(state)}, indent=1).encode() + b"\n")


def home_of(data_dir: Path, node: str) -> Path:
    """Where a node lives: the first one where a demo without a standby has its database."""
    return data_dir / ("postgres" if node == NODES[0] else f"postgres-{node}")


def cluster_of(home: Path) -> Path:
    """Where the data of a node are: in its home, or where the server's account can reach them."""
    record = home / LOCATION_FILE
    return Path(record.read_text().strip()) if record.exists() else home / "data"


def state_file(data_dir: Path) -> Path:
    """Where the state of the pair in this data directory is kept."""
    return data_dir / DIRECTORY / FILE


def primary_alone(data_dir: Path) -> Path:
    """The home of the server to be run without a standby: the primary of a pair that was here, if there was one.

    What is written from now on the other one lacks: said before the first write.

    Raises:
        ConfigurationError: the state is damaged, or nobody has all data.
    """
    path = state_file(data_dir)
    state = load(path)
    if state is None:
        return home_of(data_dir, NODES[0])
    home = home_of(data_dir, state.primary)
    if state.broken == state.primary or (cluster_of(home) / SIGNAL_FILE).exists():
        raise ConfigurationError(f"the server in {home} was to become the primary and has not yet: use --with-standby")
    if state.in_step or state.held_down:
        save(path, state.but(in_step=False, held_down=False))
    return home


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path} is damaged: it says which of two databases is the newer one; restore it")
