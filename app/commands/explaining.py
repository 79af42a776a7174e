"""Explain: a reader asks how much the network's score rested on each part of an image; that is on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.commands import blinding, viewing
from app.domain.explanation import tested_finding, why_occlusion_withheld
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.errors import Conflict, NotFound
from app.records import Bundle, Image, ImageReading, OcclusionMap, Reading

NOT_READ = sentence("The network has not read this image as it stands, so there is nothing to explain.")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A map as it was made."""

    finding: str
    cells: list[list[float]]
    runtime: str
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class Explained:
    """The reading of an image that is to be explained, and its map where it was made before."""

    image_reading_id: UUID
    bundle_sha256: str
    image_sha256: str
    media_type: str
    kept: Kept | None


def explained(session: Session, *, image_id: UUID, by: Actor) -> Explained:
    """What the standing reading of the study says of the image. That somebody looked is on record.

    Raises NotFound where there is no such image, and Conflict where the network has not read it or its map
    must not be shown, to this person or to anybody, with the sentence why.
    """
    image = session.get(Image, image_id)
    if image is None:
        raise NotFound("There is no such image.")
    blinding.check_may_see(session, study_id=image.study_id, who=by)
    reading = session.scalar(
        select(Reading).where(Reading.study_id == image.study_id).order_by(Reading.sequence.desc()).limit(1),
    )
    said = None
    if reading is not None:
        said = session.scalar(
            select(ImageReading).where(
                ImageReading.reading_id == reading.id, ImageReading.image_id == image_id
            )
        )
    if reading is None or said is None or said.outcome != "screened" or reading.bundle_sha256 is None:
        raise Conflict(NOT_READ)
    tested = session.scalar(
        select(Bundle.manifest["explanations"]).where(Bundle.sha256 == reading.bundle_sha256)
    )
    withheld = why_occlusion_withheld(tested)
    if withheld is not None:
        raise Conflict(withheld)
    viewing.look(session, study_id=image.study_id, by=by, via="map")
    kept = session.get(OcclusionMap, said.id)
    return Explained(
        image_reading_id=said.id,
        bundle_sha256=reading.bundle_sha256,
        image_sha256=image.sha256,
        media_type=image.media_type,
        kept=_kept(kept) if kept is not None and kept.finding == tested_finding(tested) else None,
    )


def keep(
    session: Session, *, image_reading_id: UUID, finding: str, cells: list[list[float]], runtime: str
) -> None:
    """From now on everybody is given this map; one that was kept before stays."""
    session.execute(
        insert(OcclusionMap)
        .values(image_reading_id=image_reading_id, finding=finding, cells=cells, runtime=runtime)
        .on_conflict_do_nothing()
    )


def _kept(row: OcclusionMap) -> Kept:
    return Kept(finding=row.finding, cells=row.cells, runtime=row.runtime, made_at=row.made_at)
