"""An image: one DICOM instance, or one PNG or JPEG."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class Image(HasId, Base):
    """One stored file; `sha256` names its bytes, so the same bytes are the same image."""

    __tablename__ = "images"

    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"), index=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    byte_size: Mapped[int]
    media_type: Mapped[str]
    file_name: Mapped[str | None]
    sop_instance_uid: Mapped[str]
    sop_class_uid: Mapped[str]
    series_instance_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str | None]
    rows: Mapped[int | None]
    columns: Mapped[int | None]
    modality: Mapped[str | None]
    view_position: Mapped[str | None]
    header: Mapped[dict[str, Any]]
    """`app.dicom.header.ImageHeader` without `attributes`, dates as ISO 8601."""
    attributes: Mapped[dict[str, Any]]
    """The dataset as DICOM JSON (PS3.18 F) without bulk data; empty for PNG and JPEG."""
    arrived_at: Mapped[datetime] = mapped_column(default=now)
    source: Mapped[str]
    received_via: Mapped[str]
    superseded_by: Mapped[UUID | None] = mapped_column(ForeignKey("images.id"))
    """The header revision that replaced this one: same SOPInstanceUID, same pixels, other header."""
    preview_sha256: Mapped[str | None]
    """Blob of the JPEG preview the worker made."""

    __table_args__ = (
        CheckConstraint("byte_size > 0", name="byte_size"),
        Index("ix_images_sop_instance_uid", "sop_instance_uid"),
        Index("ix_images_series_instance_uid", "series_instance_uid"),
        Index("ix_images_superseded_by", "superseded_by", postgresql_where=text("superseded_by IS NOT NULL")),
        Index(
            "ix_images_preview_sha256", "preview_sha256", postgresql_where=text("preview_sha256 IS NOT NULL")
        ),
    )
