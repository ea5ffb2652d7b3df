"""Post-mortems with every text that a section has had, reports written elsewhere, drafts of what people type

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NAME = sa.String(100)
_JSON = postgresql.JSONB(none_as_null=True)

_REFUSE_CHANGE = """
CREATE FUNCTION postmortem_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    names text[] := ARRAY['created_by', 'submitted_by', 'approved_by', 'edited_by', 'imported_by'];
BEGIN
    IF TG_LEVEL = 'ROW' AND TG_OP = 'UPDATE' THEN
        -- the name of an erased person gives way to a stand-in; what they wrote stays
        IF to_jsonb(NEW) - names = to_jsonb(OLD) - names THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'what was approved, written or imported does not change: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""
_REFUSE_SECTIONS = """
CREATE FUNCTION postmortem_refuse_sections() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM postmortems WHERE id = NEW.postmortem AND state = 'approved') THEN
        RAISE EXCEPTION 'an approved post-mortem does not change: % on % refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""
_CHANGE, _SECTIONS = "postmortem_refuse_change", "postmortem_refuse_sections"
_TRIGGERS = (
    ("postmortems", "UPDATE", _CHANGE, "OLD.state = 'approved'"),
    ("postmortems", "DELETE", _CHANGE, ""),
    ("postmortem_sections", "INSERT OR UPDATE", _SECTIONS, ""),
    ("postmortem_sections", "DELETE", _CHANGE, ""),
    ("postmortem_edits", "INSERT", _SECTIONS, ""),
    ("postmortem_edits", "UPDATE OR DELETE", _CHANGE, ""),
    ("imported_reports", "UPDATE OR DELETE", _CHANGE, ""),
)


def upgrade() -> None:
    _create_postmortems()
    _create_imported_reports()
    op.create_table(
        "drafts",
        sa.Column("person", _NAME, nullable=False),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("person", "key", name="pk_drafts"),
    )
    op.create_index("ix_drafts_updated", "drafts", ["updated_at"])
    _keep()


def _keep() -> None:
    op.execute(_REFUSE_CHANGE)
    op.execute(_REFUSE_SECTIONS)
    for table, when, function, only in _TRIGGERS:
        _trigger(table, when, "ROW", function, only)
    for table in ("postmortems", "postmortem_sections", "postmortem_edits", "imported_reports"):
        _trigger(table, "TRUNCATE", "STATEMENT", "postmortem_refuse_change")


def downgrade() -> None:
    for table in ("drafts", "imported_reports", "postmortem_edits", "postmortem_sections", "postmortems"):
        op.drop_table(table)
    op.execute("DROP FUNCTION postmortem_refuse_sections()")
    op.execute("DROP FUNCTION postmortem_refuse_change()")


def _trigger(table: str, when: str, each: str, function: str, only: str = "") -> None:
    name = f"{table}_kept_{when.split(maxsplit=1)[0].lower()}"
    condition = f"WHEN ({only}) " if only else ""
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {when} ON {table} FOR EACH {each} {condition}EXECUTE FUNCTION {function}()"
    )
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def _create_postmortems() -> None:
    op.create_table(
        "postmortems",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("incident", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("template", sa.String(50), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("head", _JSON, nullable=True),
        sa.Column("created_by", _NAME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("submitted_by", _NAME, nullable=True),
        sa.Column("submitted_at", _TIME, nullable=True),
        sa.Column("approved_by", _NAME, nullable=True),
        sa.Column("approved_at", _TIME, nullable=True),
        sa.Column("sent_back_why", sa.Text(), nullable=True),
        sa.Column("markdown", sa.Text(), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident"], ["incidents.id"], name="fk_postmortems_incident_incidents", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_postmortems"),
        sa.UniqueConstraint("incident", "version", name="uq_postmortems_incident_version"),
    )
    op.create_table(
        "postmortem_sections",
        sa.Column("postmortem", sa.UUID(), nullable=False),
        sa.Column("key", _NAME, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["postmortem"],
            ["postmortems.id"],
            name="fk_postmortem_sections_postmortem_postmortems",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("postmortem", "key", name="pk_postmortem_sections"),
    )
    op.create_table(
        "postmortem_edits",
        sa.Column("postmortem", sa.UUID(), nullable=False),
        sa.Column("key", _NAME, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("edited_by", _NAME, nullable=True),
        sa.Column("edited_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["postmortem", "key"],
            ["postmortem_sections.postmortem", "postmortem_sections.key"],
            name="fk_postmortem_edits_postmortem_postmortem_sections",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("postmortem", "key", "version", name="pk_postmortem_edits"),
    )


def _create_imported_reports() -> None:
    op.create_table(
        "imported_reports",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("collection", _NAME, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("dated", sa.Date(), nullable=True),
        sa.Column("sections", postgresql.JSONB(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("chars", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("search", postgresql.TSVECTOR(), nullable=False),
        sa.Column("imported_by", _NAME, nullable=False),
        sa.Column("imported_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_imported_reports"),
        sa.UniqueConstraint("collection", "name", "sha256", name="uq_imported_reports_collection_name_sha256"),
    )
    op.create_index("ix_imported_reports_search", "imported_reports", ["search"], postgresql_using="gin")
    op.create_index("ix_imported_reports_imported", "imported_reports", ["imported_at", "number"])
