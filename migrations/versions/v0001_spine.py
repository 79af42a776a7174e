"""The spine: studies, images, readings, reviews, people, audit, deliveries, bundles.

Revision: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


_APPEND_ONLY = ("audit_events", "reviews", "readings", "image_readings", "promotions")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_sha256", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_name", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by_name", sa.Text(), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(revoked_at IS NULL) = (revoked_by_name IS NULL)", name=op.f("ck_api_keys_revoked_who_and_when")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_api_keys_key_sha256")),
        sa.UniqueConstraint("name", name=op.f("uq_api_keys_name")),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("study_id", sa.Uuid(), nullable=True),
        sa.Column("subject_id", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index("ix_audit_events_actor", "audit_events", ["actor_name", "id"], unique=False)
    op.create_index("ix_audit_events_at", "audit_events", ["at"], unique=False)
    op.create_index("ix_audit_events_study_id", "audit_events", ["study_id", "id"], unique=False)
    op.create_table(
        "bundles",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("manifest", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_by_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_bundles")),
    )
    op.create_table(
        "destinations",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_name", sa.Text(), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_by_name", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(disabled_at IS NULL) = (disabled_by_name IS NULL)",
            name=op.f("ck_destinations_disabled_who_and_when"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destinations")),
        sa.UniqueConstraint("name", name=op.f("uq_destinations_name")),
    )
    op.create_table(
        "users",
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_name", sa.Text(), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_by_name", sa.Text(), nullable=True),
        sa.Column("last_signed_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(disabled_at IS NULL) = (disabled_by_name IS NULL)", name=op.f("ck_users_disabled_who_and_when")
        ),
        sa.CheckConstraint("username = lower(username)", name=op.f("ck_users_username_lower")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "promotions",
        sa.Column("bundle_sha256", sa.Text(), nullable=False),
        sa.Column("promoted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("promoted_by_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["bundles.sha256"], name=op.f("fk_promotions_bundle_sha256_bundles")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
    )
    op.create_index("ix_promotions_promoted_at", "promotions", ["promoted_at"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("csrf_token", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_sessions_token_sha256")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_table(
        "studies",
        sa.Column("study_instance_uid", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer_of_patient_id", sa.Text(), nullable=False),
        sa.Column("unidentified_as", sa.Text(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=True),
        sa.Column("patient_birth_date", sa.Date(), nullable=True),
        sa.Column("patient_sex", sa.Text(), nullable=True),
        sa.Column("age_years", sa.Double(), nullable=True),
        sa.Column("accession_number", sa.Text(), nullable=True),
        sa.Column("study_date", sa.Date(), nullable=True),
        sa.Column("study_time", sa.Text(), nullable=True),
        sa.Column("study_description", sa.Text(), nullable=True),
        sa.Column("referring_physician_name", sa.Text(), nullable=True),
        sa.Column("modality", sa.Text(), nullable=True),
        sa.Column("station_name", sa.Text(), nullable=True),
        sa.Column("institution_name", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("received_via", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("is_sample", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("order_credit", sa.Interval(), nullable=False),
        sa.Column("network_credit", sa.Interval(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=True),
        sa.Column("urgency", sa.Double(), nullable=True),
        sa.Column("screening_due", sa.Boolean(), nullable=False),
        sa.Column("screening_lease", sa.Uuid(), nullable=True),
        sa.Column("screening_lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("screening_attempts", sa.Integer(), nullable=False),
        sa.Column("screening_not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state_before_claim", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Uuid(), nullable=True),
        sa.Column("claimed_by_name", sa.Text(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signed_by_name", sa.Text(), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(state = 'claimed') = (claimed_at IS NOT NULL)"
            " AND (claimed_at IS NULL) = (claimed_by_name IS NULL)"
            " AND (claimed_at IS NULL) = (claim_expires_at IS NULL)"
            " AND (claimed_at IS NULL) = (state_before_claim IS NULL)",
            name=op.f("ck_studies_claim_who_and_when"),
        ),
        sa.CheckConstraint(
            "(state = 'screening') <= (screening_lease IS NOT NULL)",
            name=op.f("ck_studies_screening_has_lease"),
        ),
        sa.CheckConstraint("priority IN ('routine', 'stat')", name=op.f("ck_studies_priority")),
        sa.CheckConstraint("purpose IN ('current', 'prior')", name=op.f("ck_studies_purpose")),
        sa.CheckConstraint(
            "state IN ('admitted', 'screening', 'screened', 'withheld', 'failed', "
            "'claimed', 'signed', 'amended', 'reopened')",
            name=op.f("ck_studies_state"),
        ),
        sa.CheckConstraint(
            "(screening_lease IS NULL) = (screening_lease_expires_at IS NULL)",
            name=op.f("ck_studies_lease_and_expiry"),
        ),
        sa.CheckConstraint(
            "(signed_at IS NULL) = (signed_by_name IS NULL)", name=op.f("ck_studies_sign_who_and_when")
        ),
        sa.CheckConstraint("rank_at <= arrived_at", name=op.f("ck_studies_rank_not_after_arrival")),
        sa.ForeignKeyConstraint(["claimed_by"], ["users.id"], name=op.f("fk_studies_claimed_by_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint(
            "study_instance_uid",
            "patient_id",
            "issuer_of_patient_id",
            "unidentified_as",
            name=op.f("uq_studies_identity"),
        ),
    )
    op.create_index("ix_studies_accession_number", "studies", ["accession_number"], unique=False)
    op.create_index("ix_studies_arrived_at", "studies", ["arrived_at"], unique=False)
    op.create_index(
        "ix_studies_claims",
        "studies",
        ["claim_expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'claimed'"),
    )
    op.create_index(
        "ix_studies_due", "studies", ["rank_at"], unique=False, postgresql_where=sa.text("screening_due")
    )
    op.create_index("ix_studies_patient_id", "studies", ["patient_id"], unique=False)
    op.create_index(
        "ix_studies_signed_at",
        "studies",
        ["signed_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('signed', 'amended')"),
    )
    op.create_index(
        "ix_studies_worklist",
        "studies",
        ["rank_at", "id"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('signed', 'amended') AND purpose = 'current'"),
    )
    op.create_table(
        "deliveries",
        sa.Column("destination_id", sa.Uuid(), nullable=False),
        sa.Column("study_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(state = 'delivered') = (delivered_at IS NOT NULL)", name=op.f("ck_deliveries_delivered_when")
        ),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'dead')", name=op.f("ck_deliveries_state")),
        sa.ForeignKeyConstraint(
            ["destination_id"], ["destinations.id"], name=op.f("fk_deliveries_destination_id_destinations")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_deliveries_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index(
        "ix_deliveries_pending",
        "deliveries",
        ["not_before"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_deliveries_state_created_at", "deliveries", ["state", "created_at"], unique=False)
    op.create_table(
        "images",
        sa.Column("study_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("byte_size", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("series_instance_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=True),
        sa.Column("pixel_sha256", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("columns", sa.Integer(), nullable=True),
        sa.Column("modality", sa.Text(), nullable=True),
        sa.Column("view_position", sa.Text(), nullable=True),
        sa.Column("header", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("received_via", sa.Text(), nullable=False),
        sa.Column("superseded_by", sa.Uuid(), nullable=True),
        sa.Column("preview_sha256", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("byte_size > 0", name=op.f("ck_images_byte_size")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_images_study_id_studies")),
        sa.ForeignKeyConstraint(
            ["superseded_by"], ["images.id"], name=op.f("fk_images_superseded_by_images")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("sha256", name=op.f("uq_images_sha256")),
    )
    op.create_index("ix_images_series_instance_uid", "images", ["series_instance_uid"], unique=False)
    op.create_index("ix_images_sop_instance_uid", "images", ["sop_instance_uid"], unique=False)
    op.create_index(op.f("ix_images_study_id"), "images", ["study_id"], unique=False)
    op.create_table(
        "readings",
        sa.Column("study_id", sa.Uuid(), nullable=False),
        sa.Column("bundle_sha256", sa.Text(), nullable=True),
        sa.Column("runtime", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("lane", sa.Text(), nullable=True),
        sa.Column("urgency", sa.Double(), nullable=True),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("notices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(outcome = 'screened') <= (bundle_sha256 IS NOT NULL)",
            name=op.f("ck_readings_bundle_if_screened"),
        ),
        sa.CheckConstraint(
            "(outcome = 'screened') = (lane IS NOT NULL)", name=op.f("ck_readings_lane_if_screened")
        ),
        sa.CheckConstraint(
            "(outcome = 'screened') = (reason IS NULL)", name=op.f("ck_readings_reason_unless_screened")
        ),
        sa.CheckConstraint("outcome IN ('screened', 'withheld', 'failed')", name=op.f("ck_readings_outcome")),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["bundles.sha256"], name=op.f("fk_readings_bundle_sha256_bundles")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_readings_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_readings")),
    )
    op.create_index("ix_readings_study_id_read_at", "readings", ["study_id", "read_at"], unique=False)
    op.create_table(
        "identity_conflicts",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Uuid(), nullable=False),
        sa.Column("other_study_id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=True),
        sa.Column("other_image_id", sa.Uuid(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by_name", sa.Text(), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('other-patient', 'other-pixels')", name=op.f("ck_identity_conflicts_kind")
        ),
        sa.CheckConstraint(
            "(resolved_at IS NULL) = (resolved_by_name IS NULL)",
            name=op.f("ck_identity_conflicts_resolved_who_and_when"),
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_identity_conflicts_image_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["other_image_id"], ["images.id"], name=op.f("fk_identity_conflicts_other_image_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["other_study_id"], ["studies.id"], name=op.f("fk_identity_conflicts_other_study_id_studies")
        ),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_identity_conflicts_study_id_studies")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_conflicts")),
    )
    op.create_index(
        "ix_identity_conflicts_open",
        "identity_conflicts",
        ["study_id"],
        unique=False,
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "image_readings",
        sa.Column("reading_id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("notices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('screened', 'withheld', 'failed')", name=op.f("ck_image_readings_outcome")
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_image_readings_image_id_images")),
        sa.ForeignKeyConstraint(
            ["reading_id"], ["readings.id"], name=op.f("fk_image_readings_reading_id_readings")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_readings")),
    )
    op.create_index(op.f("ix_image_readings_image_id"), "image_readings", ["image_id"], unique=False)
    op.create_index(op.f("ix_image_readings_reading_id"), "image_readings", ["reading_id"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("study_id", sa.Uuid(), nullable=False),
        sa.Column("study_revision", sa.Integer(), nullable=False),
        sa.Column("reading_id", sa.Uuid(), nullable=True),
        sa.Column("bundle_sha256", sa.Text(), nullable=True),
        sa.Column("amends_id", sa.Uuid(), nullable=True),
        sa.Column("reviewer_kind", sa.Text(), nullable=False),
        sa.Column("reviewer_id", sa.Uuid(), nullable=False),
        sa.Column("reviewer_name", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("network_findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("image_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("reviewer_kind IN ('user', 'key')", name=op.f("ck_reviews_reviewer_kind")),
        sa.CheckConstraint("verdict IN ('confirmed', 'corrected', 'read')", name=op.f("ck_reviews_verdict")),
        sa.ForeignKeyConstraint(["amends_id"], ["reviews.id"], name=op.f("fk_reviews_amends_id_reviews")),
        sa.ForeignKeyConstraint(["reading_id"], ["readings.id"], name=op.f("fk_reviews_reading_id_readings")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_reviews_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
    )
    op.create_index("ix_reviews_study_id_signed_at", "reviews", ["study_id", "signed_at"], unique=False)
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END $$
        """,
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
        )


