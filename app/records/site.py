"""What the site's administrators have chosen; what is not here is as the program has it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, now


class SiteChoice(Base):
    """One choice; who made it before is in the audit trail."""

    __tablename__ = "site_choices"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB, nullable=False)
    chosen_at: Mapped[datetime] = mapped_column(default=now)
    chosen_by_name: Mapped[str]
