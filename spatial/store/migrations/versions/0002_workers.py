"""The workers that are alive."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "worker",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("started", time, nullable=False),
        sa.Column("updated", time, nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("worker")