def downgrade() -> None:
    op.drop_index("ix_reviews_study_id_signed_at", table_name="reviews")
    op.drop_table("reviews")
    op.drop_index(op.f("ix_image_readings_reading_id"), table_name="image_readings")
    op.drop_index(op.f("ix_image_readings_image_id"), table_name="image_readings")
    op.drop_table("image_readings")
    op.drop_index(
        "ix_identity_conflicts_open",
        table_name="identity_conflicts",
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.drop_table("identity_conflicts")
    op.drop_index("ix_readings_study_id_read_at", table_name="readings")
    op.drop_table("readings")
    op.drop_index(op.f("ix_images_study_id"), table_name="images")
    op.drop_index("ix_images_sop_instance_uid", table_name="images")
    op.drop_index("ix_images_series_instance_uid", table_name="images")
    op.drop_table("images")
    op.drop_index("ix_deliveries_state_created_at", table_name="deliveries")
    op.drop_index(
        "ix_deliveries_pending", table_name="deliveries", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_table("deliveries")
    op.drop_index(
        "ix_studies_worklist",
        table_name="studies",
        postgresql_where=sa.text("state NOT IN ('signed', 'amended') AND purpose = 'current'"),
    )
    op.drop_index(
        "ix_studies_signed_at",
        table_name="studies",
        postgresql_where=sa.text("state IN ('signed', 'amended')"),
    )
    op.drop_index("ix_studies_patient_id", table_name="studies")
    op.drop_index("ix_studies_due", table_name="studies", postgresql_where=sa.text("screening_due"))
    op.drop_index("ix_studies_claims", table_name="studies", postgresql_where=sa.text("state = 'claimed'"))
    op.drop_index("ix_studies_arrived_at", table_name="studies")
    op.drop_index("ix_studies_accession_number", table_name="studies")
    op.drop_table("studies")
    op.drop_index(op.f("ix_sessions_user_id"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_index("ix_promotions_promoted_at", table_name="promotions")
    op.drop_table("promotions")
    op.drop_table("users")
    op.drop_table("destinations")
    op.drop_table("bundles")
    op.drop_index("ix_audit_events_study_id", table_name="audit_events")
    op.drop_index("ix_audit_events_at", table_name="audit_events")
    op.drop_index("ix_audit_events_actor", table_name="audit_events")
    op.drop_table("audit_events")
    op.drop_table("api_keys")
    op.execute("DROP FUNCTION refuse_change()")
