"""Alerts of one group and incidents to be reported are found by an index; silences that are too slow are set aside

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
    op.add_column("alert_silences", sa.Column("set_aside_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("alert_silences", "set_aside_at")
    op.drop_index("ix_incidents_reportable", table_name="incidents")
    op.drop_index("ix_alerts_group", table_name="alerts")
