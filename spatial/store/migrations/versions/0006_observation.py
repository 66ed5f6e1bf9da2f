"""Readings of sensors and snapshots of cameras, kept beside the versions of their layers."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables; one reading a station, quantity and time, one snapshot a camera and time."""
    op.create_table(
        "observation_reading",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("layer_id", sa.String, nullable=False),
        sa.Column("station", sa.String, nullable=False),
        sa.Column("field", sa.String, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("flag", sa.String, nullable=False, server_default=""),
        sa.Column("received", TIME, nullable=False),
        sa.Column("principal", sa.String, nullable=True),
        sa.Column("previous", sa.JSON, nullable=True),
        sa.UniqueConstraint("layer_id", "station", "field", "at"),
    )
    op.create_table(
        "observation_snapshot",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("layer_id", sa.String, nullable=False),
        sa.Column("camera", sa.String, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("synthetic", sa.Boolean, nullable=False),
        sa.Column("received", TIME, nullable=False),
        sa.Column("principal", sa.String, nullable=True),
        sa.Column("address", sa.String, nullable=True),
        sa.UniqueConstraint("layer_id", "camera", "at"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_observation_snapshot_sha256", "observation_snapshot", ["sha256"])
    op.create_table(
        "observation_stamp",
        sa.Column("layer_id", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("changed", TIME, nullable=False),
        sa.Column("shown", sa.Integer, nullable=False, server_default="0"),
        sa.Column("shown_at", TIME, nullable=True),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("observation_stamp", "observation_snapshot", "observation_reading"):
        op.drop_table(table)
