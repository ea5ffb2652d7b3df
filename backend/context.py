"""What every service may ask for: who is calling, and the parts of the running process. Owns no rule."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Request

from backend.clock import Clock
from backend.db import Database
from backend.emitter import Emitter
from backend.folding import Folded
from backend.keyring import DataKey, Keyring
from backend.known_callers import KnownCallers
from backend.latched import Latched
from backend.metrics import Metrics
from backend.peer import Peer
from backend.policy import Policy
from backend.reserve import Reserve
from backend.revocations import Revocations
from backend.settings import Settings
from backend.signals import Signal
from backend.timed import TimedCache
from backend.token_use import TokenUse
from backend.write_path import WritePath
from contract.permissions import Permission


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts: a signed-in person, a service token, or the system itself."""

    subject: str
    """User name, `executor:NAME`, `service:NAME` or `system:NAME`; written to the audit log as user_id."""
    kind: Literal["user", "service", "system", "anonymous"]
    role: str
    permissions: frozenset[Permission]
    request_id: str
    session_id: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    max_trade_eth: Decimal | None = None
    """What a machine's token lets its executors trade at once; None is what the policy says."""
    peer: Peer | None = None
    """Who opened the connection, as the kernel or TLS says."""
    executors: tuple[str, ...] = ()
    """Patterns of the executors' names that a machine may speak for; empty: for all."""
    credential: str | None = field(default=None, repr=False)
    """A machine's secret, by its hash."""

    def connection_facts(self) -> dict[str, Any]:
        """What the entry of a sign-in says about the connection it came over."""
        return {} if self.peer is None else self.peer.facts()

    @property
    def identity(self) -> tuple[str, str | None]:
        """What the caller signed in with."""
        return self.subject, self.session_id or self.credential


STORED_OF_CALLER: Final = ("subject", "kind", "role", "request_id", "session_id", "ip", "user_agent")
"""What files keep of a caller whose act the database has not taken yet: who it was, not what they might do."""


def system_caller(name: str, request_id: str = "") -> Caller:
    """The caller of a monitor: it acts in its own name, never in a person's."""
    return Caller(
        subject=f"system:{name}", kind="system", role="system", permissions=frozenset(), request_id=request_id
    )


@dataclass(frozen=True, slots=True)
class KeptBody:
    """An encoded answer and the version of the data it was made of: good for as long as that is still the newest."""

    version: tuple[object, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of one backend process; `app.state.runtime`."""

    settings: Settings
    policy: Policy
    clock: Clock
    database: Database
    keyring: Keyring
    emitter: Emitter
    subjects: TimedCache[str, str]
    """Surrogates of people, by name."""
    names: TimedCache[str, Mapping[str, str]]
    """All of them at once, to find names in texts."""
    data_keys: TimedCache[str, DataKey]
    """Unwrapped data keys, by subject."""
    barren: TimedCache[tuple[bytes, str], datetime]
    """From when on a closed partition of the audit ledger has no answer to a question, by both."""
    revocations: Revocations
    """Who was erased, known outside the database."""
    write_path: WritePath
    """How the audit log's write path does."""
    reserve: Reserve
    """Database connections for what must have an answer in time."""
    callers: KnownCallers
    """Who may freeze while the database is away."""
    latched: Latched = field(default_factory=Latched)
    """Freezes that the database has not taken yet."""
    holds_changed: Signal = field(default_factory=Signal)
    """This process has committed a freeze, or a step of lifting one."""
    outbox_filled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this process has committed an audit entry: wakes the sequencer if it runs here."""
    metrics: Metrics = field(default_factory=Metrics)
    unknown_refused: Folded = field(default_factory=Folded)
    """Refusals of unknown callers on routes that are never limited, by address, route and reason."""
    token_use: TokenUse = field(default_factory=TokenUse)
    """Uses of machines' tokens that are not written down yet."""
    watched: dict[str, datetime] = field(default_factory=dict)
    """Since when this process has watched something, by name."""
    present: dict[str, datetime] = field(default_factory=dict)
    """When people used their sessions, by session, as far as it is not written down yet."""
    bodies: dict[str, KeptBody] = field(default_factory=dict)
    """At most one encoded answer a name."""


async def _runtime(request: Request) -> Runtime:  # async: a plain function costs a thread a request
    runtime: Runtime = request.app.state.runtime
    return runtime


CurrentRuntime = Annotated[Runtime, Depends(_runtime)]
