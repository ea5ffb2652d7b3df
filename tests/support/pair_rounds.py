"""Measures what clients of a pair notice: `python -m tests.support.pair_rounds ROUNDS [asynchronous]`.

A round: kill the primary, fail over, rewind and rejoin, switch back, under writers. Figures of one loaded machine say
little about another; the number of lost rows says something anywhere.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Sequence

from tests.support.pair import RunningPair, Writer, running_pair
from watchfloor.pair.state import NODES, SYNCHRONOUS

SETTLE_ROWS = 200


async def main(rounds: int, replication: str) -> None:
    """Print what each round took."""
    outages: list[float] = []
    switches: list[float] = []
    rejoins: list[float] = []
    lost, counted = 0, 0
    with running_pair(replication) as pair:
        url = pair.url(await pair.ready())
        for number in range(rounds):
            with Writer(url) as writer:
                writer.until_rows(SETTLE_ROWS)
                outages.append(await _outage(writer, _failing_over(pair)))
                writer.stop()
            missing = len(writer.lost())
            there = await pair.cluster.only_there(NODES[0])
            lost, counted = lost + missing, counted + (there.acknowledged_at_most if there else 0)
            with Writer(url) as writer:
                writer.until_rows(SETTLE_ROWS)
                began = time.monotonic()
                await pair.cluster.rejoin(NODES[0])
                rejoins.append(time.monotonic() - began)
                switches.append(await _outage(writer, pair.cluster.switch_over()))
                await pair.ready()
                writer.stop()
            lost += len(writer.lost())
            took = f"outage {outages[-1]:.2f} s, rejoin {rejoins[-1]:.2f} s, switchover {switches[-1]:.2f} s"
            print(f"round {number + 1}: {took}, lost {missing}", flush=True)  # noqa: T201  a measurement
    for name, values in (("outage by a kill", outages), ("rejoin", rejoins), ("outage by a switchover", switches)):
        print(f"{name}: {_spread(values)}")  # noqa: T201
    print(f"acknowledged rows lost: {lost}; counted in the logs, at most: {counted}")  # noqa: T201


async def _failing_over(pair: RunningPair) -> None:
    await pair.cluster.kill_primary()
    await pair.cluster.fail_over()


async def _outage(writer: Writer, act: Awaitable[object]) -> float:
    began = time.monotonic()
    await act
    await asyncio.to_thread(writer.until_rows, SETTLE_ROWS)
    return writer.longest_gap_s(began)


def _spread(values: Sequence[float]) -> str:
    return f"min {min(values):.2f} s, median {statistics.median(values):.2f} s, max {max(values):.2f} s"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else SYNCHRONOUS))
