"""The table of drafts: each person's own, changed as they type, deleted once sent or after thirty days."""

from sqlalchemy import Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, UtcTime

MAX_KEY_CHARS = 400
"""A word and four parts of eighty characters, with their colons, and room."""


class DraftRow(Base):
    """What one person had typed under one key."""

    __tablename__ = "drafts"

    person: Mapped[str] = mapped_column(String(100), primary_key=True)
    key: Mapped[str] = mapped_column(String(MAX_KEY_CHARS), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    base_version: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[UtcTime]

    __table_args__ = (Index("ix_drafts_updated", "updated_at"),)
