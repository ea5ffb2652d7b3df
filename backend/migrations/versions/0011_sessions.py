"""Sessions: when a person last used one, and why it ended before its time

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    # whoever has an older one was there when it began; what is longer ago asks for the factors once more
    op.execute("UPDATE sessions SET last_used_at = created_at")
    op.alter_column("sessions", "last_used_at", nullable=False)
    op.add_column("sessions", sa.Column("end_reason", sa.String(30), nullable=True))
    op.create_index("ix_sessions_ended_at", "sessions", ["ended_at"])
