"""Freezes that hold: scopes of several terms

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SCOPE_NAME = sa.String(450)
"""Four terms at their longest."""


def upgrade() -> None:
    op.alter_column("freezes", "scope_name", type_=_SCOPE_NAME)
