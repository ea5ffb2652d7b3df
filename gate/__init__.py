"""The library a trading bot embeds: ask the gate right before each send. Needs `cryptography` and `websockets`.

    with Gate(url, token, executor="bot-1", chain="arbitrum", strategy="arbitrage", wallet="0x…") as gate:
        while trading:
            decision = gate.may_send()
            if decision:
                gate.sent(order.id, nonce=order.nonce)
                send(order)
            elif decision.held:
                stop_working()
                gate.confirm_halted(decision)

Without a living permit nothing may be sent but cancels: at boot, after a lost backend, under a freeze.
"""

from gate.aio import AsyncGate
from gate.checker import Checker
from gate.client import Gate
from gate.orders import Fate
from gate.permits import Decision, Mode, Reason

__all__ = ["AsyncGate", "Checker", "Decision", "Fate", "Gate", "Mode", "Reason"]
