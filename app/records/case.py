"""Confirmed cases: the signed studies that others are compared with, a row each, and the index over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, now
from app.records.reading import EMBEDDING_SIZE
from app.records.vector import HalfVector


class ConfirmedCase(Base):
    """What the network that was confirmed or corrected made of the study's most telling image.

    The row says what to compare, never whether the case may be shown: that say the study's state and its
    last review at the moment somebody asks. It is written with the signature and enters the index once that
    has settled, so that neither the worker that records nor the reader who signs pays for the index.
    """

    __tablename__ = "confirmed_cases"

    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id"))
    reading_id: Mapped[UUID] = mapped_column(ForeignKey("readings.id"))
    bundle_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"))
    """Features of different bundles say nothing of each other."""
    embedding: Mapped[Sequence[float]] = mapped_column(HalfVector(EMBEDDING_SIZE))
    kept_at: Mapped[datetime] = mapped_column(default=now)
    settled: Mapped[bool] = mapped_column(default=False)
    """True once the case is in the index and can be found."""

    __table_args__ = (
        Index("ix_confirmed_cases_image_id", "image_id"),
        Index("ix_confirmed_cases_reading_id", "reading_id"),
        Index("ix_confirmed_cases_bundle_sha256", "bundle_sha256", postgresql_where=text("settled")),
        Index("ix_confirmed_cases_unsettled", "kept_at", postgresql_where=text("NOT settled")),
        Index(
            "ix_confirmed_cases_embedding",
            "embedding",
            postgresql_using="hnsw",
            postgresql_ops={"embedding": "halfvec_ip_ops"},
            postgresql_where=text("settled"),
        ),
    )
