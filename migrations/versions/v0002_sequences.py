"""Readings, reviews and promotions are ordered by the database's count, not by the clocks that wrote them.

Revision: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = {"readings": "read_at", "reviews": "signed_at", "promotions": "promoted_at"}


def upgrade() -> None:
    for table, moment in _TABLES.items():
        op.execute(f"ALTER TABLE {table} ADD COLUMN sequence bigint")
        # What stands must not change by the upgrade: rows there are stay in the order they had until now.
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_append_only")
        op.execute(  # names of ours only
            f"UPDATE {table} SET sequence = numbered.place FROM"  # noqa: S608
            f" (SELECT id, row_number() OVER (ORDER BY {moment}, id) AS place FROM {table}) AS numbered"
            f" WHERE numbered.id = {table}.id"
        )
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_append_only")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN sequence SET NOT NULL")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY")
        op.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'sequence'), max(sequence))"  # noqa: S608
            f" FROM {table} HAVING max(sequence) IS NOT NULL"
        )
    op.drop_index("ix_readings_study_id_read_at", table_name="readings")
    op.create_index("ix_readings_study_id_sequence", "readings", ["study_id", "sequence"])
    op.drop_index("ix_reviews_study_id_signed_at", table_name="reviews")
    op.create_index("ix_reviews_study_id_sequence", "reviews", ["study_id", "sequence"])
    op.drop_index("ix_promotions_promoted_at", table_name="promotions")
    op.create_index("ix_promotions_sequence", "promotions", ["sequence"])


def downgrade() -> None:
    op.drop_index("ix_promotions_sequence", table_name="promotions")
    op.create_index("ix_promotions_promoted_at", "promotions", ["promoted_at"])
    op.drop_index("ix_reviews_study_id_sequence", table_name="reviews")
    op.create_index("ix_reviews_study_id_signed_at", "reviews", ["study_id", "signed_at"])
    op.drop_index("ix_readings_study_id_sequence", table_name="readings")
    op.create_index("ix_readings_study_id_read_at", "readings", ["study_id", "read_at"])
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN sequence")
