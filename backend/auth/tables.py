"""Tables of accounts, sessions, service tokens and signing keys."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Boolean, DateTime, ForeignKey, Integer, LargeBinary, String, Text, false, text
from sqlalchemy.dialects.postgresql import ARRAY, INET
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import ETH_COLUMN, Base, IdColumn, Name, UtcTime


class User(Base):
    """A person's account."""

    __tablename__ = "users"

    id: Mapped[IdColumn]
    username: Mapped[Name] = mapped_column(unique=True)
    role: Mapped[str] = mapped_column(String(50))
    password_hash: Mapped[str] = mapped_column(Text)
    totp_secret: Mapped[str] = mapped_column(String(64))
    last_totp_step: Mapped[int] = mapped_column(Integer, default=0)
    """The last 30 s step whose code was used: a code works once."""
    failed_logins: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[UtcTime]
    role_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Since when the account has the role it has; NULL is since it was made."""
    totp_pending: Mapped[str | None] = mapped_column(String(64))
    """A secret that counts once a code of it was shown."""
    totp_pending_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    totp_pending_failures: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """Wrong codes shown for it."""
    must_enrol: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """The authenticator is lost: until there is a new one the account may freeze and see freezes only."""


class Session(Base):
    """One sign-in; deleting or ending it makes its token worthless on every backend at once."""

    __tablename__ = "sessions"

    id: Mapped[IdColumn]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    created_at: Mapped[UtcTime]
    expires_at: Mapped[UtcTime]
    last_used_at: Mapped[UtcTime]
    """When a person last used it, to within half a minute."""
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), index=True)
    end_reason: Mapped[str | None] = mapped_column(String(30))
    """Why it ended before its time, if its person is to be told: a `SessionEnd`."""
    ip_address: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str | None] = mapped_column(Text)
    factors: Mapped[list[str]] = mapped_column(ARRAY(String(30)), server_default=text("'{}'"))
    """What was shown to sign in: password, totp, recovery_code, hardware_key."""


class ServiceToken(Base):
    """A machine's credential, stored hashed (SHA-256 of 256 random bits needs no salt or stretching)."""

    __tablename__ = "service_tokens"

    id: Mapped[IdColumn]
    name: Mapped[Name] = mapped_column(unique=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    permissions: Mapped[list[str]] = mapped_column(ARRAY(String(50)))
    max_trade_eth: Mapped[Decimal | None] = mapped_column(ETH_COLUMN)
    """What its executors may trade at once, at most (ETH); NULL is what the policy says."""
    client_certificate: Mapped[str | None] = mapped_column(Text)
    """SHA-256 of the certificate that the token works over, hexadecimal; NULL: over any line."""
    executors: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=text("'{}'"))
    """Patterns of the executors' names that it may speak for; empty: for all."""
    previous_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Of the secret that was rotated out."""
    previous_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Until when connections opened with that one may stay, and, while the new one is unused, it lets anybody in."""
    taken_up_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When the present secret was first used."""
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """To a minute."""
    created_at: Mapped[UtcTime]
    expires_at: Mapped[UtcTime]
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)


class SigningKey(Base):
    """An Ed25519 key that signs session tokens; its id is the `kid` of the token."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(String(32), primary_key=True)
    private_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[UtcTime]
    retired_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
