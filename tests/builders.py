"""What tests are made of: people, keys, files and studies, each built by the real command."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import cv2
import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import cases, intake, keys, people, recording, registry, review, screening
from app.commands.intake import Admission, GivenMetadata
from app.commands.review import Statement
from app.commands.screening import StudyToScreen
from app.dicom.write import write_phantom
from app.domain.order import Credits, Lane
from app.domain.reading import FindingRead, ImageRead
from app.domain.roles import SYSTEM, Actor, Role, Scope, permissions_of
from app.domain.states import Outcome
from app.records import ConfirmedCase, Study, User
from app.records.engine import transaction

_seeds = count(1)
PASSWORD = "a long enough password"
BUNDLE = "b" * 64
TESTED_MAP = {"passes": True, "failed": [], "finding": "pneumonia"}
"""What a bundle says whose map may be shown."""
MAX_BYTES = 64 * 1024**2


def a_dicom(**arguments: Any) -> bytes:
    """A phantom DICOM file unlike any other; see `write_phantom`."""
    return write_phantom(**{"seed": next(_seeds), "rows": 320, "columns": 270} | arguments)


def a_png(*, bits: int = 8) -> bytes:
    """A grey PNG unlike any other."""
    rng = np.random.default_rng(next(_seeds))
    coarse = rng.integers(0, 2**bits, (32, 28)).astype(np.float32)
    pixels = cv2.resize(coarse, (224, 256), interpolation=cv2.INTER_LINEAR)
    return cv2.imencode(".png", pixels.astype(np.uint8 if bits == 8 else np.uint16))[1].tobytes()


def a_user(session: Session, name: str, *roles: Role, password: str = PASSWORD) -> Actor:
    """A person who has already chosen `password`."""
    one_time = people.add_user(
        session, username=name, display_name=name.title(), roles=list(roles), by=SYSTEM
    )
    user = session.scalars(select(User).where(User.username == name)).one()
    people.change_password(session, user_id=user.id, current=one_time, new=password, by=SYSTEM)
    return Actor(kind="user", id=user.id, name=name, permissions=permissions_of(list(roles)))


def a_key(session: Session, name: str, *scopes: Scope) -> str:
    """An API key as a client sends it."""
    return keys.add_key(session, name=name, scopes=list(scopes), by=SYSTEM)


def admit(
    session: Session,
    blobs: Blobs,
    data: bytes,
    *,
    given: GivenMetadata | None = None,
    by: Actor = SYSTEM,
    via: str = "rest",
    file_name: str | None = None,
) -> Admission:
    """The bytes admitted as any way in admits them."""
    with blobs.stage(max_bytes=MAX_BYTES) as staged:
        staged.write(data)
        file = intake.read(staged, file_name=file_name)
        return intake.admit(
            session, blobs, file=file, given=given or GivenMetadata(), by=by, via=via, credits=Credits()
        )


def an_admitted_study(blobs: Blobs, **arguments: Any) -> Admission:
    """A study of one phantom image, committed."""
    with transaction() as session:
        return admit(session, blobs, a_dicom(**arguments))


def revision_of(study_id: UUID) -> int:
    """What a reader who looks now has before them; 0 of no study."""
    with transaction() as session:
        return session.scalar(select(Study.revision).where(Study.id == study_id)) or 0


def a_bundle(
    session: Session, sha256: str = BUNDLE, *, explanations: Mapping[str, Any] | None = TESTED_MAP
) -> str:
    """A registered and promoted bundle, as far as the records go; None for one whose map was never tested."""
    manifest: dict[str, Any] = {"name": "test network", "version": "1"}
    if explanations is not None:
        manifest["explanations"] = dict(explanations)
    registry.register(session, sha256=sha256, manifest=manifest, by=SYSTEM)
    registry.promote(session, sha256=sha256, by=SYSTEM, reason="test")
    return sha256


def claimed(session: Session, *, size: int = 8, seconds: float = 60) -> list[StudyToScreen]:
    """What a worker claims."""
    return screening.claim_batch(session, size=size, lease=timedelta(seconds=seconds))


def image_read(
    image_id: Any,
    *,
    probability: float = 0.9,
    lane: Lane = Lane.RULE_IN,
    outcome: Outcome = Outcome.SCREENED,
    reason: str | None = None,
    preview_sha256: str | None = None,
    notices: tuple[str, ...] = (),
    embedding: tuple[float, ...] | None = None,
) -> ImageRead:
    """What a worker records of one image."""
    screened = outcome is Outcome.SCREENED
    finding = FindingRead(probability=probability, present=probability >= 0.5, lane=lane)
    ramp = [[row * column / 10 for column in range(7)] for row in range(7)]
    return ImageRead(
        image_id=image_id,
        outcome=outcome,
        reason=reason,
        findings={"pneumonia": finding} if screened else {},
        logits={"pneumonia": 2.0} if screened else {},
        activation_maps={"pneumonia": ramp} if screened else {},
        notices=notices,
        preview_sha256=preview_sha256,
        urgency=probability if screened else None,
        embedding=embedding,
    )


def record(session: Session, study: StudyToScreen, *images: ImageRead) -> None:
    """The worker's record, with the test bundle."""
    recording.record(
        session,
        read=[(study, list(images))],
        bundle_sha256=BUNDLE,
        runtime="test",
        credits=Credits(),
    )


