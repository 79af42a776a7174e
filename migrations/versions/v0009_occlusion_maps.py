"""Occlusion maps are kept with the reading of the image they explain.

Revision: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "occlusion_maps",
        sa.Column("image_reading_id", sa.Uuid(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("cells", postgresql.JSONB(), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_reading_id"],
            ["image_readings.id"],
            name=op.f("fk_occlusion_maps_image_reading_id_image_readings"),
        ),
        sa.PrimaryKeyConstraint("image_reading_id", name=op.f("pk_occlusion_maps")),
    )


def downgrade() -> None:
    op.drop_table("occlusion_maps")
