"""The messages that jobs owe to their subscribers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "job_callback",
        sa.Column("job_id", sa.String, primary_key=True),
        sa.Column("event", sa.String, primary_key=True),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("base", sa.String, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("due", time, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("closed", time, nullable=True),
        sa.Column("note", sa.String, nullable=False, server_default=""),
    )
    op.create_index("ix_job_callback_open", "job_callback", ["closed", "due"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("job_callback")
