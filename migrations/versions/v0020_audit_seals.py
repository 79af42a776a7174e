"""The audit trail is sealed by a chain of heads over batches of its rows; and how far of it was sent away.

The rows that exist are accepted as they are found: the first seals after the upgrade cover them, from the
first row on.

Revision: 0020
Revises: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_head", sa.Text(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.CheckConstraint("number >= 1 AND rows >= 1", name=op.f("ck_audit_seals_counts")),
        sa.CheckConstraint("octet_length(leaves) = 40 * rows", name=op.f("ck_audit_seals_leaf_per_row")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seals")),
        sa.UniqueConstraint("last_id", name=op.f("uq_audit_seals_last_id")),
        sa.UniqueConstraint("head", name=op.f("uq_audit_seals_head")),
    )
    op.execute("ALTER TABLE audit_seals ALTER COLUMN leaves SET STORAGE EXTERNAL")  # hashes do not compress
    op.create_table(
        "audit_sendings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("name IN ('heads', 'messages')", name=op.f("ck_audit_sendings_name")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_sendings")),
    )
    op.execute(
        "CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    op.execute(
        """
        CREATE FUNCTION check_seal() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            newest audit_seals%ROWTYPE;
        BEGIN
            SELECT * INTO newest FROM audit_seals ORDER BY number DESC LIMIT 1;
            IF NEW.number <> coalesce(newest.number, 0) + 1
                OR NEW.previous_head <> coalesce(newest.head, repeat('0', 64))
                OR NEW.last_id <= newest.last_id
            THEN
                RAISE EXCEPTION 'the seal does not continue the chain' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$
        """,
    )
    op.execute(
        "CREATE TRIGGER audit_seals_continue BEFORE INSERT ON audit_seals "
        "FOR EACH ROW EXECUTE FUNCTION check_seal()",
    )


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM audit_seals)")):
        raise RuntimeError(
            "The audit trail is sealed, and without 0020 nothing would show who changes it. "
            "Restore a backup instead."
        )
    op.drop_table("audit_sendings")
    op.drop_table("audit_seals")
    op.execute("DROP FUNCTION check_seal()")