def a_screened_study(
    blobs: Blobs,
    *,
    lane: Lane = Lane.RULE_IN,
    probability: float = 0.9,
    embedding: tuple[float, ...] | None = None,
    explanations: Mapping[str, Any] | None = TESTED_MAP,
    **dicom: Any,
) -> Admission:
    """A study that was admitted and read by the test bundle, committed."""
    admission = an_admitted_study(blobs, **dicom)
    with transaction() as session:
        a_bundle(session, explanations=explanations)
        [study] = [study for study in claimed(session, size=100) if study.study_id == admission.study_id]
        record(
            session,
            study,
            *(
                image_read(image.image_id, lane=lane, probability=probability, embedding=embedding)
                for image in study.images
            ),
        )
    return admission


def a_study_with_a_lateral(blobs: Blobs) -> tuple[Admission, Admission]:
    """A frontal image that was read and a lateral one that was not, of one study, committed."""
    of_study = {"study_instance_uid": "1.2.826.0.1.3680043.8.498.1", "patient_id": "P1"}
    with transaction() as session:
        a_bundle(session)
        frontal = admit(session, blobs, a_dicom(**of_study))
        lateral = admit(session, blobs, a_dicom(**of_study, tags={"ViewPosition": "LL"}))
    with transaction() as session:
        [study] = claimed(session)
        withheld = image_read(lateral.image_id, outcome=Outcome.WITHHELD, reason="This is a lateral view.")
        record(session, study, image_read(frontal.image_id), withheld)
    return frontal, lateral


def a_signed_study(
    blobs: Blobs,
    *,
    by: str = "dr.lee",
    say: Statement | None = None,
    ago: timedelta = timedelta(hours=1),
    **study: Any,
) -> UUID:
    """A screened study that was signed so long ago: confirmed, or corrected to `say`."""
    return sign(a_screened_study(blobs, **study).study_id, by=by, say=say, ago=ago)


def sign(
    study_id: UUID, *, by: str = "dr.lee", say: Statement | None = None, ago: timedelta = timedelta(hours=1)
) -> UUID:
    """Signed so long ago by a radiologist of that name, and swept: confirmed, or corrected to `say`."""
    with transaction() as session:
        known = session.scalars(select(User).where(User.username == by)).one_or_none()
        reader = (
            a_user(session, by, Role.RADIOLOGIST)
            if known is None
            else Actor(kind="user", id=known.id, name=by, permissions=permissions_of([Role.RADIOLOGIST]))
        )
        review.sign(
            session,
            study_id=study_id,
            by=reader,
            revision=revision_of(study_id),
            confirm=say is None,
            findings={} if say is None else {"pneumonia": say},
        )
        session.execute(update(Study).where(Study.id == study_id).values(signed_at=Study.signed_at - ago))
        of_study = ConfirmedCase.study_id == study_id
        session.execute(update(ConfirmedCase).where(of_study).values(kept_at=ConfirmedCase.kept_at - ago))
        cases.settle(session, limit=100)
    return study_id


def towards(angle: float) -> tuple[float, ...]:
    """An embedding of length 1 in the plane of the first two axes, so many degrees from the first."""
    turn = np.deg2rad(angle)
    return (float(np.cos(turn)), float(np.sin(turn)), *([0.0] * 126))
