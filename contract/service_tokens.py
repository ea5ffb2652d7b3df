"""Wire types of machines' tokens."""

import hashlib
import json
import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from contract.base import Money, UtcDatetime, Wire, WireRequest, storable
from contract.gate import MAX_NAME_CHARS
from contract.permissions import Permission

MAX_PATTERNS: Final = 50
"""Of one token; who needs more names executors by a common beginning."""
MAX_STARS: Final = 3
"""Of one pattern: what it matches is then found in one glance, by people and by the backend."""
MAX_DAYS: Final = 3_650
_PATTERN: Final = re.compile(r"[^\s\x00-\x1f\x7f]+")
_FINGERPRINT: Final = r"^[0-9a-f]{64}$"


def _pattern(value: str) -> str:
    if not _PATTERN.fullmatch(value) or value.count("*") > MAX_STARS:
        raise ValueError(f"a pattern is a name without spaces, with at most {MAX_STARS} times *")
    return value


ExecutorPattern = Annotated[
    str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(storable), AfterValidator(_pattern)
]
"""A name of an executor; each `*` stands for any characters."""


class ServiceTokenState(StrEnum):
    """Whether a token works."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ServiceTokenRequest(WireRequest):
    """Make a machine a token."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(storable)]
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=20)]
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] | None = None
    """How long it works; absent: as long as the policy allows."""
    executors: Annotated[list[ExecutorPattern], Field(max_length=MAX_PATTERNS)] = []
    """For whom it may renew and report; empty: for all."""
    certificate: Annotated[str, Field(pattern=_FINGERPRINT)] | None = None
    """SHA-256 of the certificate that it works over, hexadecimal; absent: over any line."""
    max_trade_eth: Annotated[Money, Field(gt=Decimal(0), max_digits=38, decimal_places=18)] | None = None
    """What its executors may trade at once; absent: what the policy says."""

    def about(self) -> str:
        """What a touch of the hardware key confirms of it: the name, and the SHA-256 of all that is asked for."""
        asked = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return f"{self.name} {hashlib.sha256(asked.encode()).hexdigest()}"


class RotateRequest(WireRequest):
    """Give a machine another secret."""

    now: bool = False
    """The present one may have leaked: it ends at once, without an overlap."""

    def about(self, name: str) -> str:
        """What a touch of the hardware key confirms of it: the name, and what becomes of the present secret."""
        return f"{name} {'now' if self.now else 'overlap'}"


class ServiceToken(Wire):
    """A machine's token, without its secret."""

    name: str
    subject: str
    """How the machine is told of in the audit log."""
    state: ServiceTokenState
    permissions: list[str]
    executors: list[str]
    certificate: str | None
    max_trade_eth: Money | None
    created_at: UtcDatetime
    expires_at: UtcDatetime
    last_used_at: UtcDatetime | None
    """To a minute."""
    overlap_until: UtcDatetime | None
    """Until when the secret before works at most; none once the present one was used."""


class IssuedToken(Wire):
    """A token and its secret, which is shown this once."""

    token: ServiceToken
    secret: Annotated[str, Field(repr=False)]
