"""Verification of the audit ledger: sealed periods, finished runs, the run under way

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_APPEND_ONLY = ("audit_periods", "audit_verifications")

_RECORDS = """
CREATE VIEW audit_period_records AS
SELECT period.log, period.n, period.period_start, period.period_end, period.seq_start, period.seq_end,
    period.record_count, period.hash_chain, period.prev_period_hash, period.sealed_at,
    run.verified_at, run.verified_by
FROM audit_periods AS period
LEFT JOIN LATERAL (
    SELECT done.verified_at, done.verified_by FROM audit_verifications AS done
    WHERE done.passed AND (done.from_heads ->> period.log)::bigint <= period.seq_end
        AND (done.to_heads #>> ARRAY[period.log, 'size'])::bigint >= period.seq_end
        AND done.verified_at >= period.sealed_at
    ORDER BY done.verified_at DESC LIMIT 1
) AS run ON true
"""


def upgrade() -> None:
    _create_periods()
    _create_verifications()
    _create_jobs()
    _create_state()
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only")
    op.execute(_RECORDS)


def _create_periods() -> None:
    op.create_table(
        "audit_periods",
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("period_start", _TIME, nullable=False),
        sa.Column("period_end", _TIME, nullable=False),
        sa.Column("seq_start", sa.BigInteger(), nullable=False),
        sa.Column("seq_end", sa.BigInteger(), nullable=False),
        sa.Column("record_count", sa.BigInteger(), nullable=False),
        sa.Column("hash_chain", sa.LargeBinary(), nullable=False),
        sa.Column("prev_period_hash", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_at", _TIME, nullable=False),
        sa.CheckConstraint("record_count = seq_end - seq_start", name="ck_audit_periods_record_count"),
        sa.PrimaryKeyConstraint("log", "n", name="pk_audit_periods"),
    )


def _create_verifications() -> None:
    op.create_table(
        "audit_verifications",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("verified_at", _TIME, nullable=False),
        sa.Column("verified_by", sa.String(100), nullable=False),
        sa.Column("tool_version", sa.String(40), nullable=False),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("verdicts", postgresql.JSONB(), nullable=False),
        sa.Column("from_heads", postgresql.JSONB(), nullable=False),
        sa.Column("to_heads", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_verifications"),
    )
    op.create_index("ix_audit_verifications_verified_at", "audit_verifications", ["verified_at"])


def _create_jobs() -> None:
    op.create_table(
        "audit_verification_jobs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.Column("logs", postgresql.JSONB(), nullable=True),
        sa.Column("requested_by", sa.String(100), nullable=False),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("entries_done", sa.BigInteger(), nullable=False),
        sa.Column("entries_total", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("report", postgresql.JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_verification_jobs"),
    )


def _create_state() -> None:
    op.create_table(
        "audit_verification_state",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.Column("saved_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_audit_verification_state"),
    )


def downgrade() -> None:
    op.execute("DROP VIEW audit_period_records")
    for table in ("audit_verification_state", "audit_verification_jobs", "audit_verifications", "audit_periods"):
        op.drop_table(table)
