"""Alerts of one group, and incidents that an authority has to hear of, are found by an index

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    group = sa.text(r"sha256(decode(replace(group_key, '\', '\\'), 'escape'))")
    op.create_index("ix_alerts_group", "alerts", [group, "raised_at", "id"])
    op.create_index(
        "ix_incidents_reportable",
        "incidents",
        ["classified_at", "id"],
        postgresql_where=sa.text("classified_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_incidents_reportable", table_name="incidents")
    op.drop_index("ix_alerts_group", table_name="alerts")
