"""The declarative base: names of constraints, and the column types every table uses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import Date, DateTime, Interval, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All records; times are timestamptz, texts are text, open structures are jsonb."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        },
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        UUID: Uuid(),
        datetime: DateTime(timezone=True),
        date: Date(),
        timedelta: Interval(),
        dict[str, Any]: JSONB(),
        list[str]: JSONB(),
    }


def now() -> datetime:
    """This instant in UTC."""
    return datetime.now(UTC)


class HasId:
    """A random UUID as primary key."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
