"""`python -m simulator`: the command line of the simulated floor."""

import argparse
import logging
import signal
import socket
import sys
import threading
from pathlib import Path

from contract.errors import ExitCode
from gate.addresses import parse as read_address
from simulator.fleet import DEFAULT_EXECUTORS, MAX_EXECUTORS
from simulator.live import Options, run
from simulator.scenario import Scenario

SLOWEST, FASTEST = 0.1, 100.0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator", description="Trades through Watchfloor's public API.")
    parser.add_argument("--url", required=True, help="address of the backend")
    parser.add_argument("--token-file", required=True, type=Path, help="file with a service token")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same trades (default 1)")
    parser.add_argument("--speed", type=float, default=1.0, help=f"{SLOWEST} to {FASTEST:g} (default 1)")
    parser.add_argument("--scenario", choices=[str(each) for each in Scenario], default="none", help="what goes wrong")
    parser.add_argument("--executors", type=int, default=DEFAULT_EXECUTORS, help=f"1 to {MAX_EXECUTORS}")
    parser.add_argument("--chains-file", type=Path, help="where the simulated chains are kept; default: nowhere")
    parser.add_argument(
        "--nodes-fd", type=int, help="descriptor of a listening socket: JSON-RPC of the chains, read only"
    )
    given = parser.parse_args(argv)
    if not SLOWEST <= given.speed <= FASTEST:
        parser.error(f"--speed is between {SLOWEST} and {FASTEST:g}")
    if not 1 <= given.executors <= MAX_EXECUTORS:
        parser.error(f"--executors is between 1 and {MAX_EXECUTORS}")
    return given


def main(argv: list[str] | None = None) -> int:
    """Run until a signal or the end of the parent; returns the exit code."""
    given = _parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        token = given.token_file.read_text().strip()
        read_address(given.url)
        nodes = None if given.nodes_fd is None else socket.socket(fileno=given.nodes_fd)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return ExitCode.CONFIGURATION
    scenario = Scenario(given.scenario)
    options = Options(given.url, token, given.seed, given.speed, scenario, given.executors, given.chains_file, nodes)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # ignored on purpose, as under nohup
            signal.signal(number, lambda *_: stop.set())
    try:
        run(options, stop)
    except OSError as error:  # the chains' file; whatever happens on the line stays there
        sys.stderr.write(f"simulator: {error}\n")
        return ExitCode.CONFIGURATION
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
