"""Pixels are hashed where two files have one SOPInstanceUID, no longer on every admission.

Revision: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("images", "pixel_sha256")


def downgrade() -> None:
    op.add_column("images", sa.Column("pixel_sha256", sa.Text(), nullable=True))
    # What the pixels' hash was is not known here. The file's never equals another picture's, so that a header
    # revision of an image from before is taken for a conflict, which shows both, and never the other way.
    op.execute("UPDATE images SET pixel_sha256 = sha256")
    op.alter_column("images", "pixel_sha256", nullable=False)
