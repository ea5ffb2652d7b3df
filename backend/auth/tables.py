"""Tables of accounts, sessions, service tokens and signing keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, DateTime, ForeignKey, Integer, LargeBinary, String, Text
from sqlalchemy.dialects.postgresql import ARRAY, INET
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, Name, UtcTime


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


class Session(Base):
    """One sign-in; deleting or ending it makes its token worthless on every backend at once."""

    __tablename__ = "sessions"

    id: Mapped[IdColumn]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    created_at: Mapped[UtcTime]
    expires_at: Mapped[UtcTime]
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ip_address: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str | None] = mapped_column(Text)


class ServiceToken(Base):
    """A machine's credential, stored hashed (SHA-256 of 256 random bits needs no salt or stretching)."""

    __tablename__ = "service_tokens"

    id: Mapped[IdColumn]
    name: Mapped[Name] = mapped_column(unique=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    permissions: Mapped[list[str]] = mapped_column(ARRAY(String(50)))
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
