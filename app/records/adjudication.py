"""Adjudications: signatures that settle a disagreement of readers. Append-only."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, now


class Adjudication(Base):
    """The label that the review gives has the source *adjudicated*."""

    __tablename__ = "adjudications"

    review_id: Mapped[UUID] = mapped_column(ForeignKey("reviews.id"), primary_key=True)
    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"), index=True)
    between: Mapped[list[str]] = mapped_column(JSONB)
    """Ids of the reviews that disagreed."""
    by_a_party: Mapped[bool]
    """Somebody who had signed the study settled it: the site had no radiologist who had not read it."""
    adjudicated_at: Mapped[datetime] = mapped_column(default=now)
