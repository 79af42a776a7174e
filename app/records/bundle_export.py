"""Bundles as they left the site: in which format, on whose wish, and whether the export agreed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class BundleExport(HasId, Base):
    """One export of a bundle: a zip, which is a blob once the job of this subject is done."""

    __tablename__ = "bundle_exports"

    bundle_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"))
    format: Mapped[str]
    asked_at: Mapped[datetime] = mapped_column(default=now)
    asked_by_name: Mapped[str]
    sha256: Mapped[str | None]
    """Of the zip."""
    byte_size: Mapped[int | None] = mapped_column(BigInteger)
    agreement: Mapped[dict[str, Any] | None]
    """`models.export_agreement.Agreement.as_json`, or `{not_run: sentence}`."""

    __table_args__ = (
        CheckConstraint("format IN ('onnx', 'openvino', 'torch', 'coreml')", name="format"),
        CheckConstraint("(sha256 IS NULL) = (byte_size IS NULL)", name="made_says_what"),
        Index("ix_bundle_exports_bundle_sha256_asked_at", "bundle_sha256", "asked_at"),
    )
