"""The newest reviews of the site are found by an index, for the figures on the network's page.

Revision: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_reviews_sequence", "reviews", ["sequence"])


def downgrade() -> None:
    op.drop_index("ix_reviews_sequence", table_name="reviews")
