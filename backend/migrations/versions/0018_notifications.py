"""Notifications: what waits and what was sent, what channels take, how far the history of alerts was looked at

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("channel", sa.String(100), nullable=False),
        sa.Column("subject_kind", sa.String(20), nullable=False),
        sa.Column("subject_id", sa.String(100), nullable=False),
        sa.Column("event", sa.String(100), nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("gravity", sa.SmallInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("queued_at", _TIME, nullable=False),
        sa.Column("sent_at", _TIME, nullable=True),
        sa.Column("next_at", _TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("rate_spent", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("counted_in", sa.UUID(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint("channel", "subject_kind", "subject_id", "event", name="uq_notifications_once"),
    )
    op.create_index(
        "ix_notifications_waiting",
        "notifications",
        ["channel", "gravity", "queued_at"],
        postgresql_where=sa.text("state IN ('queued', 'failed')"),
    )
    op.create_index(
        "ix_notifications_uncounted",
        "notifications",
        ["channel"],
        postgresql_where=sa.text("rate_spent AND counted_in IS NULL"),
    )
    op.create_index("ix_notifications_time", "notifications", ["queued_at", "id"])
    op.create_index("ix_notifications_subject", "notifications", ["subject_kind", "subject_id"])
    op.create_table(
        "notification_rates",
        sa.Column("channel", sa.String(100), nullable=False),
        sa.Column("whole_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("channel", name="pk_notification_rates"),
    )
    op.create_table(
        "notification_cursor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("alert_event", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("id", name="pk_notification_cursor"),
    )
    op.execute("INSERT INTO notification_cursor (id) VALUES (1)")
