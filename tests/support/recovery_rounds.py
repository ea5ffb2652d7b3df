"""Runs recovery drills in every way they can go: `python -m tests.support.recovery_rounds [--drills 20] …`.

--drills: the built-in plan hands-off on the demo's pair. --aborts: so many times, an abort before the first step,
after each and in each. --kills: the backend killed -9 in each step. --consoles: a drill run from consoles each of which
is killed -9 in a step. --patroni: switchovers, and as many failovers by kill -9, through a real Patroni cluster.
--losses: drills on an asynchronous pair that lose something. --faults: plans and circumstances that none may pass.

Ends with 1 unless all is as it should be: nothing acknowledged lost where commits wait, no drill in an unknown state,
the cluster as before or what is left to do said, and every loss counted exactly.
"""

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from contract.recovery import DrillState, RecoveryDrill
from tests.support.demo import headless_demo
from tests.support.places import public_directory
from tests.support.recovery_at_demo import RecoveryDesk, signed_in
from tests.support.recovery_console import killed_in_each_step
from tests.support.recovery_faults import faulty_demo, full_disk_demo
from tests.support.recovery_losses import lose, wrong_with
from tests.support.recovery_mishaps import STEPS, Mishaps, Round, judged, writing
from tests.support.recovery_patroni import ABORTS, PLANS, drilled

SEED: Final = 1
STARTS: Final = 3
"""A busy machine signs the ledger late, and a drill is then refused."""


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  a measurement


def _told(rounds: Iterable[Round]) -> list[Round]:
    kept = []
    for one in rounds:
        _say(str(one))
        kept.append(one)
    return kept


def passed(desk: RecoveryDesk, drills: int) -> Iterator[Round]:
    """Run the built-in plan so many times, while rows are written. One that was refused has touched nothing."""
    for _ in range(drills):
        with writing(desk) as writer:
            for _ in range(STARTS):
                drill = desk.ended(desk.start().ref)
                if drill.state is not DrillState.REFUSED:
                    break
                _say(f"{drill.ref} begins again: {drill.sentence}")
            yield judged(desk, writer, drill, "to its end", {DrillState.PASSED})


def figures(drills: list[RecoveryDrill]) -> Iterator[str]:
    """What they measured: every figure with how many knew it."""
    for name, values in (
        ("RTO ms", [drill.measured.rto_ms for drill in drills]),
        ("RPO ms", [drill.measured.rpo_ms for drill in drills]),
        ("markers lost", [drill.measured.markers_lost for drill in drills]),
        ("transactions lost, acknowledged", [_acknowledged(drill) for drill in drills]),
    ):
        known = [value for value in values if value is not None]
        if not values:
            return
        if known:
            spread = f"min {min(known)}, median {statistics.median(known):.0f}, max {max(known)}"
            yield f"  {name}: {spread} (n {len(known)} of {len(values)})"
        else:
            yield f"  {name}: not known of any"


def _acknowledged(drill: RecoveryDrill) -> int | None:
    lost, never = drill.measured.transactions_lost, drill.measured.transactions_unacknowledged
    return None if lost is None or never is None else lost - never


def on_a_pair(asked: argparse.Namespace) -> Iterator[list[Round]]:
    """Drills, aborts and kills on one demo."""
    with public_directory() as directory:
        data_dir = directory / "demo"
        with headless_demo(data_dir, "--with-standby") as demo:
            desk = signed_in(demo, data_dir)
            happens = Mishaps(desk, data_dir, SEED)
            yield _told(passed(desk, asked.drills))
            yield _told(happens.aborted_after(step) for _ in range(asked.aborts) for step in range(STEPS + 1))
            yield _told(happens.aborted_within(step) for _ in range(asked.aborts) for step in range(1, STEPS + 1))
            yield _told(happens.killed_within(step) for _ in range(asked.kills) for step in range(1, STEPS + 1))
            yield _told(killed_in_each_step(desk, data_dir) for _ in range(asked.consoles))


def through_patroni(asked: argparse.Namespace) -> Iterator[list[Round]]:
    """Switchovers and failovers on a real cluster, one list each; then what is aborted between their steps."""
    if asked.patroni:
        with drilled() as cluster:
            for plan in PLANS:
                yield _told(cluster.round(plan) for _ in range(asked.patroni))
            if asked.aborts:
                yield _told(cluster.aborted(plan, step) for plan, step in ABORTS)


def with_losses(asked: argparse.Namespace) -> Iterator[list[Round]]:
    """Drills on asynchronous pairs, each a demo of its own: what is lost stays lost."""
    for _ in range(asked.losses):
        with public_directory() as directory:
            data_dir = directory / "demo"
            with headless_demo(data_dir, "--with-standby", "--replication", "asynchronous") as demo:
                found = lose(signed_in(demo, data_dir), demo, data_dir, directory)
        _say(str(found))
        yield _told([Round("asynchronous, the standby's line cut", found.drill, tuple(wrong_with(found)))])


def with_faults(asked: argparse.Namespace) -> Iterator[list[Round]]:
    """What no drill may pass."""
    for _ in range(asked.faults):
        with public_directory() as directory, faulty_demo(directory) as faults:
            yield _told(one() for one in faults.all())
        with public_directory() as directory, full_disk_demo(directory) as faults:
            yield _told([faults.disk_full()])


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    load = os.getloadavg()[0]
    _say(f"{what} (load {load:.1f})")
    yield
    _say(f"  took {time.monotonic() - began:.0f} s")


def main(argv: list[str]) -> int:
    """Run what was asked for and sum it up."""
    asked = _parser().parse_args(argv)
    parts: tuple[tuple[str, Callable[[argparse.Namespace], Iterator[list[Round]]]], ...] = (
        ("On a synchronous pair", on_a_pair), ("Through Patroni", through_patroni),
        ("On an asynchronous pair", with_losses), ("What no drill may pass", with_faults),
    )  # fmt: skip
    everything: list[Round] = []
    skipped: list[str] = []
    for title, part in parts:
        with _timed(title):
            try:
                for rounds in part(asked):
                    everything += rounds
                    for line in figures([one.drill for one in rounds if one.drill.state is DrillState.PASSED]):
                        _say(line)
            except pytest.skip.Exception as reason:
                skipped.append(f"{title}: {reason}")
    wrong = [one for one in everything if one.wrong]
    states = Counter(one.drill.state.value for one in everything)
    _say(f"{len(everything)} drills: {', '.join(f'{count} {state}' for state, count in states.items())}")
    for line in (*(f"NOT MEASURED {one}" for one in skipped), *map(str, wrong)):
        _say(line)
    _say("every drill ended as it should" if not wrong else f"{len(wrong)} drills did NOT end as they should")
    return 1 if wrong or skipped else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    counts = {"drills": 20, "aborts": 1, "kills": 1, "consoles": 1, "patroni": 5, "losses": 1, "faults": 1}
    for name, count in counts.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
