"""Drafts: what a reader has filled in of a review and not signed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, now


class Draft(Base):
    """One reader's, of one study. It is nobody's reading, counts nowhere, and is shown to nobody else."""

    __tablename__ = "drafts"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"), primary_key=True, index=True)
    revision: Mapped[int]
    """The revision of the study the reader had before them."""
    findings: Mapped[dict[str, Any]]
    """`{finding: present | absent | uncertain}`, of those that have an answer yet."""
    comment: Mapped[str]
    marks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """As they are drawn: `app.domain.marks.Mark.as_json`; a signature looks closer."""
    kept_at: Mapped[datetime] = mapped_column(default=now)
