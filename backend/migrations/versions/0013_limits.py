"""Limits on requests that hold across backends, and tokens that work over one certificate only

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the accounts of what callers have asked, and the binding of machines' tokens."""
    op.create_table(
        "request_allowances",
        sa.Column("key", sa.String(80), nullable=False),
        sa.Column("interval_us", sa.BigInteger(), nullable=False),
        sa.Column("burst", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("asked_at_us", sa.BigInteger(), nullable=False),
        sa.Column("full_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_request_allowances"),
        prefixes=["UNLOGGED"],  # after a crash everybody begins anew; writing it down would cost what it saves
    )
    op.execute("ALTER TABLE request_allowances SET (fillfactor = 50)")  # rewritten all the time: room on the same page
    op.add_column("service_tokens", sa.Column("client_certificate", sa.Text(), nullable=True))
