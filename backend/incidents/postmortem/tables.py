"""Tables of post-mortems and of imported reports. Approved versions, edits and reports never change (triggers)."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, Name, UtcTime
from backend.incidents.tables import ID_CHARS

_TIME = DateTime(timezone=True)
_NAME = String(100)
_WORD = String(20)
_SHA256 = String(64)


class PostmortemRow(Base):
    """One version of an incident's post-mortem."""

    __tablename__ = "postmortems"

    id: Mapped[IdColumn]
    incident: Mapped[str] = mapped_column(String(ID_CHARS), ForeignKey("incidents.id", ondelete="RESTRICT"))
    version: Mapped[int] = mapped_column(Integer)
    """From 1; an amendment of an approved one is the next."""
    template: Mapped[str] = mapped_column(String(50))
    state: Mapped[str] = mapped_column(_WORD)
    title: Mapped[str | None] = mapped_column(Text)
    """Markdown of one line, as it was when it was submitted; None in a draft: the incident's own holds."""
    head: Mapped[list[list[str]] | None] = mapped_column(JSONB(none_as_null=True))
    """Names and values at its head, likewise."""
    created_by: Mapped[Name]
    created_at: Mapped[UtcTime]
    submitted_by: Mapped[str | None] = mapped_column(_NAME)
    submitted_at: Mapped[datetime | None] = mapped_column(_TIME)
    approved_by: Mapped[str | None] = mapped_column(_NAME)
    approved_at: Mapped[datetime | None] = mapped_column(_TIME)
    sent_back_why: Mapped[str | None] = mapped_column(Text)
    markdown: Mapped[str | None] = mapped_column(Text, deferred=True)
    """The text that was approved, kept so that no later way of writing it out changes it."""
    sha256: Mapped[str | None] = mapped_column(_SHA256)

    __table_args__ = (UniqueConstraint("incident", "version"),)


class PostmortemPart(Base):
    """One section of a version; its text is that of its newest edit."""

    __tablename__ = "postmortem_sections"

    postmortem: Mapped[UUID] = mapped_column(ForeignKey("postmortems.id", ondelete="RESTRICT"), primary_key=True)
    key: Mapped[str] = mapped_column(_NAME, primary_key=True)
    number: Mapped[int] = mapped_column(Integer)
    """From 1, in the template's order."""
    title: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer)


class PostmortemEdit(Base):
    """One text that a section has had: what edits began from, and who wrote what."""

    __tablename__ = "postmortem_edits"

    postmortem: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(_NAME, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(Text)
    edited_by: Mapped[str | None] = mapped_column(_NAME)
    """None: made from the record, or taken over from the version before."""
    edited_at: Mapped[UtcTime]

    __table_args__ = (
        ForeignKeyConstraint(
            ["postmortem", "key"], ["postmortem_sections.postmortem", "postmortem_sections.key"], ondelete="RESTRICT"
        ),
    )


class ImportedReportRow(Base):
    """A report that was written elsewhere, as it was given."""

    __tablename__ = "imported_reports"

    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    """IMP-0001 is number 1."""
    name: Mapped[str] = mapped_column(Text)
    collection: Mapped[Name]
    title: Mapped[str] = mapped_column(Text)
    dated: Mapped[date | None] = mapped_column(Date)
    sections: Mapped[list[str]] = mapped_column(JSONB)
    sha256: Mapped[str] = mapped_column(_SHA256)
    chars: Mapped[int] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text, deferred=True)
    search: Mapped[str] = mapped_column(TSVECTOR, deferred=True)
    """Words of name, title and text."""
    imported_by: Mapped[Name]
    imported_at: Mapped[UtcTime]

    __table_args__ = (
        UniqueConstraint("collection", "name", "sha256"),
        Index("ix_imported_reports_search", "search", postgresql_using="gin"),
        Index("ix_imported_reports_imported", "imported_at", "number"),
    )
