"""Wire types between an executor's gate and the backend."""

from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from contract.base import Money, Wire, WireRequest, storable
from contract.freeze import FreezeMode
from contract.scope import nameable
from contract.states import Fate

SUBPROTOCOL = "watchfloor.gate.1"
"""What both sides name when the connection is made."""
MAX_MESSAGE_BYTES = 64 * 1024
"""Of one message either way; a renewal that carries everything it may fits."""
MAX_NAME_CHARS = 100
"""Same bound as a scope's name: a name must fit where a scope is typed."""

MAX_POSITION_ETH = Decimal(10) ** 20
"""What is stored exactly; a thousand times all ether there is."""
MAX_COUNT = 2**31 - 1
MAX_SEQUENCE = 2**63 - 1
"""Widths of the columns these are stored in."""
MAX_ID_CHARS = 200
"""A transaction hash, a bundle's uuid or a venue's order id with room to spare."""
MAX_IN_FLIGHT_IDS = 200
"""Named in one acknowledgement; the count beside them tells of more."""
MAX_FATES = 50
"""Told in one renewal."""
MAX_NONCES = 50
"""Wallets of one executor."""
MAX_CONTRACTS = 10
"""Contracts that one acknowledgement says are paused."""
MAX_ACKNOWLEDGEMENT_CHARS = 48 * 1024
"""Two hundred ids of transactions, signed and encoded, with room to spare."""
PUBLIC_KEY_CHARS = 43
"""32 bytes in base64url."""
LATCHED = "LATCHED"
"""Stands for the ref of a freeze that the database has not taken yet."""

GateName = Annotated[
    str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(storable), AfterValidator(nameable)
]
InFlightId = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(storable)]
_Sequence = Annotated[int, Field(ge=0, le=MAX_SEQUENCE)]
_Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class CloseCode(IntEnum):
    """Why the backend closes a connection."""

    GOING_AWAY = 1001
    """The backend stops: connect again, to another one."""
    MALFORMED = 4400
    REFUSED = 4403
    """This process gets no more permits here: another one holds its name, or its token has ended."""
    TOO_SLOW = 4408
    """The client did not read."""
    SILENT = 4409
    """The client did not ask."""
    FULL = 4503
    """Too many executors are connected here."""


class OrderFate(WireRequest):
    """How something that was in flight has ended."""

    id: InFlightId
    fate: Fate


class RenewRequest(WireRequest):
    """An executor asks for its next permit and says what it is doing."""

    executor: GateName
    chain: GateName
    strategy: GateName
    wallet: GateName
    boot_id: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(storable)]
    """Random per process start: a restart is seen as one."""
    position_eth: Money | None = Field(default=None, gt=-MAX_POSITION_ETH, lt=MAX_POSITION_ETH)
    open_orders: _Count | None = None
    in_flight: _Count | None = None
    last_order_seq: _Sequence = 0
    halted_epoch: _Sequence = 0
    """The highest epoch whose holds this executor says it has obeyed, without a signature: for simple bots."""
    request_no: _Sequence = 0
    """Counts the requests of one process; the answer repeats it, so that an answer to another request is noticed."""
    seen_epoch: _Sequence = 0
    """The highest epoch of a hold over this executor that it has been told of."""
    public_key: str | None = Field(
        default=None, min_length=PUBLIC_KEY_CHARS, max_length=PUBLIC_KEY_CHARS, pattern=r"^[A-Za-z0-9_-]+$"
    )
    """Raw Ed25519 key of this process, base64url: registered with it, and never another one."""
    acknowledgement: str | None = Field(default=None, max_length=MAX_ACKNOWLEDGEMENT_CHARS)
    """What it signed when it halted; repeated until the answer's `acked_epoch` covers it."""
    fates: list[OrderFate] = Field(default=[], max_length=MAX_FATES)
    """Repeated until an answer's `fates_taken` is the number of a request that carried them."""
    idle_ms: _Count | None = None
    """Since the executor's own code last asked its gate anything; None where nothing measures it."""
    bounded: bool = True
    """Whether what trades asks before each send. False behind an adapter: a dead permit stops nothing there."""
    in_drills: bool = True
    """Whether it obeys a drill's hold as one in earnest. False: it does nothing, and its proof says so."""

    @property
    def name(self) -> str:
        """The executor's name, as a place under scopes."""
        return self.executor


