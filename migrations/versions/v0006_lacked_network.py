"""What failed for want of a network is known by a column, no longer by the words of its reason.

Revision: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "studies",
        sa.Column("screening_lacked_network", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    # From here on the program says it with each row.
    op.alter_column("studies", "screening_lacked_network", server_default=None)
    op.execute(
        "UPDATE studies SET screening_lacked_network = true FROM ("
        " SELECT DISTINCT ON (study_id) study_id, outcome, bundle_sha256, reason FROM readings"
        " ORDER BY study_id, sequence DESC) AS standing"
        " WHERE standing.study_id = studies.id AND outcome = 'failed' AND bundle_sha256 IS NULL"
        " AND (standing.reason LIKE 'The network could not be loaded.%'"
        " OR standing.reason LIKE 'No network has been promoted at this site.%')"
    )


def downgrade() -> None:
    op.drop_column("studies", "screening_lacked_network")
