"""Second factors, lockout, sign-in at a provider, and keys bound to address ranges.

Revision: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_OF_USERS = (
    ("failed_sign_ins", sa.Integer(), "0"),
    ("locked_until", sa.DateTime(timezone=True), None),
    ("totp_secret", sa.Text(), None),
    ("totp_since", sa.DateTime(timezone=True), None),
    ("totp_last_step", sa.BigInteger(), None),
    ("oidc_issuer", sa.Text(), None),
    ("oidc_subject", sa.Text(), None),
)

_HASH_OF_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$xjHaBq6X22kmPByEqo+lkg$rMgIEeZpMUrYrodjKD4RYJcj/3uOE8bwj50axPpCKvc"
)
"""Of a random password that was thrown away: who has no password stays without one."""


def upgrade() -> None:
    for name, kind, default in _OF_USERS:
        op.add_column("users", sa.Column(name, kind, nullable=default is None, server_default=default))
    op.alter_column("users", "password_hash", nullable=True)
    op.create_check_constraint(
        op.f("ck_users_oidc_issuer_and_subject"), "users", "(oidc_issuer IS NULL) = (oidc_subject IS NULL)"
    )
    op.create_check_constraint(
        op.f("ck_users_totp_since_secret"), "users", "totp_since IS NULL OR totp_secret IS NOT NULL"
    )
    op.create_unique_constraint(
        op.f("uq_users_oidc_issuer_oidc_subject"), "users", ["oidc_issuer", "oidc_subject"]
    )
    op.add_column("sessions", sa.Column("via", sa.Text(), nullable=False, server_default="password"))
    op.add_column(
        "sessions",
        sa.Column("awaits_second_factor", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_check_constraint(op.f("ck_sessions_via"), "sessions", "via IN ('password', 'oidc')")
    op.add_column(
        "api_keys",
        sa.Column("address_ranges", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_sha256", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_recovery_codes_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
    )
    op.create_index(op.f("ix_recovery_codes_user_id"), "recovery_codes", ["user_id"])
    op.create_table(
        "oidc_sign_ins",
        sa.Column("state_sha256", sa.Text(), nullable=False),
        sa.Column("browser_sha256", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("code_verifier", sa.Text(), nullable=False),
        sa.Column("next", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oidc_sign_ins")),
        sa.UniqueConstraint("state_sha256", name=op.f("uq_oidc_sign_ins_state_sha256")),
    )
    op.create_index(op.f("ix_oidc_sign_ins_expires_at"), "oidc_sign_ins", ["expires_at"])


def downgrade() -> None:
    """Refused where it would open a door: who signs in elsewhere or with a second factor, or a key that is
    bound to addresses, would come in by less. Sessions that only await a second factor end.
    """
    guarded = op.get_bind().execute(
        sa.text(
            "SELECT EXISTS (SELECT FROM users WHERE (password_hash IS NULL OR totp_since IS NOT NULL)"
            " AND disabled_at IS NULL) OR EXISTS"
            " (SELECT FROM api_keys WHERE address_ranges <> '[]' AND revoked_at IS NULL)"
        )
    )
    if guarded.scalar_one():
        raise RuntimeError(
            "People with a second factor or who sign in at a provider, and keys that are bound to addresses,"
            " would come in by less. Disable those people and revoke those keys first."
        )
    op.execute("DELETE FROM sessions WHERE awaits_second_factor")
    op.drop_table("oidc_sign_ins")
    op.drop_table("recovery_codes")
    op.drop_column("api_keys", "address_ranges")
    for column in ("awaits_second_factor", "via"):
        op.drop_column("sessions", column)
    op.execute(
        sa.text("UPDATE users SET password_hash = :nobody WHERE password_hash IS NULL").bindparams(
            nobody=_HASH_OF_NOBODY
        )
    )
    op.alter_column("users", "password_hash", nullable=False)
    for name, _, _ in reversed(_OF_USERS):
        op.drop_column("users", name)
