"""Which lane of the queue a job waits in."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; jobs from before wait in the lane for long ones, as they did."""
    op.add_column("job", sa.Column("lane", sa.String, nullable=False, server_default="long"))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("job", "lane")
