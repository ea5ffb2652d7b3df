"""Table of the audit log. Rows are only ever inserted."""

from datetime import datetime
from typing import Any

from sqlalchemy import Computed, DateTime, Index, String, Text, text
from sqlalchemy.dialects.postgresql import INET, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn

SEARCH_TEXT_SQL = (
    "to_tsvector('simple', "
    "coalesce(user_id,'') || ' ' || event_type || ' ' || action || ' ' || coalesce(resource_type,'') || ' ' || "
    "coalesce(resource_id,'') || ' ' || result || ' ' || coalesce(error_message,'') || ' ' || "
    "coalesce(old_value::text,'') || ' ' || coalesce(new_value::text,'') || ' ' || coalesce(metadata::text,''))"
)


class AuditLog(Base):
    """One audit entry, with the columns the compliance document asks for."""

    __tablename__ = "audit_logs"

    id: Mapped[IdColumn]
    timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    category: Mapped[str] = mapped_column(String(50))
    event_type: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[str | None] = mapped_column(String(100))
    ip_address: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str | None] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(100))
    resource_type: Mapped[str | None] = mapped_column(String(50))
    resource_id: Mapped[str | None] = mapped_column(String(100))
    old_value: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    new_value: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    result: Mapped[str] = mapped_column(String(20))
    error_message: Mapped[str | None] = mapped_column(Text)
    entry_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict)
    hash: Mapped[str] = mapped_column(String(64))
    search: Mapped[Any] = mapped_column(TSVECTOR, Computed(SEARCH_TEXT_SQL, persisted=True), deferred=True)

    __table_args__ = (
        Index("ix_audit_logs_time", "timestamp", "id"),
        Index("ix_audit_logs_user", "user_id", "timestamp", "id"),
        Index("ix_audit_logs_event", "event_type", "timestamp", "id"),
        Index("ix_audit_logs_resource", "resource_type", "resource_id", "timestamp", "id"),
        Index("ix_audit_logs_result", "result", "timestamp", "id", postgresql_where=text("result <> 'success'")),
        Index("ix_audit_logs_search", "search", postgresql_using="gin"),
    )
