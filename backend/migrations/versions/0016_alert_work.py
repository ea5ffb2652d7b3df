"""Working alerts: labels, history, silences, escalation, and alerts that come from elsewhere

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_OBJECT = sa.text("'{}'")
_ARRAY = sa.text("'[]'")
_REFUSE = """
CREATE FUNCTION alert_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.actor := OLD.actor;
        NEW.person := OLD.person;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION 'the history of alerts is append-only: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    _widen_alerts()
    _create_events()
    _create_silences()
    _create_sources()
    _create_rules()


def _jsonb(name: str, default: sa.TextClause) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(), nullable=False, server_default=default)


def _widen_alerts() -> None:
    op.alter_column("alerts", "rule", type_=sa.String(200))
    for column in (
        sa.Column("source", sa.String(150), nullable=False, server_default="watchfloor"),
        sa.Column("occurrence", sa.String(300), nullable=True),
        sa.Column("source_fingerprint", sa.String(100), nullable=True),
        sa.Column("category", sa.String(20), nullable=False, server_default="risk"),
        _jsonb("labels", _OBJECT),
        _jsonb("annotations", _OBJECT),
        sa.Column("starts_at", _TIME, nullable=True),
        sa.Column("ends_at", _TIME, nullable=True),
        sa.Column("group_key", sa.Text(), nullable=False, server_default=""),
        sa.Column("assigned_to", sa.String(100), nullable=True),
        sa.Column("assigned_at", _TIME, nullable=True),
        sa.Column("escalation_level", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("escalation_to", sa.String(200), nullable=True),
        sa.Column("escalation_next_to", sa.String(200), nullable=True),
        sa.Column("escalates_at", _TIME, nullable=True),
        _jsonb("muted_by", _ARRAY),
        sa.Column("runbook_url", sa.Text(), nullable=True),
        sa.Column("incident", sa.String(30), nullable=True),
        sa.Column("times_raised", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.Column("seen_at", _TIME, nullable=True),
    ):
        op.add_column("alerts", column)
    op.create_unique_constraint("uq_alerts_occurrence", "alerts", ["occurrence"])
    live = sa.text("status <> 'cleared'")
    op.create_index("ix_alerts_escalates", "alerts", ["escalates_at"], postgresql_where=live)
    op.create_index("ix_alerts_source", "alerts", ["source", "seen_at"], postgresql_where=live)
    known = sa.text("source_fingerprint IS NOT NULL")
    op.create_index("ix_alerts_fingerprint", "alerts", ["source_fingerprint", "starts_at"], postgresql_where=known)
    op.create_index("ix_alerts_incident", "alerts", ["incident"], postgresql_where=sa.text("incident IS NOT NULL"))


def _create_events() -> None:
    op.create_table(
        "alert_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("person", sa.String(100), nullable=True),
        sa.Column("text", sa.Text(), nullable=False, server_default=""),
        _jsonb("facts", _OBJECT),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name="fk_alert_events_alert_id_alerts", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_alert_events"),
    )
    op.create_index("ix_alert_events_alert_id_id", "alert_events", ["alert_id", "id"])
    op.execute(_REFUSE)
    # an UPDATE may only put the stand-in of an erased person where a name stood: anything else is refused
    op.execute(
        "CREATE TRIGGER alert_events_append_only BEFORE DELETE OR TRUNCATE ON alert_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION alert_events_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER alert_events_rows_append_only AFTER UPDATE ON alert_events "
        "FOR EACH ROW EXECUTE FUNCTION alert_events_refuse_change()"
    )
    op.execute("ALTER TABLE alert_events ENABLE ALWAYS TRIGGER alert_events_append_only")
    op.execute("ALTER TABLE alert_events ENABLE ALWAYS TRIGGER alert_events_rows_append_only")


def _create_silences() -> None:
    op.create_table(
        "alert_silences",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("source", sa.String(150), nullable=False, server_default="watchfloor"),
        sa.Column("source_id", sa.String(100), nullable=True),
        sa.Column("matchers", postgresql.JSONB(), nullable=False),
        sa.Column("starts_at", _TIME, nullable=False),
        sa.Column("ends_at", _TIME, nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("ended_by", sa.String(100), nullable=True),
        sa.Column("begun_at", _TIME, nullable=True),
        sa.Column("lifted_at", _TIME, nullable=True),
        sa.Column("idempotency_key", sa.String(64), nullable=True),
        _jsonb("copies", _ARRAY),
        sa.PrimaryKeyConstraint("id", name="pk_alert_silences"),
        sa.UniqueConstraint("source", "source_id", name="uq_alert_silences_source_source_id"),
    )
    op.create_index("ix_alert_silences_time", "alert_silences", ["created_at", "id"])
    op.create_index(
        "ix_alert_silences_standing",
        "alert_silences",
        ["starts_at", "ends_at"],
        postgresql_where=sa.text("lifted_at IS NULL"),
    )
    op.create_index(
        "uq_alert_silences_idempotency",
        "alert_silences",
        ["created_by", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )


def _create_sources() -> None:
    op.create_table(
        "alertmanager_sources",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("last_delivery_at", _TIME, nullable=True),
        sa.Column("last_poll_at", _TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_at", _TIME, nullable=True),
        sa.Column("cluster", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_alertmanager_sources"),
    )


def _create_rules() -> None:
    op.create_table(
        "alert_rules",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("source", sa.String(150), nullable=False),
        sa.Column("group_name", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        _jsonb("labels", _OBJECT),
        _jsonb("annotations", _OBJECT),
        sa.Column("expr", sa.Text(), nullable=False),
        sa.Column("runbook_url", sa.Text(), nullable=True),
        sa.Column("imported_at", _TIME, nullable=False),
        sa.Column("imported_by", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert_rules"),
        sa.UniqueConstraint("source", "group_name", "name", "number", name="uq_alert_rules_source_group_name_number"),
    )
    op.create_index("ix_alert_rules_name", "alert_rules", ["name"])
