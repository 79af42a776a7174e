"""Similar confirmed cases: who is found, who never is, and what is told of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands.review import Statement
from app.domain.order import Lane
from app.domain.roles import SYSTEM
from app.errors import NotFound
from app.queries import similar
from app.queries.similar import SimilarCases
from app.records import ConfirmedCase, ImageReading, Study
from app.records.engine import transaction
from app.settings import settings
from tests import builders
from tests.builders import a_screened_study, admit, image_read, sign, towards
from worker.sweep import Sweeper

UNKNOWN = UUID("00000000-0000-4000-8000-000000000000")


def a_study(blobs: Blobs, angle: float, **values: Any) -> UUID:
    return a_screened_study(blobs, embedding=towards(angle), **values).study_id


def found(study_id: UUID, *, size: int = 8) -> SimilarCases:
    with transaction() as session:
        return similar.similar(session, study_id=study_id, size=size, to=SYSTEM)


def ids(study_id: UUID, *, size: int = 8) -> list[UUID]:
    return [case.study_id for case in found(study_id, size=size).cases]


@pytest.fixture
def asked(database: str, blobs: Blobs) -> UUID:
    """A study that was read and that nobody has signed."""
    return a_study(blobs, 0, patient_id="asked")


def test_the_most_alike_comes_first_and_no_more_than_asked_for(asked: UUID, blobs: Blobs) -> None:
    far, near, middle = (sign(a_study(blobs, angle, patient_id=f"p{angle}")) for angle in (80, 10, 40))
    assert ids(asked) == [near, middle, far]
    assert ids(asked, size=2) == [near, middle]
    assert [round(case.likeness, 2) for case in found(asked).cases] == [0.98, 0.77, 0.17]


def test_only_what_is_signed_now_is_found(asked: UUID, blobs: Blobs) -> None:
    unsigned = a_study(blobs, 11, patient_id="unsigned")
    undoable = sign(a_study(blobs, 12, patient_id="undoable"), ago=timedelta(0))
    reopened = sign(a_study(blobs, 13, patient_id="reopened"))
    with transaction() as session:
        study_uid = session.get_one(Study, reopened).study_instance_uid
        admit(
            session,
            blobs,
            builders.a_dicom(patient_id="reopened", study_instance_uid=study_uid),
        )
        assert session.get_one(Study, reopened).state == "reopened"
    stands = sign(a_study(blobs, 50, patient_id="stands"))
    assert ids(asked) == [stands]
    assert unsigned and undoable


def test_neither_the_same_patient_nor_the_same_picture_is_a_case(asked: UUID, blobs: Blobs) -> None:
    sign(a_study(blobs, 11, patient_id="asked"))
    stranger = sign(a_study(blobs, 12, patient_id="asked"))  # the same number, given out by somebody else
    sign(a_study(blobs, 0, patient_id="twin"))
    sign(a_study(blobs, 2, patient_id="nearly a twin"))
    other = sign(a_study(blobs, 14, patient_id="other"))
    assert ids(asked) == [other]
    with transaction() as session:
        session.execute(update(Study).where(Study.id == asked).values(issuer_of_patient_id="here"))
        session.execute(update(Study).where(Study.id == stranger).values(issuer_of_patient_id="elsewhere"))
    assert ids(asked) == [stranger, other]


def test_features_of_another_bundle_are_never_compared(asked: UUID, blobs: Blobs, monkeypatch: Any) -> None:
    here = sign(a_study(blobs, 60, patient_id="here"))
    monkeypatch.setattr(builders, "BUNDLE", "c" * 64)
    monkeypatch.setattr(builders.a_bundle, "__defaults__", ("c" * 64,))
    there = sign(a_study(blobs, 11, patient_id="there"))
    assert ids(asked) == [here]
    again = a_study(blobs, 0, patient_id="again")
    assert ids(again) == [there]


def test_samples_are_compared_with_samples_alone(asked: UUID, blobs: Blobs) -> None:
    sample = sign(a_study(blobs, 11, patient_id="sample"))
    real = sign(a_study(blobs, 12, patient_id="real"))
    with transaction() as session:
        session.execute(update(Study).where(Study.id == sample).values(is_sample=True))
    assert ids(asked) == [real]


def test_the_verdict_is_the_one_that_was_amended_last(asked: UUID, blobs: Blobs) -> None:
    study = sign(a_study(blobs, 15, patient_id="p", probability=0.9, lane=Lane.RULE_IN))
    [case] = found(asked).cases
    [finding] = case.findings
    assert (case.verdict, case.amended, case.readers) == ("confirmed", False, 1)
    assert (finding.reader, finding.verdict, finding.lane, finding.probability) == (
        "present",
        "confirmed",
        "rule-in",
        0.9,
    )
    sign(study, by="dr.wu", say=Statement.ABSENT)
    [case] = found(asked).cases
    assert (case.verdict, case.amended, case.readers) == ("corrected", True, 2)
    assert case.reader_names == ("dr.lee", "dr.wu")
    assert [(finding.reader, finding.verdict) for finding in case.findings] == [("absent", "corrected")]


def test_a_study_without_features_says_why_nothing_is_found(asked: UUID, blobs: Blobs) -> None:
    assert found(asked).why_none == similar.NONE_ALIKE
    bare = a_screened_study(blobs).study_id
    assert found(bare).why_none == similar.NO_FEATURES
    unread = builders.an_admitted_study(blobs).study_id
    assert found(unread).why_none == similar.NOT_READ
    with pytest.raises(NotFound):
        found(UNKNOWN)


def test_the_image_that_gave_the_finding_stands_for_its_study(
    database: str, blobs: Blobs, session: Session
) -> None:
    first = builders.an_admitted_study(blobs, patient_id="p")
    with transaction() as other:
        uid = other.get_one(Study, first.study_id).study_instance_uid
        second = admit(other, blobs, builders.a_dicom(patient_id="p", study_instance_uid=uid))
    with transaction() as other:
        builders.a_bundle(other)
        [study] = builders.claimed(other)
        reads = {
            first.image_id: image_read(first.image_id, probability=0.2, embedding=towards(0)),
            second.image_id: image_read(second.image_id, probability=0.8, embedding=towards(30)),
        }
        builders.record(other, study, *(reads[image.image_id] for image in study.images))
    sign(first.study_id)
    case = session.scalars(select(ConfirmedCase)).one()
    assert case.image_id == second.image_id
    assert case.embedding == pytest.approx(towards(30), abs=1e-3)


def test_recording_keeps_the_features_with_the_image_and_leaves_the_index_alone(
    asked: UUID, session: Session
) -> None:
    kept = session.scalars(select(ImageReading.embedding)).one()
    assert kept == pytest.approx(towards(0), abs=1e-3)
    assert session.scalars(select(ConfirmedCase)).all() == []


def test_a_signature_over_no_reading_takes_the_old_features_away(asked: UUID, blobs: Blobs) -> None:
    study = sign(a_study(blobs, 15, patient_id="p"))
    assert ids(asked) == [study]
    with transaction() as session:
        session.execute(update(Study).where(Study.id == study).values(screening_due=True))
        [again] = builders.claimed(session)
        builders.record(
            session,
            again,
            *(
                image_read(image.image_id, outcome=builders.Outcome.WITHHELD, reason="No chest.")
                for image in again.images
            ),
        )
    sign(study, say=Statement.PRESENT)
    assert ids(asked) == []


def test_a_signature_writes_a_row_and_the_sweep_takes_it_into_the_index(
    asked: UUID, blobs: Blobs, broker: str
) -> None:
    study = sign(a_study(blobs, 15, patient_id="p"), ago=timedelta(0))
    with transaction() as session:
        assert not session.get_one(ConfirmedCase, study).settled
        session.execute(update(Study).values(signed_at=Study.signed_at - timedelta(hours=1)))
    assert ids(asked) == []
    with transaction() as session:
        session.execute(update(ConfirmedCase).values(kept_at=ConfirmedCase.kept_at - timedelta(hours=1)))
    swept = Sweeper(settings(), blobs=blobs).sweep()
    assert swept.cases_settled == 1
    assert ids(asked) == [study]
    assert Sweeper(settings(), blobs=blobs).sweep().cases_settled == 0


def test_an_amendment_of_the_same_reading_leaves_the_index_alone(asked: UUID, blobs: Blobs) -> None:
    study = sign(a_study(blobs, 15, patient_id="p"))
    with transaction() as session:
        before = session.get_one(ConfirmedCase, study).kept_at
    sign(study, say=Statement.ABSENT)
    with transaction() as session:
        case = session.get_one(ConfirmedCase, study)
        assert case.settled
        assert case.kept_at == before - timedelta(hours=1), "moved by the test, not by the amendment"
