"""Studies drawn to be read without the network's opinion, reviews that were, and what a site has chosen.

Revision: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "site_choices",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("chosen_by_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_site_choices")),
    )
    for table in ("studies", "reviews"):
        op.add_column(table, sa.Column("blind", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM reviews WHERE blind)")):
        raise RuntimeError(
            "Studies were signed without the network's opinion, and without 0013 nobody could tell which. "
            "Restore a backup instead."
        )
    for table in ("reviews", "studies"):
        op.drop_column(table, "blind")
    op.drop_table("site_choices")
