"""What a candidate in shadow has read last, and what it has still to read, is found without reading all.

Revision: 0024
Revises: 0023
"""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_readings_read_at", "readings", ["read_at"])
    op.create_index("ix_shadow_readings_shadow_id_read_at", "shadow_readings", ["shadow_id", "read_at"])


def downgrade() -> None:
    op.drop_index("ix_shadow_readings_shadow_id_read_at", table_name="shadow_readings")
    op.drop_index("ix_readings_read_at", table_name="readings")
