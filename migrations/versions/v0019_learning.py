"""What networks learn from and are judged by, and who decides which one reads.

Revision: 0019
Revises: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_NEVER_FORGOTTEN = sa.text(
    "SELECT EXISTS (SELECT FROM snapshots) OR EXISTS (SELECT FROM test_patients)"
    " OR EXISTS (SELECT FROM evaluations) OR EXISTS (SELECT FROM proposals)"
    " OR EXISTS (SELECT FROM shadow_readings)"
)


def upgrade() -> None:
    op.create_table(
        "snapshots",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("findings", postgresql.JSONB(), nullable=False),
        sa.Column("test_sha256", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_name", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("sha256", name=op.f("uq_snapshots_sha256")),
    )
    op.create_index("ix_snapshots_created_at", "snapshots", ["created_at"])
    op.create_table(
        "locked_patients",
        sa.Column("patient_key", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.Uuid(), nullable=False),
        sa.Column("locked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_locked_patients_snapshot_id_snapshots")
        ),
        sa.PrimaryKeyConstraint("patient_key", name=op.f("pk_locked_patients")),
    )
    op.create_table(
        "learned_patients",
        sa.Column("patient_key", sa.Text(), nullable=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("split IN ('train', 'val')", name=op.f("ck_learned_patients_split")),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_learned_patients_snapshot_id_snapshots")
        ),
        sa.PrimaryKeyConstraint("patient_key", name=op.f("pk_learned_patients")),
    )
    op.create_table(
        "placed_images",
        sa.Column("image_sha256", sa.Text(), nullable=False),
        sa.Column("patient_key", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_placed_images_snapshot_id_snapshots")
        ),
        sa.PrimaryKeyConstraint("image_sha256", name=op.f("pk_placed_images")),
    )
    op.create_index(op.f("ix_placed_images_patient_key"), "placed_images", ["patient_key"])
    op.create_table(
        "test_patients",
        sa.Column("test_sha256", sa.Text(), nullable=False),
        sa.Column("patient_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("test_sha256", "patient_key", name=op.f("pk_test_patients")),
    )
    op.create_index(op.f("ix_test_patients_patient_key"), "test_patients", ["patient_key"])
    op.create_table(
        "snapshot_exports",
        sa.Column("snapshot_id", sa.Uuid(), nullable=False),
        sa.Column("dates", sa.Text(), nullable=False),
        sa.Column("burned_in", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("byte_size", sa.BigInteger(), nullable=True),
        sa.Column("images", sa.Integer(), nullable=True),
        sa.Column("left_out", postgresql.JSONB(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("dates IN ('removed', 'shifted')", name=op.f("ck_snapshot_exports_dates")),
        sa.CheckConstraint("burned_in IN ('left-out', 'masked')", name=op.f("ck_snapshot_exports_burned_in")),
        sa.CheckConstraint(
            "(sha256 IS NULL) = (images IS NULL) AND (sha256 IS NULL) = (byte_size IS NULL)",
            name=op.f("ck_snapshot_exports_made_says_what"),
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_snapshot_exports_snapshot_id_snapshots")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshot_exports")),
    )
    op.create_index(
        "ix_snapshot_exports_snapshot_id_asked_at", "snapshot_exports", ["snapshot_id", "asked_at"]
    )
    op.create_table(
        "training_runs",
        sa.Column("snapshot_id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("start_sha256", sa.Text(), nullable=True),
        sa.Column("budget_minutes", sa.Double(), nullable=True),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("occasion", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by_name", sa.Text(), nullable=False),
        sa.Column("candidate_sha256", sa.Text(), nullable=True),
        sa.Column("figures", postgresql.JSONB(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("mode IN ('quick', 'thorough')", name=op.f("ck_training_runs_mode")),
        sa.CheckConstraint(
            "occasion IN ('asked', 'schedule', 'reviews')", name=op.f("ck_training_runs_occasion")
        ),
        sa.ForeignKeyConstraint(
            ["candidate_sha256"], ["bundles.sha256"], name=op.f("fk_training_runs_candidate_sha256_bundles")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_training_runs_snapshot_id_snapshots")
        ),
        sa.ForeignKeyConstraint(
            ["start_sha256"], ["bundles.sha256"], name=op.f("fk_training_runs_start_sha256_bundles")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_runs")),
    )
    op.create_index("ix_training_runs_asked_at", "training_runs", ["asked_at"])
    op.create_index(op.f("ix_training_runs_snapshot_id"), "training_runs", ["snapshot_id"])
    op.create_table(
        "evaluation_orders",
        sa.Column("snapshot_id", sa.Uuid(), nullable=False),
        sa.Column("test_sha256", sa.Text(), nullable=False),
        sa.Column("candidate_sha256", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by_name", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_sha256"],
            ["bundles.sha256"],
            name=op.f("fk_evaluation_orders_candidate_sha256_bundles"),
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_evaluation_orders_snapshot_id_snapshots")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_orders")),
    )
    op.create_index(op.f("ix_evaluation_orders_candidate_sha256"), "evaluation_orders", ["candidate_sha256"])
    op.create_table(
        "evaluations",
        sa.Column("snapshot_id", sa.Uuid(), nullable=False),
        sa.Column("test_sha256", sa.Text(), nullable=False),
        sa.Column("candidate_sha256", sa.Text(), nullable=False),
        sa.Column("active_sha256", sa.Text(), nullable=False),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by_name", sa.Text(), nullable=False),
        sa.Column("outcome", postgresql.JSONB(), nullable=False),
        sa.Column("gate", postgresql.JSONB(), nullable=False),
        sa.Column("may_be_promoted", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["active_sha256"], ["bundles.sha256"], name=op.f("fk_evaluations_active_sha256_bundles")
        ),
        sa.ForeignKeyConstraint(
            ["candidate_sha256"], ["bundles.sha256"], name=op.f("fk_evaluations_candidate_sha256_bundles")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_evaluations_snapshot_id_snapshots")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
    )
    op.create_index(op.f("ix_evaluations_candidate_sha256"), "evaluations", ["candidate_sha256"])
    op.create_index("ix_evaluations_test_sha256", "evaluations", ["test_sha256"])
    op.create_table(
        "proposals",
        sa.Column("bundle_sha256", sa.Text(), nullable=False),
        sa.Column("evaluation_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proposed_by_id", sa.Uuid(), nullable=False),
        sa.Column("proposed_by_name", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by_name", sa.Text(), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "decision IN ('promoted', 'declined', 'withdrawn')", name=op.f("ck_proposals_decision")
        ),
        sa.CheckConstraint(
            "(decision IS NULL) = (decided_at IS NULL) AND (decision IS NULL) = (decided_by_name IS NULL)",
            name=op.f("ck_proposals_decided_who_and_when"),
        ),
        sa.CheckConstraint(
            "(decision IS NULL) <= (decision_reason IS NULL)",
            name=op.f("ck_proposals_undecided_has_no_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["bundles.sha256"], name=op.f("fk_proposals_bundle_sha256_bundles")
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluations.id"], name=op.f("fk_proposals_evaluation_id_evaluations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
    )
    op.create_index(op.f("ix_proposals_bundle_sha256"), "proposals", ["bundle_sha256"])
    op.create_table(
        "bundle_exports",
        sa.Column("bundle_sha256", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("byte_size", sa.BigInteger(), nullable=True),
        sa.Column("agreement", postgresql.JSONB(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "format IN ('onnx', 'openvino', 'torch', 'coreml')", name=op.f("ck_bundle_exports_format")
        ),
        sa.CheckConstraint(
            "(sha256 IS NULL) = (byte_size IS NULL)", name=op.f("ck_bundle_exports_made_says_what")
        ),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["bundles.sha256"], name=op.f("fk_bundle_exports_bundle_sha256_bundles")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_exports")),
    )
    op.create_index(
        "ix_bundle_exports_bundle_sha256_asked_at", "bundle_exports", ["bundle_sha256", "asked_at"]
    )
    op.create_table(
        "shadows",
        sa.Column("bundle_sha256", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("begun_by_name", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by_name", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_by_name IS NULL)", name=op.f("ck_shadows_ended_who_and_when")
        ),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["bundles.sha256"], name=op.f("fk_shadows_bundle_sha256_bundles")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadows")),
    )
    op.create_index(op.f("ix_shadows_bundle_sha256"), "shadows", ["bundle_sha256"])
    op.create_table(
        "shadow_readings",
        sa.Column("shadow_id", sa.Uuid(), nullable=False),
        sa.Column("reading_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("lane", sa.Text(), nullable=True),
        sa.Column("urgency", sa.Double(), nullable=True),
        sa.Column("findings", postgresql.JSONB(), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('screened', 'withheld', 'failed')", name=op.f("ck_shadow_readings_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["reading_id"], ["readings.id"], name=op.f("fk_shadow_readings_reading_id_readings")
        ),
        sa.ForeignKeyConstraint(
            ["shadow_id"], ["shadows.id"], name=op.f("fk_shadow_readings_shadow_id_shadows")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadow_readings")),
    )
    op.create_index(
        "ix_shadow_readings_shadow_id_reading_id", "shadow_readings", ["shadow_id", "reading_id"], unique=True
    )
    op.execute(
        "CREATE TRIGGER snapshots_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON snapshots "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.execute(
        "CREATE TRIGGER locked_patients_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON locked_patients "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.execute(
        "CREATE TRIGGER learned_patients_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON learned_patients "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.execute(
        "CREATE TRIGGER placed_images_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON placed_images "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.execute(
        "CREATE TRIGGER test_patients_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON test_patients "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.execute(
        "CREATE TRIGGER evaluations_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evaluations "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.execute(
        "CREATE TRIGGER shadow_readings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow_readings "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.add_column("readings", sa.Column("made_with", postgresql.JSONB()))
    op.add_column("promotions", sa.Column("kind", sa.Text(), nullable=False, server_default="promotion"))
    op.add_column("promotions", sa.Column("proposal_id", sa.Uuid()))
    op.create_foreign_key(
        op.f("fk_promotions_proposal_id_proposals"), "promotions", "proposals", ["proposal_id"], ["id"]
    )
    op.create_check_constraint(
        op.f("ck_promotions_kind"), "promotions", "kind IN ('promotion', 'rollback', 'first')"
    )
    op.create_check_constraint(
        op.f("ck_promotions_rollback_needs_no_proposal"),
        "promotions",
        "(kind = 'rollback') <= (proposal_id IS NULL)",
    )


def downgrade() -> None:
    if op.get_bind().scalar(_NEVER_FORGOTTEN):
        raise RuntimeError(
            "Which patients networks learn from and are judged by, what they were found to do, and who "
            "let them read would be forgotten. Restore a backup instead."
        )
    op.drop_column("readings", "made_with")
    op.drop_column("promotions", "proposal_id")
    op.drop_column("promotions", "kind")
    op.drop_table("bundle_exports")
    op.drop_table("shadow_readings")
    op.drop_table("shadows")
    op.drop_table("proposals")
    op.drop_table("evaluations")
    op.drop_table("evaluation_orders")
    op.drop_table("training_runs")
    op.drop_table("snapshot_exports")
    op.drop_table("test_patients")
    op.drop_table("placed_images")
    op.drop_table("learned_patients")
    op.drop_table("locked_patients")
    op.drop_table("snapshots")
