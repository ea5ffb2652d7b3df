"""The record of incidents: what happened, who handled it, what was kept and what is left to do

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_WORD = sa.String(20)
_NAME = sa.String(100)
_JSON = postgresql.JSONB()

_REFUSE_CHANGE = """
CREATE FUNCTION incident_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    names text[] := ARRAY['actor', 'recorded_by', 'added_by'];
BEGIN
    IF TG_LEVEL = 'ROW' AND TG_OP = 'UPDATE' THEN
        -- the name of an erased person gives way to a stand-in; what they said stays
        IF to_jsonb(NEW) - names = to_jsonb(OLD) - names THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the record of an incident is append-only: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""
_APPEND_ONLY = ("incident_entries", "incident_evidence", "incident_milestones", "incident_snapshots")


def upgrade() -> None:
    _create_incident_cursors()
    _create_incident_numbers()
    _create_incidents()
    _create_incident_entries()
    _create_incident_evidence()
    _create_incident_follow_ups()
    _create_incident_links()
    _create_incident_milestones()
    _create_incident_roles()
    _create_incident_snapshots()
    _create_incident_steps()
    _create_incident_actions()
    op.execute(_REFUSE_CHANGE)
    for table in _APPEND_ONLY:
        _refuse_change(table)


def _refuse_change(table: str) -> None:
    """Let nothing but inserts through, also where `session_replication_role` silences ordinary triggers."""
    for when, each in (("UPDATE", "ROW"), ("DELETE OR TRUNCATE", "STATEMENT")):
        name = f"{table}_append_only_{each.lower()}"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {when} ON {table} FOR EACH {each} EXECUTE FUNCTION incident_refuse_change()"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def _create_incident_cursors() -> None:
    op.create_table(
        "incident_cursors",
        sa.Column("source", _NAME, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_incident_cursors"),
    )


def _create_incident_numbers() -> None:
    op.create_table(
        "incident_numbers",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("year", name="pk_incident_numbers"),
    )


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", _WORD, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("type", _NAME, nullable=False),
        sa.Column("severity", _WORD, nullable=False),
        sa.Column("status", _WORD, nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("scopes", _JSON, nullable=False),
        sa.Column("declared_by", _NAME, nullable=False),
        sa.Column("declared_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("resolved_at", _TIME, nullable=True),
        sa.Column("services", _JSON, nullable=False),
        sa.Column("loss_usd", sa.Numeric(38, 18), nullable=True),
        sa.Column("loss_eth", sa.Numeric(38, 18), nullable=True),
        sa.Column("users", sa.BigInteger(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("postmortem", _WORD, nullable=True),
        sa.Column("postmortem_required", sa.Boolean(), nullable=False),
        sa.Column("classified_at", _TIME, nullable=True),
        sa.Column("reported", _JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("field_versions", _JSON, nullable=False),
        sa.Column("last_entry", sa.Integer(), nullable=False),
        sa.Column("last_follow_up", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.UniqueConstraint("year", "number", name="uq_incidents_year_number"),
    )
    op.create_index(
        "ix_incidents_open", "incidents", ["declared_at", "id"], postgresql_where=sa.text("status <> 'closed'")
    )
    op.create_index("ix_incidents_time", "incidents", ["declared_at", "id"])
    op.create_index(
        "uq_incidents_idempotency",
        "incidents",
        ["declared_by", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )


def _create_incident_entries() -> None:
    op.create_table(
        "incident_entries",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("incident", _WORD, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.Column("actor", _NAME, nullable=False),
        sa.Column("auto", sa.Boolean(), nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("link", _JSON, nullable=True),
        sa.Column("corrects", sa.UUID(), nullable=True),
        sa.Column("source_key", sa.String(200), nullable=True),
        sa.Column("idempotency_key", sa.String(64), nullable=True),
        sa.ForeignKeyConstraint(
            ["corrects"],
            ["incident_entries.id"],
            name="fk_incident_entries_corrects_incident_entries",
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["incident"], ["incidents.id"], name="fk_incident_entries_incident_incidents", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_incident_entries"),
        sa.UniqueConstraint("incident", "number", name="uq_incident_entries_incident_number"),
    )
    op.create_index(
        "ix_incident_entries_corrects",
        "incident_entries",
        ["corrects"],
        postgresql_where=sa.text("corrects IS NOT NULL"),
    )
    op.create_index("ix_incident_entries_occurred", "incident_entries", ["incident", "occurred_at", "number"])
    op.create_index(
        "uq_incident_entries_idempotency",
        "incident_entries",
        ["incident", "actor", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "uq_incident_entries_source",
        "incident_entries",
        ["incident", "source_key"],
        unique=True,
        postgresql_where=sa.text("source_key IS NOT NULL"),
    )


def _create_incident_evidence() -> None:
    op.create_table(
        "incident_evidence",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("incident", _WORD, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", _NAME, nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("query", sa.Text(), nullable=True),
        sa.Column("added_by", _NAME, nullable=False),
        sa.Column("added_at", _TIME, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident"], ["incidents.id"], name="fk_incident_evidence_incident_incidents", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_incident_evidence"),
    )
    op.create_index("ix_incident_evidence_incident", "incident_evidence", ["incident", "added_at", "id"])


def _create_incident_follow_ups() -> None:
    op.create_table(
        "incident_follow_ups",
        sa.Column("incident", _WORD, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("owner", _NAME, nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("created_by", _NAME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("done_at", _TIME, nullable=True),
        sa.Column("done_by", _NAME, nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident"], ["incidents.id"], name="fk_incident_follow_ups_incident_incidents", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("incident", "number", name="pk_incident_follow_ups"),
    )
    op.create_index(
        "ix_incident_follow_ups_open", "incident_follow_ups", ["due_on"], postgresql_where=sa.text("done_at IS NULL")
    )


def _create_incident_links() -> None:
    op.create_table(
        "incident_links",
        sa.Column("incident", _WORD, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("target", _NAME, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("linked_at", _TIME, nullable=False),
        sa.Column("linked_by", _NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["incident"], ["incidents.id"], name="fk_incident_links_incident_incidents", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("incident", "kind", "target", name="pk_incident_links"),
    )
    op.create_index("ix_incident_links_target", "incident_links", ["kind", "target"])


def _create_incident_milestones() -> None:
    op.create_table(
        "incident_milestones",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("incident", _WORD, nullable=False),
        sa.Column("name", _WORD, nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.Column("recorded_by", _NAME, nullable=False),
        sa.Column("auto", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident"], ["incidents.id"], name="fk_incident_milestones_incident_incidents", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_incident_milestones"),
    )
    op.create_index("ix_incident_milestones_incident_name", "incident_milestones", ["incident", "name", "id"])


def _create_incident_roles() -> None:
    op.create_table(
        "incident_roles",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("incident", _WORD, nullable=False),
        sa.Column("role", _NAME, nullable=False),
        sa.Column("person", _NAME, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["incident"], ["incidents.id"], name="fk_incident_roles_incident_incidents", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_incident_roles"),
    )
    op.create_index(
        "uq_incident_roles_held",
        "incident_roles",
        ["incident", "role"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )


def _create_incident_snapshots() -> None:
    op.create_table(
        "incident_snapshots",
        sa.Column("incident", _WORD, nullable=False),
        sa.Column("taken_at", _TIME, nullable=False),
        sa.Column("body", _JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["incident"], ["incidents.id"], name="fk_incident_snapshots_incident_incidents", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("incident", name="pk_incident_snapshots"),
    )


def _create_incident_steps() -> None:
    op.create_table(
        "incident_steps",
        sa.Column("incident", _WORD, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("begun_at", _TIME, nullable=True),
        sa.Column("done_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["incident"], ["incidents.id"], name="fk_incident_steps_incident_incidents", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("incident", "number", name="pk_incident_steps"),
    )


def _create_incident_actions() -> None:
    op.create_table(
        "incident_actions",
        sa.Column("incident", _WORD, nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("done_at", _TIME, nullable=True),
        sa.Column("done_by", _NAME, nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident", "step"],
            ["incident_steps.incident", "incident_steps.number"],
            name="fk_incident_actions_incident_incident_steps",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("incident", "step", "number", name="pk_incident_actions"),
    )
