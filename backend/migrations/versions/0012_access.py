"""Access that opens and closes by itself: windows, elevations, reviews

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_WORDS = postgresql.ARRAY(sa.String(50))


def upgrade() -> None:
    op.add_column(
        "sessions",
        sa.Column("factors", postgresql.ARRAY(sa.String(30)), nullable=False, server_default=sa.text("'{}'")),
    )
    op.add_column("service_tokens", sa.Column("max_trade_eth", sa.Numeric(38, 18), nullable=True))
    op.add_column("users", sa.Column("role_since", _TIME, nullable=True))
    _create_windows()
    _create_elevations()
    _create_reviews()


def _person(table: str, column: str, *, required: bool = False) -> list[sa.schema.SchemaItem]:
    reference = sa.ForeignKeyConstraint([column], ["users.id"], name=f"fk_{table}_{column}_users", ondelete="RESTRICT")
    return [sa.Column(column, sa.UUID(), nullable=not required), reference]


def _create_windows() -> None:
    op.create_table(
        "access_windows",
        sa.Column("id", sa.UUID(), nullable=False),
        *_person("access_windows", "user_id", required=True),
        sa.Column("starts_at", _TIME, nullable=False),
        sa.Column("ends_at", _TIME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        *_person("access_windows", "granted_by"),
        sa.Column("granted_at", _TIME, nullable=False),
        *_person("access_windows", "revoked_by"),
        sa.Column("revoked_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_access_windows"),
    )
    op.create_index("ix_access_windows_user_id_ends_at", "access_windows", ["user_id", "ends_at"])


def _create_elevations() -> None:
    op.create_table(
        "elevations",
        sa.Column("id", sa.UUID(), nullable=False),
        *_person("elevations", "user_id", required=True),
        sa.Column("permissions", _WORDS, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("lapses_at", _TIME, nullable=False),
        *_person("elevations", "decided_by"),
        sa.Column("decided_at", _TIME, nullable=True),
        sa.Column("ends_at", _TIME, nullable=True),
        *_person("elevations", "ended_by"),
        sa.PrimaryKeyConstraint("id", name="pk_elevations"),
    )
    op.create_index("ix_elevations_user_id_ends_at", "elevations", ["user_id", "ends_at"])
    op.create_index("ix_elevations_status", "elevations", ["status"])


def _create_reviews() -> None:
    op.create_table(
        "access_reviews",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("period", sa.String(20), nullable=True),
        sa.Column("opened_at", _TIME, nullable=False),
        *_person("access_reviews", "opened_by"),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("closed_at", _TIME, nullable=True),
        *_person("access_reviews", "closed_by"),
        sa.PrimaryKeyConstraint("id", name="pk_access_reviews"),
        sa.UniqueConstraint("period", name="uq_access_reviews_period"),
    )
    table = "access_review_items"
    op.create_table(
        table,
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("review_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        *_person(table, "user_id"),
        sa.Column("service_token_id", sa.UUID(), nullable=True),
        sa.Column("role", sa.String(50), nullable=False),
        sa.Column("permissions", _WORDS, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME, nullable=True),
        sa.Column("findings", _WORDS, nullable=False),
        sa.Column("decision", sa.String(20), nullable=True),
        sa.Column("new_role", sa.String(50), nullable=True),
        *_person(table, "decided_by"),
        sa.Column("decided_at", _TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["review_id"], ["access_reviews.id"], name=f"fk_{table}_review_id_access_reviews", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["service_token_id"],
            ["service_tokens.id"],
            name=f"fk_{table}_service_token_id_service_tokens",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("review_id", "number", name=f"uq_{table}_review_id_number"),
    )
