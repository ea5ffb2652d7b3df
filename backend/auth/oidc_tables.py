"""Tables of SSO: who at the provider is which account, and sign-ins that wait for their person."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, DateTime, ForeignKey, Index, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, UtcTime

MAX_ISSUER_CHARS = 300
MAX_SUBJECT_CHARS = 255
"""What OpenID Connect allows."""
_HASH_CHARS = 64  # SHA-256 in hex
_DIGEST_CHARS = 32


class SsoIdentity(Base):
    """Somebody at a provider, by the one name that it never gives to somebody else, and their account here."""

    __tablename__ = "sso_identities"

    issuer: Mapped[str] = mapped_column(String(MAX_ISSUER_CHARS), primary_key=True)
    subject: Mapped[str] = mapped_column(String(MAX_SUBJECT_CHARS), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    made_account: Mapped[bool] = mapped_column(Boolean)
    """Whether the account exists because of it: then its role is what the groups say at each sign-in."""
    linked_at: Mapped[UtcTime]
    signed_in_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("uq_sso_identities_user_id_issuer", "user_id", "issuer", unique=True),)


class SsoSignIn(Base):
    """A sign-in that waits until its person has entered the code at the provider; gone once it has ended."""

    __tablename__ = "sso_sign_ins"

    ticket_hash: Mapped[str] = mapped_column(String(_HASH_CHARS), primary_key=True)
    sealed_code: Mapped[bytes] = mapped_column(LargeBinary)
    """The provider's device code, readable with the ticket only, which nobody keeps but the client."""
    nonce: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[UtcTime]
    expires_at: Mapped[UtcTime]
    ask_every_s: Mapped[int] = mapped_column(Integer)
    asked_at: Mapped[UtcTime]
    whence: Mapped[str] = mapped_column(String(_DIGEST_CHARS))
    """A keyed digest of the address that began it: one address does not crowd out others."""

    __table_args__ = (Index("ix_sso_sign_ins_expires_at", "expires_at"),)
