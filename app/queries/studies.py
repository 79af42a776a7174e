"""One study with all there is to know of it, and the ways to find one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.commands.blinding import is_hidden
from app.commands.identity import uid_is_shared
from app.commands.review import can_claim, can_sign
from app.commands.screening import can_retry
from app.commands.second_opinions import are_verdicts_hidden
from app.domain.explanation import why_no_heat_map, why_occlusion_withheld, with_maps_allowed
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.errors import NotFound
from app.queries import priors
from app.queries.blind import without_opinion, without_verdicts_of_others
from app.queries.history import Happening, ReviewShown, history, standing_reviews
from app.queries.priors import PriorShown
from app.queries.second_opinions import SecondOpinionShown, of_study
from app.queries.worklist import WorklistEntry, entry_of
from app.records import Bundle, IdentityConflict, Image, ImageReading, OcclusionMap, Reading, Study


@dataclass(frozen=True, kw_only=True)
class ImageShown:
    """One image of the study, with what the network said of it."""

    image_id: UUID
    sha256: str
    media_type: str
    file_name: str | None
    sop_instance_uid: str
    series_instance_uid: str
    rows: int | None
    columns: int | None
    view_position: str | None
    header: dict[str, Any]
    preview_sha256: str | None
    arrived_at: datetime
    superseded_by: UUID | None
    """The image of the same picture that came with another header, and is shown instead."""
    outcome: str | None
    reason: str | None
    findings: dict[str, Any]
    notices: tuple[str, ...]

    @property
    def superseded(self) -> bool:
        """Another header of the same picture is shown instead."""
        return self.superseded_by is not None


@dataclass(frozen=True, kw_only=True)
class ReadingShown:
    """The network's standing reading of the study."""

    reading_id: UUID
    outcome: str
    reason: str | None
    lane: str | None
    urgency: float | None
    findings: dict[str, Any]
    notices: tuple[str, ...]
    bundle_sha256: str | None
    runtime: str | None
    read_at: datetime
    map_withheld: str | None
    """Why no heat map is shown, in a sentence; None where the images' findings have activation maps, where an
    occlusion map can be asked for, or the network read nothing."""
    occlusion_map_withheld: str | None
    """Why there is no occlusion map to ask for; None where there is, or the network read nothing."""


@dataclass(frozen=True, kw_only=True)
class StudyShown:
    """A study as its page shows it."""

    entry: WorklistEntry
    study_date: date | None
    study_time: str | None
    issuer_of_patient_id: str
    institution_name: str | None
    referring_physician_name: str | None
    source: str
    received_via: str
    purpose: str
    images: tuple[ImageShown, ...]
    reading: ReadingShown | None
    reviews: tuple[ReviewShown, ...]
    """Those that nobody has withdrawn, the newest first; the first is what counts."""
    history: tuple[Happening, ...]
    priors: tuple[PriorShown, ...]
    """The latest 20, by the day they were taken."""
    earlier: tuple[PriorShown, ...]
    """The two latest that were taken before it."""
    conflicts: tuple[str, ...]
    uid_is_shared: bool
    """True where another patient's study has the StudyInstanceUID too."""
    second_opinions: tuple[SecondOpinionShown, ...]
    can_claim: bool
    can_sign: bool
    can_retry: bool
    """Where the caller has the right: the network can be asked again."""
    verdicts_hidden: bool = False
    """A second opinion is asked of whoever looks: what others signed is not in `reviews` and `history`."""


def show(session: Session, *, study_id: UUID, to: Actor) -> StudyShown:
    """The study as `to` may see it; NotFound where there is none."""
    study = session.get(Study, study_id)
    if study is None:
        raise NotFound("There is no such study.")
    reading = session.scalar(
        select(Reading).where(Reading.study_id == study.id).order_by(Reading.sequence.desc()).limit(1),
    )
    happened = history(session, study_id=study.id)
    tested = _explanations(session, reading)
    hidden = is_hidden(session, study_id=study.id, who=to)
    shown = StudyShown(
        entry=entry_of(study, reading=reading, hidden=hidden),
        study_date=study.study_date,
        study_time=study.study_time,
        issuer_of_patient_id=study.issuer_of_patient_id,
        institution_name=study.institution_name,
        referring_physician_name=study.referring_physician_name,
        source=study.source,
        received_via=study.received_via,
        purpose=study.purpose,
        images=_images(session, study, reading, tested),
        reading=_reading(reading, tested),
        reviews=standing_reviews(happened),
        history=happened,
        priors=priors.of_patient(session, study),
        earlier=priors.taken_before(session, study),
        conflicts=_conflicts(session, study),
        uid_is_shared=uid_is_shared(session, study),
        can_claim=can_claim(study, by=to),
        second_opinions=of_study(session, study_id=study.id),
        can_sign=can_sign(study, by=to),
        can_retry=can_retry(study, by=to),
    )
    if are_verdicts_hidden(session, study_id=study.id, who=to):
        shown = without_verdicts_of_others(shown, reader=to.id)
    return without_opinion(shown) if hidden else shown


