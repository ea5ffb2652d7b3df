"""Search: indexes for the filters that had none, and saved searches

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INDEXES = {
    "category": "(category, occurred_at, seq)",
    "action": "(action, occurred_at, seq)",
    "outcome": "(outcome, occurred_at, seq) WHERE outcome <> 'success'",
    "incident": "(incident, occurred_at, seq) WHERE incident IS NOT NULL",
    # entries lie nearly in the order of time: a window of a text search is a few ranges of pages, found without
    # walking the index of all their times
    "age": "USING brin (occurred_at) WITH (autosummarize = on)",
}


def upgrade() -> None:
    for name, what in _INDEXES.items():
        op.execute(f"CREATE INDEX ix_audit_entries_{name} ON audit_entries {what}")
    op.create_table(
        "audit_saved_searches",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("filters", postgresql.JSONB(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_saved_searches"),
        sa.UniqueConstraint("owner", "name", name="uq_audit_saved_searches_owner_name"),
    )


def downgrade() -> None:
    op.drop_table("audit_saved_searches")
    for name in _INDEXES:
        op.execute(f"DROP INDEX ix_audit_entries_{name}")
