"""The library a trading bot embeds: ask the gate right before each send. Needs nothing but the standard library.

    with Gate(url, token, executor="bot-1", chain="arbitrum", strategy="arbitrage", wallet="0x…") as gate:
        while trading:
            decision = gate.may_send()
            if decision:
                send(order)
            elif decision.held:
                stop_working()
                gate.confirm_halted(decision)

Without a living permit nothing may be sent but cancels: at boot, after a lost backend, under a freeze.
"""

from gate.client import Gate
from gate.permits import Decision, Mode, Reason
from gate.transport import HttpTransport, Refused, Transport, TransportError

__all__ = ["Decision", "Gate", "HttpTransport", "Mode", "Reason", "Refused", "Transport", "TransportError"]
