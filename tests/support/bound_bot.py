"""A bot that sends as fast as it may, as a process of its own, so that it can be stopped and its clocks can be wrong.

`python -m tests.support.bound_bot CONFIG`, a JSON object: url, token, name, strategy, venue (port), rate, step_s,
defiant.
"""

import json
import signal
import socket
import sys
import threading
import time
from decimal import Decimal
from typing import Any

from gate import Gate
from gate.line import monotonic_s

BETWEEN_SENDS_S = 0.01
AMOUNT_ETH = Decimal(1)


def main(config: dict[str, Any]) -> None:
    """Send until told to end. Every send carries the instant right before it, on the clock all processes share."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    began, rate = monotonic_s(), float(config["rate"])
    _step_wall_clock(float(config["step_s"]))
    gate = Gate(
        config["url"],
        config["token"],
        executor=config["name"],
        chain="arbitrum",
        strategy=config["strategy"],
        wallet=f"0x{config['name']}",
        clock=lambda: began + (monotonic_s() - began) * rate,
    )
    venue = ("127.0.0.1", int(config["venue"]))
    with gate, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        number = 0
        while not over.wait(BETWEEN_SENDS_S):
            decision = gate.may_send(amount_eth=AMOUNT_ETH)
            if decision or (config["defiant"] and gate.permit):
                number += 1
                gate.sent(f"{config['name']}-{number}")
                order = {"bot": config["name"], "amount_eth": str(AMOUNT_ETH), "permit": gate.permit}
                order["sent_ns"] = time.monotonic_ns()
                wire.sendto(json.dumps(order).encode(), venue)
            elif decision.held:
                gate.confirm_halted(decision)


def _step_wall_clock(step_s: float) -> None:
    """Have this process see a wall clock that jumps to and fro every half second."""
    if step_s:
        true_time = time.time
        time.time = lambda: true_time() + (step_s if int(true_time() * 2) % 2 else 0.0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
