"""Runs PostgreSQL's programs on the data of a stopped server, as the server's account, and reads what they say.

One at a time: each holds a lock that its own children inherit, so that what an agent that was killed left behind is
waited for. Must never run on the data of a server that runs.
"""

import asyncio
import fcntl
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from watchfloor.embedded.account import SERVER_ENVIRONMENT, Account, identity
from watchfloor.embedded.cluster import explain
from watchfloor.pair.errors import PairError

LOCK_FILE: Final = "tool.lock"
COPY_S: Final = 3600.0
REWIND_S: Final = 600.0
LOOK_S: Final = 300.0
LEFT_OVER_S: Final = 20.0
"""What an agent that was killed left behind ends with the server that it reads from."""
POLL_S: Final = 0.05
_COMMITTED: Final = b"desc: COMMIT"
_END: Final = re.compile("could not find a valid record after|error in WAL record|could not (find|open) file")
"""The last: it ended with its segment, and the next one was never begun."""
_HIGH: Final = 1 << 32
"""What the second part of a segment's name counts up to, in bytes."""
_ANOTHER: Final = "an earlier agent's program is still at work"


@dataclass(frozen=True, slots=True)
class Said:
    """What a program answered."""

    code: int
    output: str
    errors: str

    @property
    def reason(self) -> str:
        """What a person has to know of a failure."""
        return explain(self.errors or self.output)


class Tools:
    """The programs for one node's data."""

    def __init__(self, home: Path) -> None:
        self._lock = home / LOCK_FILE
        self._bin = Path()
        self._account: Account | None = None

    def use(self, programs: Path, account: Account | None) -> None:
        """Say where the programs are and as whom they run."""
        self._bin, self._account = programs, account

    async def idle(self) -> None:
        """Wait until nothing works on the data.

        Raises:
            PairError: something goes on.
        """
        async with self._alone():
            pass

    async def copy(self, source: Path, user: str, target: Path) -> None:
        """Make `target`, which must not exist, a copy of the server that listens in `source`.

        Raises:
            PairError: it could not be copied; says why.
        """
        argv = ["-D", str(target), "-h", str(source), "-U", user, "-X", "stream", "-c", "fast"]
        said = await self._run("pg_basebackup", argv, COPY_S)
        if said.code != 0:
            raise PairError(f"its data cannot be copied anew: {said.reason}")

    async def rewind(self, source: Path, user: str, target: Path) -> None:
        """Take from the cluster in `target` what the server that listens in `source` does not have.

        Raises:
            PairError: it cannot be rewound.
        """
        server = f"host='{source}' user={user} dbname=postgres"
        said = await self._run("pg_rewind", ["-D", str(target), f"--source-server={server}"], REWIND_S)
        if said.code != 0:
            raise PairError(f"it cannot be rewound: {said.reason}")

    async def control(self, cluster: Path) -> dict[str, str]:
        """What the cluster's control file says.

        Raises:
            PairError: it cannot be read.
        """
        said = await self._run("pg_controldata", ["-D", str(cluster)], LOOK_S)
        if said.code != 0:
            raise PairError(f"its control file cannot be read: {said.reason}")
        pairs = (line.partition(":") for line in said.output.splitlines())
        return {name.strip(): value.strip() for name, _, value in pairs}

    async def commits(self, log: Path, timeline: int, since: str) -> int | None:
        """Count the transactions that a log committed from a place on; None where the log does not reach back to it.

        The files are named: left to itself the program asks any of them for the size of all, also one that was just
        being made when its server was killed, and is empty.
        """
        files = _written(log, timeline)
        first = _holding(files, timeline, since)
        if first is None:
            return None
        argv = ["-p", str(log), "-s", since, "--rmgr=Transaction", first, files[-1].name]
        async with self._started("pg_waldump", argv) as process:
            if process.stdout is None or process.stderr is None:
                raise RuntimeError("the program was started without pipes")
            telling = asyncio.create_task(process.stderr.read())  # it is written in pieces
            found = 0
            async with asyncio.timeout(LOOK_S):
                async for line in process.stdout:
                    found += _COMMITTED in line
                complaint = (await telling).decode(errors="replace")
                await process.wait()
        return found if _is_end_of_log(complaint) else None

    async def _run(self, program: str, argv: Sequence[str], seconds: float) -> Said:
        async with self._started(program, argv) as process:
            try:
                async with asyncio.timeout(seconds):
                    output, errors = await process.communicate()
            except TimeoutError as error:
                raise PairError(f"{program} did not end within {seconds:.0f} s") from error
        return Said(process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace"))

    @asynccontextmanager
    async def _started(self, program: str, argv: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
        async with self._alone() as lock:
            process = await asyncio.create_subprocess_exec(
                self._bin / program, *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, cwd="/", env=SERVER_ENVIRONMENT, start_new_session=True,
                pass_fds=[lock], **identity(self._account),
            )  # fmt: skip
            try:
                yield process
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[int]:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = asyncio.get_running_loop().time() + LEFT_OVER_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if asyncio.get_running_loop().time() > deadline:
                        raise PairError(_ANOTHER) from None
                await asyncio.sleep(POLL_S)
            yield descriptor
        finally:
            os.close(descriptor)


def forked_at(history: str) -> tuple[int, str] | None:
    """Of a timeline's history file: the timeline that it left last, and where."""
    lines = [line.split() for line in history.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = [(int(words[0]), words[1]) for words in lines if len(words) > 1 and words[0].isdecimal()]
    return found[-1] if found else None


def lsn(text: str) -> int:
    """A place in the log as a number."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def reaches(log: Path, timeline: int, place: str) -> bool | None:
    """Whether a log was written up to a place; None where it was and is not kept any more."""
    files = _written(log, timeline)
    if _holding(files, timeline, place) is not None:
        return True
    return False if files and _name(files, timeline, place) > files[-1].name else None


def _written(log: Path, timeline: int) -> list[Path]:
    """The files of a timeline in which something may stand, in their order."""
    return [path for path in sorted(log.glob(f"{timeline:08X}" + "[0-9A-F]" * 16)) if path.stat().st_size]


def _holding(files: Sequence[Path], timeline: int, place: str) -> str | None:
    """The file that a place is in, if it is there."""
    wanted = _name(files, timeline, place) if files else None
    return wanted if wanted in {path.name for path in files} else None


def _name(files: Sequence[Path], timeline: int, place: str) -> str:
    size = files[0].stat().st_size
    high, low = divmod(lsn(place) // size, _HIGH // size)
    return f"{timeline:08X}{high:08X}{low:08X}"


def _is_end_of_log(complaint: str) -> bool:
    """Whether a log simply ended: that is always told as an error."""
    return _END.search(complaint) is not None
