"""First tables: catalogue revision, layer versions, current versions, jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and the one revision row."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "catalogue_revision",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("changed", time, nullable=False),
    )
    op.execute("INSERT INTO catalogue_revision (id, revision, changed) VALUES (1, 0, CURRENT_TIMESTAMP)")
    op.create_table(
        "layer_version",
        sa.Column("layer_id", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("published", time, nullable=False),
        sa.Column("sha256", sa.String),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("location", sa.JSON, nullable=False),
    )
    op.create_table(
        "layer_current",
        sa.Column("layer_id", sa.String, primary_key=True),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("changed", time, nullable=False),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("process", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("created", time, nullable=False),
        sa.Column("started", time),
        sa.Column("finished", time),
        sa.Column("updated", time, nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("worker", sa.String),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("owner", sa.String),
    )
    op.create_index("ix_job_status_created", "job", ["status", "created"])


def downgrade() -> None:
    """Drop everything."""
    for table in ("job", "layer_current", "layer_version", "catalogue_revision"):
        op.drop_table(table)
