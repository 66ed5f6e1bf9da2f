"""The audit of edited features."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "edit_audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("layer_id", sa.String, nullable=False),
        sa.Column("base_version", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("fid", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("principal", sa.String),
        sa.Column("address", sa.String),
        sa.Column("before_hash", sa.String),
        sa.Column("after_hash", sa.String),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
    )
    op.create_index("ix_edit_audit_feature", "edit_audit", ["layer_id", "fid", "id"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("edit_audit")
