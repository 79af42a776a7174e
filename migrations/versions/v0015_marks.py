"""A review carries marks on its images.

Revision: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "reviews",
        sa.Column("marks", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'")),
    )


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM reviews WHERE marks <> '[]')")):
        raise RuntimeError(
            "Readers marked where a finding is, which 0014 would forget. Restore a backup instead."
        )
    op.drop_column("reviews", "marks")