class Hold(Wire):
    """One freeze that covers the executor."""

    freeze_ref: str
    epoch: int | None
    """None for one that is latched: it gets its epoch when the database takes it."""
    mode: FreezeMode
    drill: bool = False
    """Whether a drill put it on. It holds all the same; what must not be tried out may leave it alone."""


class PermitClaims(Wire):
    """What a permit says; the payload of a statement that the backend signs."""

    v: Literal[1] = 1
    executor: str
    boot_id: str
    chain: str
    strategy: str
    wallet: str
    request_no: int
    mode: FreezeMode | None
    """None: trade freely. REDUCE_ONLY: only reduce. HALT and CANCEL_ALL: only cancel."""
    epoch: int
    """The newest of all holds when the freeze state was read, whether it covers the executor or not."""
    ttl_ms: int
    """How long it lives, on the executor's own monotonic clock from the moment it *sent* the request."""
    renew_ms: int
    max_trade: str | None = None
    """The largest trade it allows, in ETH."""
    issued_at: str
    """By the database's clock, for people and checkers: no bound depends on it."""
    holds: list[Hold] = []


class HaltClaims(WireRequest):
    """What an acknowledgement says; the payload of a statement that an executor's process signs."""

    v: Literal[1]
    executor: GateName
    boot_id: str = Field(max_length=64)
    epoch: _Sequence
    mode: FreezeMode
    holds: list[Annotated[str, Field(max_length=20)]]
    """Refs of the holds it obeys."""
    last_order_seq: _Sequence
    nonces: dict[Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(storable)], _Sequence] = Field(
        default={}, max_length=MAX_NONCES
    )
    """The last nonce that each wallet has used."""
    in_flight: list[InFlightId] = Field(default=[], max_length=MAX_IN_FLIGHT_IDS)
    in_flight_count: _Count | None = 0
    """None: who signs stands for software whose orders it does not see."""
    open_orders: _Count | None = None
    paused: dict[Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(storable)], _Sequence] = Field(
        default={}, max_length=MAX_CONTRACTS
    )
    """Contracts on its chain that it has read back as paused, by address; at which block."""
    at: str = Field(default="", max_length=40)
    """By the executor's wall clock: for people."""


class PermitAnswer(Wire):
    """Answers one renewal."""

    type: Literal["permit"] = "permit"
    permit: str
    """The signed statement whose payload is `PermitClaims`."""
    request_no: int = 0
    """That of the request this answers."""
    acked_epoch: int = 0
    """The highest epoch up to which this process's acknowledgements are stored."""
    fates_taken: int = 0
    """`request_no` if the fates of this request are stored, else 0."""


class Permit(PermitAnswer):
    """A permit over HTTP: with what it says spelled out, for scripts. Only the signed statement counts."""

    executor: str
    may_trade: bool
    mode: FreezeMode | None = None
    epoch: int
    ttl_ms: int
    renew_ms: int
    holds: list[Hold] = []


class RenewMessage(RenewRequest):
    """A renewal over the connection."""

    type: Literal["renew"]


class Hello(Wire):
    """The first message of the backend."""

    type: Literal["hello"] = "hello"
    keys: dict[str, str]
    """Raw Ed25519 public keys of permits, base64url, by key id."""
    backend: str


class Revocation(Wire):
    """What was permitted ends now. Unsigned, because a forged one can only stop somebody."""

    type: Literal["revoke"] = "revoke"
    epoch: int | None
    """The newest of the holds that cover the executor; None while the newest is latched."""
    mode: FreezeMode
    holds: list[Hold]


class RefusalMessage(Wire):
    """The backend will not have this executor; the connection ends."""

    type: Literal["refused"] = "refused"
    code: str
    message: str
