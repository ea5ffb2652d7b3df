"""Tables of an account's factors beside password and authenticator, and of who has to wait after failures."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, Integer, LargeBinary, String, text
from sqlalchemy.dialects.postgresql import ARRAY, CIDR
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, UtcTime
from contract.hardware import MAX_ABOUT_CHARS, MAX_ID_CHARS, MAX_ORIGIN_CHARS

_HASH_CHARS = 64  # SHA-256 in hex


class RecoveryCode(Base):
    """A one-use code that stands in for a lost authenticator, hashed."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(_HASH_CHARS), primary_key=True)
    made_at: Mapped[UtcTime]
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class AddressWait(Base):
    """How often sign-ins from an address failed, whatever the account."""

    __tablename__ = "waits_by_address"

    network: Mapped[str] = mapped_column(CIDR, primary_key=True)
    """A single IPv4 address, or the /64 that one IPv6 subscriber holds."""
    failures: Mapped[int] = mapped_column(Integer)
    wait_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_tried_at: Mapped[UtcTime]
    refused: Mapped[int] = mapped_column(BigInteger)
    """Tries turned away unread while it waited; the next entry about the address tells them."""

    __table_args__ = (Index("ix_waits_by_address_last_tried_at", "last_tried_at"),)


class KnownAddress(Base):
    """An address from which an account signed in: it is held up by its own failures only."""

    __tablename__ = "known_addresses"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), primary_key=True)
    network: Mapped[str] = mapped_column(CIDR, primary_key=True)
    signed_in_at: Mapped[UtcTime]
    failures: Mapped[int] = mapped_column(Integer)
    wait_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class HardwareKeyRow(Base):
    """The public half of a hardware key of one account. Removed keys stay, so that a cloned one is not taken again."""

    __tablename__ = "hardware_keys"

    id: Mapped[IdColumn]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    blob: Mapped[bytes] = mapped_column(LargeBinary)
    kind: Mapped[str] = mapped_column(String(50))
    fingerprint: Mapped[str] = mapped_column(String(60))
    comment: Mapped[str] = mapped_column(String(200))
    last_counter: Mapped[int] = mapped_column(BigInteger)
    enrolled_at: Mapped[UtcTime]
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    removed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    cloned_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When its counter did not grow: from then on it is refused."""

    __table_args__ = (Index("uq_hardware_keys_held", "blob", unique=True, postgresql_where=text("removed_at IS NULL")),)


class HardwareChallengeRow(Base):
    """Bytes that a key was asked to sign, as the statement they are made of; answered at most once."""

    __tablename__ = "hardware_challenges"

    id: Mapped[IdColumn]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    """The session in which an act is confirmed; none while signing in."""
    act: Mapped[str] = mapped_column(String(30))
    about: Mapped[str] = mapped_column(String(MAX_ABOUT_CHARS))
    origin: Mapped[str] = mapped_column(String(MAX_ORIGIN_CHARS))
    nonce: Mapped[str] = mapped_column(String(MAX_ID_CHARS))
    factors: Mapped[list[str]] = mapped_column(ARRAY(String(30)))
    """What was shown before the key was asked for."""
    created_at: Mapped[UtcTime]
    expires_at: Mapped[UtcTime]
    spent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    confirmed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class BreakGlass(Base):
    """The sealed account: its password lies in one envelope, its second half in another."""

    __tablename__ = "break_glass"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), primary_key=True)
    second_hash: Mapped[str] = mapped_column(String(_HASH_CHARS))
    sealed_at: Mapped[UtcTime]
    opened_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Its first sign-in since it was sealed."""
