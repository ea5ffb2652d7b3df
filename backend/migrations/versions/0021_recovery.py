"""Recovery drills: the drills, the lines of their journals, what is asked of them elsewhere

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NAME = sa.String(100)
_REF = sa.String(40)


def upgrade() -> None:
    op.create_table(
        "recovery_drills",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("ref", _REF, nullable=False),
        sa.Column("plan", _NAME, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("started_by", _NAME, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("running", sa.Boolean(), nullable=True),
        sa.Column("backend", _NAME, nullable=False),
        sa.Column("heard_at", _TIME, nullable=False),
        sa.Column("idempotency_key", sa.String(64), nullable=True),
        sa.Column("shown", postgresql.JSONB(), nullable=False),
        sa.Column("incident", sa.String(20), nullable=True),
        sa.Column("signed_by", _NAME, nullable=True),
        sa.Column("signed_at", _TIME, nullable=True),
        sa.Column("statement", sa.Text(), nullable=True),
        sa.Column("report_sha256", sa.String(64), nullable=True),
        sa.Column("report", postgresql.JSONB(), nullable=True),
        sa.Column("findings", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_drills"),
        sa.UniqueConstraint("ref", name="uq_recovery_drills_ref"),
    )
    op.create_index("uq_recovery_drills_running", "recovery_drills", ["running"], unique=True)
    op.create_index("ix_recovery_drills_started", "recovery_drills", ["started_at", "id"])
    op.create_index("uq_recovery_drills_key", "recovery_drills", ["started_by", "idempotency_key"], unique=True)
    _create_lines()


def _create_lines() -> None:
    op.create_table(
        "recovery_lines",
        sa.Column("drill", _REF, nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["drill"], ["recovery_drills.ref"], name="fk_recovery_lines_drill_recovery_drills", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("drill", "n", name="pk_recovery_lines"),
    )
    op.create_table(
        "recovery_asks",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("drill", _REF, nullable=False),
        sa.Column("what", sa.String(10), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("caller", postgresql.JSONB(), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("taken_at", _TIME, nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["drill"], ["recovery_drills.ref"], name="fk_recovery_asks_drill_recovery_drills", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_asks"),
    )
    op.create_index(
        "ix_recovery_asks_waiting", "recovery_asks", ["drill"], postgresql_where=sa.text("taken_at IS NULL")
    )


def downgrade() -> None:
    for table in ("recovery_asks", "recovery_lines", "recovery_drills"):
        op.drop_table(table)
