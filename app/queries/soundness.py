"""What is asked of the database to tell whether the service is sound."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from app.commands.registry import active_bundle
from app.records import Bundle, Image, Study


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """Bytes that should be there."""

    sha256: str
    byte_size: int


@dataclass(frozen=True, kw_only=True)
class PromotedBundle:
    """The bundle that should read."""

    sha256: str
    name: str
    version: str


def revision(session: Session) -> str | None:
    """The schema's revision; None of a database that was never migrated."""
    try:
        with session.begin_nested():
            found = session.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return None if found is None else str(found)
    except ProgrammingError:
        return None


def clock(session: Session) -> datetime:
    """The database's own time, now."""
    told: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return told


def some_images(session: Session, *, newest: int, others: int) -> tuple[StoredImage, ...]:
    """Images of the newest studies, and others from anywhere: ids are random, and so is where this begins."""
    columns = select(Image.id, Image.sha256, Image.byte_size)
    studies = select(Study.id).order_by(Study.arrived_at.desc()).limit(newest)
    late = session.execute(columns.where(Image.study_id.in_(studies)).limit(newest))
    anywhere = session.execute(columns.where(Image.id >= uuid4()).order_by(Image.id).limit(others))
    found = {row.sha256: row.byte_size for row in (*late, *anywhere)}
    return tuple(StoredImage(sha256=sha256, byte_size=size) for sha256, size in found.items())


def promoted(session: Session) -> PromotedBundle | None:
    """The bundle promoted last; None before the first promotion."""
    bundle = session.get(Bundle, active_bundle(session) or "")
    if bundle is None:
        return None
    return PromotedBundle(sha256=bundle.sha256, name=bundle.name, version=bundle.version)
