"""Deploys that were reported; to whom a report of an incident went

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NAME = sa.String(100)


def upgrade() -> None:
    op.create_table(
        "deploys",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("service", _NAME, nullable=False),
        sa.Column("version", _NAME, nullable=False),
        sa.Column("environment", _NAME, nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("scope", sa.String(450), nullable=True),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.Column("recorded_by", _NAME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.Column("idempotency_key", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deploys"),
    )
    op.create_index("ix_deploys_started", "deploys", ["started_at", "id"])
    op.create_index("ix_deploys_service", "deploys", ["service", "started_at", "id"])
    op.create_index(
        "uq_deploys_idempotency",
        "deploys",
        ["recorded_by", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.add_column(
        "incidents",
        sa.Column("reports_told", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'")),
    )


def downgrade() -> None:
    op.drop_column("incidents", "reports_told")
    op.drop_table("deploys")
