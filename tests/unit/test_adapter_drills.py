"""An adapter that leaves drills alone: not stopped by one, not for want of permits under one, and never deaf."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.journal import Journal
from adapters.loop import Loop, Pace, Resume, Standing, Stop, Wanted
from adapters.running import LOST_AFTER_S, Adapter, Seen, Told
from gate import Gate, Mode
from tests.support.gate_server import TOKEN, GateServer
from tests.support.processes import until


@dataclass
class Machine:
    """Software that obeys."""

    name: str = "machine"
    sees_orders: bool = False
    stops: list[tuple[Mode, tuple[str, ...]]] = field(default_factory=list)

    def stop(self, step: Stop, wanted: Wanted) -> Told:
        self.stops.append((step.mode, wanted.holds))
        return Told(done=True, note="stopped", ran=True)

    def look(self, mode: Mode | None) -> Seen:
        return Seen(Standing.OBEYS if self.stops else Standing.RUNS, "looked")

    def cancel(self) -> Told:
        return Told(done=True, note="")

    def resume(self, step: Resume) -> Told:
        return Told(done=True, note="let go")


@dataclass
class Bench:
    """An adapter whose clock the test puts forward, on a real gate."""

    gate: Gate
    adapter: Adapter
    machine: Machine
    written: io.StringIO
    ahead: list[float]

    def later(self, seconds: float) -> None:
        """Let that much time pass for the adapter, and have it do all that is due."""
        self.ahead[0] += seconds
        for _ in range(10):
            self.adapter.turn()

    def wrote(self, what: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.written.getvalue().splitlines()]
        return [line for line in lines if line["what"] == what]


@contextmanager
def bench(server: GateServer, *, in_drills: bool) -> Iterator[Bench]:
    machine, written, ahead = Machine(), io.StringIO(), [0.0]
    given: dict[str, Any] = {"executor": "bot-1", "chain": "binance", "strategy": "dip", "wallet": "account-1"}
    with Gate(server.url, TOKEN, **given, sees_orders=False, bounded=False, in_drills=in_drills) as gate:
        until(lambda: gate.look().allowed, "it has a permit")
        journal = Journal("machine", ["bot-1"], now=lambda: datetime(2026, 1, 1, tzinfo=UTC), out=written)
        adapter = Adapter(machine, Loop(Pace()), {"bot-1": gate}, journal, clock=lambda: ahead[0])
        yield Bench(gate, adapter, machine, written, ahead)


def said(server: GateServer) -> list[dict[str, Any]]:
    return [each for each in server.renewals if each["acknowledgement"]]


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as running:
        yield running


def test_a_drill_is_left_alone_and_said_once_however_long_it_lasts(server: GateServer) -> None:
    with bench(server, in_drills=False) as one:
        server.freeze(drill=True)
        until(lambda: bool(one.gate.look().spared), "it has been told")
        for _ in range(3):
            until(lambda: one.gate.last_error is None, "the line stands")
            one.later(LOST_AFTER_S)
        assert one.machine.stops == []
        assert [line["holds"] for line in one.wrote("drill")] == [["FRZ-0001"]]
        server.freeze()
        until(lambda: one.gate.look().mode is not None, "a freeze in earnest")
        one.later(1.0)
        assert one.machine.stops == [(Mode.HALT, ("FRZ-0002",))]
        server.wait_for(lambda: said(server))
        assert server.acknowledgement(said(server)[0])["holds"] == ["FRZ-0002"]


def test_a_line_that_breaks_under_a_drill_stops_it_as_without_one(server: GateServer) -> None:
    with bench(server, in_drills=False) as one:
        server.freeze(drill=True)
        until(lambda: bool(one.gate.look().spared), "it has been told")
        one.later(1.0)
        server.change(status=503)
        server.hang_up()
        until(lambda: one.gate.last_error is not None, "the line is gone")
        one.later(LOST_AFTER_S / 2)
        assert one.machine.stops == []
        one.later(LOST_AFTER_S)
        assert [mode for mode, _ in one.machine.stops] == [Mode.HALT]


@pytest.mark.parametrize("begin", [lambda server: server.freeze(drill=True), lambda server: server.freeze()])
def test_who_takes_part_is_stopped_by_either(server: GateServer, begin: Callable[[GateServer], int]) -> None:
    with bench(server, in_drills=True) as one:
        begin(server)
        until(lambda: one.gate.look().mode is not None, "it has been told")
        one.later(1.0)
        assert one.machine.stops == [(Mode.HALT, ("FRZ-0001",))]
        assert one.wrote("drill") == []
