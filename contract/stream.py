"""Wire types of the event stream `/v1/stream`: topics and payloads. The topic says which type `data` holds."""

from enum import StrEnum

from contract.base import UtcDatetime, Wire
from contract.executors import Executor


class Topic(StrEnum):
    """The `event:` field of a server-sent event."""

    ALERT = "alert"
    """data: contract.alerts.Alert"""
    ALERTS = "alerts"
    """Many alerts at once, e.g. a delivery of an Alertmanager: read the list again. data: AlertsChanged"""
    INCIDENT = "incident"
    """data: contract.incidents.IncidentChanged"""
    FREEZE = "freeze"
    """data: contract.freeze.Freeze (without proofs)"""
    RISK = "risk"
    """data: contract.risk.RiskSnapshot"""
    EXECUTORS = "executors"
    """data: ExecutorsChanged"""
    TRANSACTIONS = "transactions"
    """data: TransactionsStored"""
    ELEVATION = "elevation"
    """data: contract.access.Elevation"""
    LATCHED = "latched"
    """data: contract.freeze.LatchedFreezes; carries no id: the backend that sends it is the only one to know"""
    RECOVERY = "recovery"
    """data: contract.recovery.RecoveryDrill, without outputs and log"""
    RESET = "reset"
    """The requested resume point is gone: load the overview again. data: {}"""
    BEAT = "beat"
    """Sent when nothing happened for a while, so that a dead line is noticed. data: Beat; carries no id"""


class ExecutorsChanged(Wire):
    """Executors whose state, position or orders changed since the last such event."""

    executors: list[Executor]
    at: UtcDatetime


class AlertsChanged(Wire):
    """How many alerts changed at once; too many to send each."""

    count: int
    at: UtcDatetime


class TransactionsStored(Wire):
    """How many trades were stored, and the span of their block times."""

    count: int
    first_block_time: UtcDatetime
    last_block_time: UtcDatetime


class Beat(Wire):
    """The server's clock."""

    at: UtcDatetime
