"""Names in any script are found, and long tables paged, through indexes.

`name_grams` gives the characters of a name that are not ASCII, and the pairs with one: trigrams know letters
of the ASCII alphabet alone.

Revision: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION name_grams(name text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT CASE WHEN octet_length(name) = length(name) THEN '{}'::text[] ELSE (
                SELECT coalesce(array_agg(DISTINCT gram), '{}'::text[]) FROM (
                    SELECT substr(lower(name), start, size) AS gram
                    FROM generate_series(1, length(name)) AS start, (VALUES (1), (2)) AS sizes (size)
                ) AS grams WHERE octet_length(gram) > length(gram)
            ) END
        $$
        """
    )
    op.create_index(
        "ix_studies_name_grams",
        "studies",
        [sa.text("name_grams(patient_name)")],
        postgresql_using="gin",
        postgresql_where=sa.text("octet_length(patient_name) > length(patient_name)"),
    )
    op.create_index("ix_deliveries_created_at", "deliveries", ["created_at", "id"])
    op.create_index("ix_audit_events_action", "audit_events", ["action", "id"])
    op.create_index("ix_studies_blind", "studies", ["signed_at"], postgresql_where=sa.text("blind"))
    op.create_index("ix_reviews_blind", "reviews", ["study_id"], postgresql_where=sa.text("blind"))


def downgrade() -> None:
    op.drop_index("ix_reviews_blind", table_name="reviews")
    op.drop_index("ix_studies_blind", table_name="studies")
    op.drop_index("ix_audit_events_action", table_name="audit_events")
    op.drop_index("ix_deliveries_created_at", table_name="deliveries")
    op.drop_index("ix_studies_name_grams", table_name="studies")
    op.execute("DROP FUNCTION name_grams(text)")
