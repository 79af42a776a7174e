"""Studies whose readers disagree, and the signatures that settle that.

Revision: 0016
Revises: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("disputed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_studies_disputed", "studies", ["signed_at", "id"], postgresql_where=sa.text("disputed")
    )
    op.create_table(
        "adjudications",
        sa.Column("review_id", sa.Uuid(), nullable=False),
        sa.Column("study_id", sa.Uuid(), nullable=False),
        sa.Column("between", postgresql.JSONB(), nullable=False),
        sa.Column("by_a_party", sa.Boolean(), nullable=False),
        sa.Column("adjudicated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["review_id"], ["reviews.id"], name=op.f("fk_adjudications_review_id_reviews")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_adjudications_study_id_studies")),
        sa.PrimaryKeyConstraint("review_id", name=op.f("pk_adjudications")),
    )
    op.create_index(op.f("ix_adjudications_study_id"), "adjudications", ["study_id"])
    op.execute(
        "CREATE TRIGGER adjudications_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON adjudications "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM adjudications)")):
        raise RuntimeError(
            "Disagreements were settled by a third reader, which 0015 would forget. Restore a backup instead."
        )
    op.drop_table("adjudications")
    op.drop_index("ix_studies_disputed", table_name="studies", postgresql_where=sa.text("disputed"))
    op.drop_column("studies", "disputed")
