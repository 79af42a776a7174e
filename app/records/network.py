"""Bundles the site knows, and which one was promoted when, by whom and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class Bundle(Base):
    """One bundle file, named by the sha256 of its bytes, which are a blob."""

    __tablename__ = "bundles"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[str]
    manifest: Mapped[dict[str, Any]]
    registered_at: Mapped[datetime] = mapped_column(default=now)
    registered_by_name: Mapped[str]


class Promotion(HasId, Base):
    """From `promoted_at` on this bundle reads the studies, until the next promotion."""

    __tablename__ = "promotions"

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    """The order of the promotions, counted by the database under the lock of promotions."""
    bundle_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"))
    promoted_at: Mapped[datetime] = mapped_column(default=now)
    promoted_by_name: Mapped[str]
    reason: Mapped[str]
    kind: Mapped[str] = mapped_column(default="promotion", server_default="promotion")
    """promotion, rollback, or first: the program's or the site's own bundle, before any decision."""
    proposal_id: Mapped[UUID | None] = mapped_column(ForeignKey("proposals.id"))
    """What it was decided on; None for rollbacks, which need no gate, and for first."""

    __table_args__ = (
        CheckConstraint("kind IN ('promotion', 'rollback', 'first')", name="kind"),
        CheckConstraint("(kind = 'rollback') <= (proposal_id IS NULL)", name="rollback_needs_no_proposal"),
        Index("ix_promotions_sequence", "sequence"),
    )
