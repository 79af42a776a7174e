"""What the readings gave a study is kept apart from the credit that stands in for a missing reading.

Revision: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("given_credit", sa.Interval(), nullable=True))
    # Until now the credit of a study that a reading had ever named a lane for was the largest one given.
    op.execute(
        "UPDATE studies SET given_credit = network_credit WHERE EXISTS"
        " (SELECT FROM readings WHERE readings.study_id = studies.id AND readings.lane IS NOT NULL)"
    )


def downgrade() -> None:
    op.drop_column("studies", "given_credit")
