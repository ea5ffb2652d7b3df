"""Retention of the audit ledger: copies of closed partitions, purges, an index by age for personal values

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "audit_archives",
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("seq_from", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.String(300), nullable=False),
        sa.Column("seq_until", sa.BigInteger(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("root", sa.LargeBinary(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("written_at", _TIME, nullable=True),
        sa.Column("checked_sound", _TIME, nullable=True),
        sa.Column("last_checked", _TIME, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("log", "seq_from", "place", name="pk_audit_archives"),
    )
    op.create_table(
        "audit_purges",
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("first_kept_seq", sa.BigInteger(), nullable=False),
        sa.Column("seq_from", sa.BigInteger(), nullable=False),
        sa.Column("edge", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
        sa.Column("last_sequenced", _TIME, nullable=False),
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.Column("purged_at", _TIME, nullable=False),
        sa.CheckConstraint("seq_from < first_kept_seq", name="ck_audit_purges_not_empty"),
        sa.PrimaryKeyConstraint("log", "first_kept_seq", name="pk_audit_purges"),
    )
    op.create_table(
        "audit_imported_logs",
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("first_imported_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("log", name="pk_audit_imported_logs"),
    )
    for table in ("audit_purges", "audit_imported_logs"):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only")
    # personal values are written in the order of time: a few pages say where the old ones lie
    op.execute("CREATE INDEX ix_audit_sealed_age ON audit_sealed USING brin (occurred_at)")


def downgrade() -> None:
    op.drop_index("ix_audit_sealed_age", "audit_sealed")
    op.drop_table("audit_imported_logs")
    op.drop_table("audit_purges")
    op.drop_table("audit_archives")
