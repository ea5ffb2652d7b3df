"""The table of saved searches. A search that was saved says what somebody looks for, never what was found."""

from typing import Any

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, Name, UtcTime


class SavedSearchRow(Base):
    """One named search of one account."""

    __tablename__ = "audit_saved_searches"

    id: Mapped[IdColumn]
    owner: Mapped[Name]
    name: Mapped[str] = mapped_column(String(60))
    filters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """As the route takes them."""
    saved_at: Mapped[UtcTime]

    __table_args__ = (UniqueConstraint("owner", "name", name="uq_audit_saved_searches_owner_name"),)
