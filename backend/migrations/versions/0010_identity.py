"""Accounts: hardware keys, recovery codes, waits by address, break-glass

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("totp_pending", sa.String(64), nullable=True))
    op.add_column("users", sa.Column("totp_pending_since", _TIME, nullable=True))
    op.add_column("users", sa.Column("totp_pending_failures", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("users", sa.Column("must_enrol", sa.Boolean(), nullable=False, server_default=sa.false()))
    _create_recovery_codes()
    _create_waits()
    _create_hardware_keys()
    _create_hardware_challenges()
    _create_break_glass()


def _user(table: str) -> list[sa.schema.SchemaItem]:
    key = sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="RESTRICT")
    return [sa.Column("user_id", sa.UUID(), nullable=False), key]


def _create_recovery_codes() -> None:
    op.create_table(
        "recovery_codes",
        *_user("recovery_codes"),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("used_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name="pk_recovery_codes"),
    )


def _create_waits() -> None:
    op.create_table(
        "waits_by_address",
        sa.Column("network", postgresql.CIDR(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("wait_until", _TIME, nullable=True),
        sa.Column("last_tried_at", _TIME, nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("network", name="pk_waits_by_address"),
    )
    op.create_index("ix_waits_by_address_last_tried_at", "waits_by_address", ["last_tried_at"])
    op.create_table(
        "known_addresses",
        *_user("known_addresses"),
        sa.Column("network", postgresql.CIDR(), nullable=False),
        sa.Column("signed_in_at", _TIME, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("wait_until", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("user_id", "network", name="pk_known_addresses"),
    )


def _create_hardware_keys() -> None:
    op.create_table(
        "hardware_keys",
        sa.Column("id", sa.UUID(), nullable=False),
        *_user("hardware_keys"),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("fingerprint", sa.String(60), nullable=False),
        sa.Column("comment", sa.String(200), nullable=False),
        sa.Column("last_counter", sa.BigInteger(), nullable=False),
        sa.Column("enrolled_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME, nullable=True),
        sa.Column("removed_at", _TIME, nullable=True),
        sa.Column("cloned_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_hardware_keys"),
    )
    op.create_index("ix_hardware_keys_user_id", "hardware_keys", ["user_id"])
    op.create_index(
        "uq_hardware_keys_held", "hardware_keys", ["blob"], unique=True, postgresql_where=sa.text("removed_at IS NULL")
    )


def _create_hardware_challenges() -> None:
    op.create_table(
        "hardware_challenges",
        sa.Column("id", sa.UUID(), nullable=False),
        *_user("hardware_challenges"),
        sa.Column("session_id", sa.UUID(), nullable=True),
        sa.Column("act", sa.String(30), nullable=False),
        sa.Column("about", sa.String(200), nullable=False),
        sa.Column("origin", sa.String(300), nullable=False),
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("factors", postgresql.ARRAY(sa.String(30)), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("spent_at", _TIME, nullable=True),
        sa.Column("confirmed_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_hardware_challenges"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_hardware_challenges_session_id_sessions", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_hardware_challenges_user_id", "hardware_challenges", ["user_id"])
    op.create_index("ix_hardware_challenges_session_id", "hardware_challenges", ["session_id"])


def _create_break_glass() -> None:
    op.create_table(
        "break_glass",
        *_user("break_glass"),
        sa.Column("second_hash", sa.String(64), nullable=False),
        sa.Column("sealed_at", _TIME, nullable=False),
        sa.Column("opened_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("user_id", name="pk_break_glass"),
    )
