"""Software security keys of several people, each behind an SSH agent of their own: for the demonstration.

NOT HARDWARE KEYS: see `simulator.security_key`. Makes no key: it serves those that lie in a directory.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from contract.errors import ExitCode
from simulator.security_key import WARNING, Behaviour, SecurityKey, StateError, listening

_SUFFIX = ".key"


async def _serve(files: Sequence[Path], agents: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as open_agents:
        for file in files:
            agent = listening(agents / file.name.removesuffix(_SUFFIX), SecurityKey(file), Behaviour())
            await open_agents.enter_async_context(agent)
        sys.stderr.write(f"{WARNING}: whoever reads their files has the keys\n")
        await stop.wait()


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal; returns the exit code."""
    parser = argparse.ArgumentParser(prog="simulator.security_keys", description=f"SSH agents with keys. {WARNING}.")
    parser.add_argument("--keys", required=True, type=Path, help="directory of the keys' files, NAME.key")
    parser.add_argument("--agents", required=True, type=Path, help="directory in which the agent NAME listens")
    given = parser.parse_args(argv)
    try:
        asyncio.run(_serve(sorted(given.keys.glob(f"*{_SUFFIX}")), given.agents))
    except (OSError, StateError) as error:
        sys.stderr.write(f"security_keys: {error}\n")
        return ExitCode.CONFIGURATION
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
