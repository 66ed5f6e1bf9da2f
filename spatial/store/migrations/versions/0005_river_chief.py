"""Cases, their history, photos and patrols of the river chief's desk."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
APPEND_ONLY = ("river_event", "river_photo", "river_patrol")
"""Tables whose rows are never changed or deleted; the database itself refuses it."""


def upgrade() -> None:
    """Create the tables, and the triggers that keep the history append-only."""
    _case()
    op.create_table(
        "river_event",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("case_id", sa.Integer, sa.ForeignKey("river_case.id"), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("from_state", sa.String, nullable=True),
        sa.Column("to_state", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("unit", sa.String, nullable=True),
        sa.Column("note", sa.String, nullable=False, server_default=""),
        sa.Column("due", TIME, nullable=True),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("principal", sa.String, nullable=True),
        sa.Column("address", sa.String, nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("case_id", "version"),
    )
    op.create_table(
        "river_patrol",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("unit", sa.String, nullable=True),
        sa.Column("reach", sa.String, nullable=True),
        sa.Column("water", sa.String, nullable=True),
        sa.Column("started", TIME, nullable=False),
        sa.Column("ended", TIME, nullable=False),
        sa.Column("track", sa.JSON, nullable=False),
        sa.Column("length_m", sa.Float, nullable=False),
        sa.Column("note", sa.String, nullable=False, server_default=""),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("principal", sa.String, nullable=True),
        sa.Column("address", sa.String, nullable=True),
    )
    op.create_index("ix_river_patrol_started", "river_patrol", ["started"])
    op.create_table(
        "river_photo",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("case_id", sa.Integer, sa.ForeignKey("river_case.id"), nullable=True),
        sa.Column("patrol_id", sa.Integer, sa.ForeignKey("river_patrol.id"), nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.CheckConstraint("(case_id IS NULL) <> (patrol_id IS NULL)"),
    )
    op.create_index("ix_river_photo_case", "river_photo", ["case_id"])
    op.create_index("ix_river_photo_patrol", "river_photo", ["patrol_id"])
    op.create_index("ix_river_photo_sha256", "river_photo", ["sha256"])
    for table in APPEND_ONLY:
        _refuse_changes(table)


def _case() -> None:
    op.create_table(
        "river_case",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=True),
        sa.Column("kind", sa.String, nullable=True),
        sa.Column("severity", sa.String, nullable=True),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False, server_default=""),
        sa.Column("created", TIME, nullable=False),
        sa.Column("entered", TIME, nullable=False),
        sa.Column("updated", TIME, nullable=False),
        sa.Column("due", TIME, nullable=True),
        sa.Column("closed", TIME, nullable=True),
        sa.Column("late_steps", sa.Integer, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("water", sa.String, nullable=True),
        sa.Column("reach", sa.String, nullable=True),
        sa.Column("unit", sa.String, nullable=True),
        sa.Column("chief", sa.String, nullable=True),
        sa.Column("place", sa.JSON, nullable=False),
        sa.Column("source_layer", sa.String, nullable=True),
        sa.Column("source_version", sa.String, nullable=True),
        sa.Column("source_feature", sa.String, nullable=True),
        sa.Column("source_key", sa.String, nullable=True, unique=True),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("after", sa.JSON, nullable=False),
        sa.Column("geometry", sa.JSON, nullable=False),
        sa.Column("west", sa.Float, nullable=False),
        sa.Column("south", sa.Float, nullable=False),
        sa.Column("east", sa.Float, nullable=False),
        sa.Column("north", sa.Float, nullable=False),
        sa.Column("area_m2", sa.Float, nullable=False),
        sa.Column("checks", sa.JSON, nullable=False),
        sa.Column("rebound", sa.Boolean, nullable=False),
        sa.Column("synthetic", sa.Boolean, nullable=False),
        sa.Column("shown", sa.Integer, nullable=False, server_default="0"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_river_case_state", "river_case", ["state", "due"])
    op.create_index("ix_river_case_unit", "river_case", ["unit"])
    op.create_index("ix_river_case_place", "river_case", ["west", "east", "south", "north"])


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
    )


def downgrade() -> None:
    """Drop tables, triggers and functions."""
    for table in ("river_photo", "river_patrol", "river_event", "river_case"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        for table in APPEND_ONLY:
            op.execute(f"DROP FUNCTION {table}_append_only()")
