"""Second opinions: one reader asks another, by name, to read a study too."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class SecondOpinion(HasId, Base):
    """A question to a colleague. The study's state is as it would be without it."""

    __tablename__ = "second_opinions"

    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"), index=True)
    asked_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    asked_by_name: Mapped[str]
    asked_of: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    asked_of_name: Mapped[str]
    question: Mapped[str]
    asked_at: Mapped[datetime] = mapped_column(default=now)
    verdict_shown_at: Mapped[datetime | None]
    """When the colleague chose to see the verdicts of others before signing."""
    review_id: Mapped[UUID | None] = mapped_column(ForeignKey("reviews.id"))
    """The colleague's verdict; where that was withdrawn, the question is open again."""
    answer_seen_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("asked_by <> asked_of", name="of_somebody_else"),
        Index("ix_second_opinions_review_id", "review_id", postgresql_where=text("review_id IS NOT NULL")),
        Index("ix_second_opinions_asked_of", "asked_of", postgresql_where=text("withdrawn_at IS NULL")),
        Index("ix_second_opinions_asked_by", "asked_by", postgresql_where=text("answer_seen_at IS NULL")),
    )