def find(
    session: Session, *, study_instance_uid: str | None, accession_number: str | None, limit: int = 100
) -> list[UUID]:
    """Ids of the studies with that UID and that accession number, the newest first."""
    statement = select(Study.id).order_by(Study.arrived_at.desc()).limit(limit)
    if study_instance_uid is not None:
        statement = statement.where(Study.study_instance_uid == study_instance_uid)
    if accession_number is not None:
        statement = statement.where(Study.accession_number == accession_number)
    return list(session.scalars(statement))


def image(session: Session, *, image_id: UUID) -> tuple[UUID, ImageShown]:
    """The image and its study's id; NotFound where there is none."""
    row = session.get(Image, image_id)
    if row is None:
        raise NotFound("There is no such image.")
    return row.study_id, _image(row, None, None, kept={})


def _explanations(session: Session, reading: Reading | None) -> object:
    """What the bundle that gave the reading says of its map; None where it says nothing."""
    if reading is None or reading.bundle_sha256 is None:
        return None
    return session.scalar(
        select(Bundle.manifest["explanations"]).where(Bundle.sha256 == reading.bundle_sha256)
    )


def _images(
    session: Session, study: Study, reading: Reading | None, tested: object
) -> tuple[ImageShown, ...]:
    images = session.scalars(
        select(Image)
        .where(Image.study_id == study.id)
        .order_by(Image.superseded_by.is_not(None), Image.arrived_at),
    ).all()
    said: dict[UUID, ImageReading] = {}
    kept: dict[UUID, OcclusionMap] = {}
    if reading is not None:
        rows = session.scalars(select(ImageReading).where(ImageReading.reading_id == reading.id)).all()
        said = {row.image_id: row for row in rows}
        if why_occlusion_withheld(tested) is None:
            maps = select(OcclusionMap).where(OcclusionMap.image_reading_id.in_([row.id for row in rows]))
            kept = {row.image_reading_id: row for row in session.scalars(maps)}
    return tuple(_image(image, said.get(image.id), tested, kept=kept) for image in images)


def _image(
    image: Image, said: ImageReading | None, tested: object, *, kept: Mapping[UUID, OcclusionMap]
) -> ImageShown:
    occlusion = kept.get(said.id) if said else None
    return ImageShown(
        image_id=image.id,
        sha256=image.sha256,
        media_type=image.media_type,
        file_name=image.file_name,
        sop_instance_uid=image.sop_instance_uid,
        series_instance_uid=image.series_instance_uid,
        rows=image.rows,
        columns=image.columns,
        view_position=image.view_position,
        header=image.header,
        preview_sha256=image.preview_sha256,
        arrived_at=image.arrived_at,
        superseded_by=image.superseded_by,
        outcome=said.outcome if said else None,
        reason=said.reason if said else None,
        findings=with_maps_allowed(said.findings, tested, occlusion=occlusion.cells if occlusion else None)
        if said
        else {},
        notices=tuple(said.notices) if said else (),
    )


def _reading(reading: Reading | None, tested: object) -> ReadingShown | None:
    if reading is None:
        return None
    return ReadingShown(
        reading_id=reading.id,
        outcome=reading.outcome,
        reason=reading.reason,
        lane=reading.lane,
        urgency=reading.urgency,
        findings=reading.findings,
        notices=tuple(reading.notices),
        bundle_sha256=reading.bundle_sha256,
        runtime=reading.runtime,
        read_at=reading.read_at,
        map_withheld=why_no_heat_map(tested) if reading.findings else None,
        occlusion_map_withheld=why_occlusion_withheld(tested) if reading.findings else None,
    )


def _conflicts(session: Session, study: Study) -> tuple[str, ...]:
    rows = session.scalars(
        select(IdentityConflict).where(
            or_(IdentityConflict.study_id == study.id, IdentityConflict.other_study_id == study.id),
            IdentityConflict.resolved_at.is_(None),
        ),
    )
    words = {
        "other-patient": sentence("Another patient has a study with the same StudyInstanceUID."),
        "other-pixels": sentence("Another picture was sent with the same SOPInstanceUID."),
        "same-picture": sentence("Another study has the same picture under the same SOPInstanceUID."),
    }
    return tuple(dict.fromkeys(words[row.kind] for row in rows))
