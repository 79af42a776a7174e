"""Occlusion maps: how much the network's score rested on each part of an image. Append-only."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, now


class OcclusionMap(Base):
    """Made once, for the first who asked; later readers and callers are given the same."""

    __tablename__ = "occlusion_maps"

    image_reading_id: Mapped[UUID] = mapped_column(ForeignKey("image_readings.id"), primary_key=True)
    finding: Mapped[str]
    cells: Mapped[list[list[float]]] = mapped_column(JSONB)
    """Rows from the top, in units of the logit."""
    runtime: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(default=now)
