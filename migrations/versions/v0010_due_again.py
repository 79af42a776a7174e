"""When a study became due for screening again, and a conflict of one picture in two studies.

Revision: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_KIND = "ck_identity_conflicts_kind"


def upgrade() -> None:
    op.add_column("studies", sa.Column("screening_again_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint(op.f(_KIND), "identity_conflicts", type_="check")
    op.create_check_constraint(
        op.f(_KIND), "identity_conflicts", "kind IN ('other-patient', 'other-pixels', 'same-picture')"
    )


def downgrade() -> None:
    op.execute("UPDATE identity_conflicts SET kind = 'other-pixels' WHERE kind = 'same-picture'")
    op.drop_constraint(op.f(_KIND), "identity_conflicts", type_="check")
    op.create_check_constraint(op.f(_KIND), "identity_conflicts", "kind IN ('other-patient', 'other-pixels')")
    op.drop_column("studies", "screening_again_at")
