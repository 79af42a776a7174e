"""What the network made of each image is kept, and signed studies can be found by it.

Revision: 0005
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.records.vector import HalfVector

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

_LEAST_VERSION = (0, 8, 0)
"""pgvector's first that goes on searching where a filter left too few."""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    version = op.get_bind().scalar(sa.text("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
    if tuple(int(part) for part in str(version).split(".")) < _LEAST_VERSION:
        raise RuntimeError(
            f"The database has pgvector {version} and FirstRead needs 0.8.0 or newer: install it, and run"
            " ALTER EXTENSION vector UPDATE."
        )
    op.add_column("image_readings", sa.Column("embedding", HalfVector(128), nullable=True))
    op.create_table(
        "confirmed_cases",
        sa.Column("study_id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("reading_id", sa.Uuid(), nullable=False),
        sa.Column("bundle_sha256", sa.Text(), nullable=False),
        sa.Column("embedding", HalfVector(128), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_confirmed_cases_study_id_studies")
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_confirmed_cases_image_id_images")),
        sa.ForeignKeyConstraint(
            ["reading_id"], ["readings.id"], name=op.f("fk_confirmed_cases_reading_id_readings")
        ),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["bundles.sha256"], name=op.f("fk_confirmed_cases_bundle_sha256_bundles")
        ),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_confirmed_cases")),
    )
    op.create_index(
        "ix_confirmed_cases_bundle_sha256",
        "confirmed_cases",
        ["bundle_sha256"],
        postgresql_where=sa.text("settled"),
    )
    op.create_index(
        "ix_confirmed_cases_unsettled",
        "confirmed_cases",
        ["kept_at"],
        postgresql_where=sa.text("NOT settled"),
    )
    op.create_index(
        "ix_confirmed_cases_embedding",
        "confirmed_cases",
        ["embedding"],
        postgresql_using="hnsw",
        postgresql_ops={"embedding": "halfvec_ip_ops"},
        postgresql_where=sa.text("settled"),
    )


def downgrade() -> None:
    op.drop_table("confirmed_cases")
    op.drop_column("image_readings", "embedding")
    # The extension stays: others in the database may use it.
