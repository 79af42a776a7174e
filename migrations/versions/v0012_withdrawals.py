"""A signature can be withdrawn until it is final, and its results leave only then.

Revision: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_STATES = "state IN ('pending', 'delivered', 'dead')"
_STATES_NOW = "state IN ('pending', 'delivered', 'dead', 'withdrawn')"


def upgrade() -> None:
    op.add_column("reviews", sa.Column("final_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("reviews", sa.Column("state_before", sa.Text(), nullable=True))
    op.add_column("reviews", sa.Column("reason_before", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_reviews_withdrawable_leads_back"), "reviews", "final_at IS NULL OR state_before IS NOT NULL"
    )
    op.create_table(
        "withdrawals",
        sa.Column("study_id", sa.Uuid(), nullable=False),
        sa.Column("review_id", sa.Uuid(), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_by_name", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_withdrawals_study_id_studies")),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name=op.f("fk_withdrawals_review_id_reviews")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withdrawals")),
        sa.UniqueConstraint("review_id", name=op.f("uq_withdrawals_review_id")),
    )
    op.create_index(op.f("ix_withdrawals_study_id"), "withdrawals", ["study_id"])
    op.execute(
        "CREATE TRIGGER withdrawals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON withdrawals "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.add_column("deliveries", sa.Column("review_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_deliveries_review_id_reviews"), "deliveries", "reviews", ["review_id"], ["id"]
    )
    op.create_index(
        "ix_deliveries_review_id",
        "deliveries",
        ["review_id"],
        postgresql_where=sa.text("review_id IS NOT NULL"),
    )
    _states(_STATES_NOW)


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM withdrawals)")):
        raise RuntimeError(
            "Signatures have been taken back, and without 0012 they would count again. "
            "Restore a backup instead."
        )
    op.execute("DELETE FROM deliveries WHERE state = 'withdrawn'")  # nobody must send them again
    _states(_STATES)
    op.drop_index(
        "ix_deliveries_review_id",
        table_name="deliveries",
        postgresql_where=sa.text("review_id IS NOT NULL"),
    )
    op.drop_column("deliveries", "review_id")
    op.drop_table("withdrawals")
    op.drop_constraint(op.f("ck_reviews_withdrawable_leads_back"), "reviews", type_="check")
    for column in ("reason_before", "state_before", "final_at"):
        op.drop_column("reviews", column)


def _states(allowed: str) -> None:
    op.drop_constraint(op.f("ck_deliveries_state"), "deliveries", type_="check")
    op.create_check_constraint(op.f("ck_deliveries_state"), "deliveries", allowed)
