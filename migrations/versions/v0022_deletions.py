"""Patients can be deleted: what stays on record of it, and the stored bytes that are to be removed.

Tables that are append-only let a deletion change them, and nothing else; the audit trail and the record of
deletions let nothing.

Revision: 0022
Revises: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_REFUSE = """
    CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        {but}RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$
"""
_BUT = """IF TG_OP <> 'TRUNCATE' AND current_setting('firstread.deleting', true) = 'on' AND TG_TABLE_NAME IN (
            'readings', 'image_readings', 'reviews', 'withdrawals', 'adjudications', 'occlusion_maps',
            'shadow_readings', 'evaluations', 'snapshots', 'locked_patients', 'learned_patients',
            'placed_images', 'test_patients'
        ) THEN
            RETURN NULL;
        END IF;
        """


_SOUGHT = (
    ("confirmed_cases", "image_id"),
    ("confirmed_cases", "reading_id"),
    ("dataset_files", "sha256"),
    ("deliveries", "study_id"),
    ("identity_conflicts", "other_study_id"),
    ("identity_conflicts", "study_id"),
    ("shadow_readings", "reading_id"),
)
_SOUGHT_WHERE_THERE_IS_ONE = (
    ("dataset_files", "thumbnail_sha256"),
    ("identity_conflicts", "image_id"),
    ("identity_conflicts", "other_image_id"),
    ("images", "preview_sha256"),
    ("images", "superseded_by"),
    ("reviews", "amends_id"),
    ("reviews", "reading_id"),
    ("second_opinions", "review_id"),
)
"""By these a deletion asks for each row, or each stored file, whether another row refers to it."""


def upgrade() -> None:
    op.create_table(
        "deletions",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_by_name", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("studies", postgresql.JSONB(), nullable=False),
        sa.Column("images", postgresql.JSONB(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("kind IN ('patient', 'retention')", name=op.f("ck_deletions_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletions")),
    )
    op.create_index("ix_deletions_deleted_at", "deletions", ["deleted_at"])
    op.create_table(
        "deleted_patient_keys",
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("stands_for", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_deleted_patient_keys")),
    )
    op.create_table(
        "blob_removals",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("orphan", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blob_removals")),
    )
    op.create_index("ix_blob_removals_since", "blob_removals", ["since"])
    for table, column in _SOUGHT:
        op.create_index(f"ix_{table}_{column}", table, [column])
    for table, column in _SOUGHT_WHERE_THERE_IS_ONE:
        only = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_{table}_{column}", table, [column], postgresql_where=only)
    op.execute(
        "CREATE TRIGGER deletions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON deletions "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.execute(_REFUSE.format(but=_BUT))


def downgrade() -> None:
    """Refused where patients were deleted: who was in a locked test would be learnt from, and the proof of
    every deletion would be gone.
    """
    deleted = op.get_bind().execute(
        sa.text("SELECT EXISTS (SELECT FROM deletions) OR EXISTS (SELECT FROM deleted_patient_keys)")
    )
    if deleted.scalar_one():
        raise RuntimeError(
            "Studies were deleted; the version before knows neither the proof of that nor who of the deleted"
            " patients must never be learnt from."
        )
    op.execute(_REFUSE.format(but=""))
    for table, column in (*_SOUGHT, *_SOUGHT_WHERE_THERE_IS_ONE):
        op.drop_index(f"ix_{table}_{column}", table_name=table)
    op.drop_table("blob_removals")
    op.drop_table("deleted_patient_keys")
    op.drop_table("deletions")
