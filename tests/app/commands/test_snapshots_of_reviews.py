"""Snapshots of what radiologists have signed: from the studies' rows to the manifest's lines."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import adjudication, review
from app.commands.review import Statement
from app.domain.roles import Actor, Role
from app.records import Image, LockedPatient, Study
from app.records.engine import transaction
from tests.app.commands.labelled import a_dataset, record_of, rows_of, taken
from tests.builders import (
    a_dicom,
    a_screened_study,
    a_signed_study,
    a_study_with_a_lateral,
    a_user,
    admit,
    an_admitted_study,
    revision_of,
    sign,
)


def reviewed(session: Session, blobs: Blobs, *datasets: UUID) -> list[dict[str, str]]:
    return rows_of(blobs, taken(session, blobs, *datasets, reviews=True))


def left_out(session: Session, blobs: Blobs) -> list[str]:
    seen = record_of(session, taken(session, blobs, reviews=True)).counts
    return list(seen["left_out"])


def reader(name: str) -> Actor:
    with transaction() as session:
        return a_user(session, name, Role.RADIOLOGIST)


def said(study_id: UUID, by: Actor, statement: Statement, *, undo: float = 0) -> None:
    with transaction() as session:
        review.sign(
            session,
            study_id=study_id,
            by=by,
            revision=revision_of(study_id),
            confirm=False,
            findings={"pneumonia": statement},
            undo=timedelta(seconds=undo),
        )


def test_a_confirmed_and_a_corrected_study_are_rows_with_reader_and_facts(
    database: str, blobs: Blobs
) -> None:
    confirmed = a_signed_study(blobs, patient_id="MRN-1", patient_age="003Y")
    corrected = a_signed_study(blobs, patient_id="MRN-2", say=Statement.ABSENT)
    with transaction() as session:
        rows = {row["study_id"]: row for row in reviewed(session, blobs)}
        image = session.scalars(select(Image).where(Image.study_id == confirmed)).one()
    row = rows[str(confirmed)]
    assert (row["label"], row["source"], row["patient_key"]) == ("pneumonia", "confirmed", "MRN-1")
    assert (row["path"], row["reviewer"], row["blind"]) == (image.sha256, "dr.lee", "0")
    assert (row["media_type"], row["age_years"], row["view"]) == ("application/dicom", "3", "AP")
    other = rows[str(corrected)]
    assert (other["label"], other["source"]) == ("NORMAL", "corrected")


def test_an_issuer_is_part_of_the_patients_key(database: str, blobs: Blobs) -> None:
    a_signed_study(blobs, patient_id="MRN-1", tags={"IssuerOfPatientID": "NORTH"})
    with transaction() as session:
        [row] = reviewed(session, blobs)
    assert row["patient_key"] == "NORTH|MRN-1"


def test_a_lateral_is_left_out(database: str, blobs: Blobs) -> None:
    frontal, _ = a_study_with_a_lateral(blobs)
    sign(frontal.study_id)
    with transaction() as session:
        [row] = reviewed(session, blobs)
        assert row["path"] == session.get_one(Image, frontal.image_id).sha256
        assert left_out(session, blobs) == [
            "Images of labelled studies that are no frontal chest, left out: 1."
        ]


def test_a_study_without_a_reading_is_taken_once_it_is_reviewed(database: str, blobs: Blobs) -> None:
    study = an_admitted_study(blobs, patient_id="UNREAD").study_id
    said(study, reader("dr.kim"), Statement.PRESENT)
    with transaction() as session:
        [row] = reviewed(session, blobs)
    assert (row["source"], row["blind"], row["label"]) == ("read", "1", "pneumonia")


def test_uncertain_samples_priors_and_what_can_be_undone_are_left_out_and_counted(
    database: str, blobs: Blobs
) -> None:
    kim = reader("dr.kim")
    a_signed_study(blobs, patient_id="TAKEN")
    a_signed_study(blobs, say=Statement.UNCERTAIN)
    sample, prior = a_signed_study(blobs), a_signed_study(blobs)
    said(a_screened_study(blobs).study_id, kim, Statement.PRESENT, undo=60)
    with transaction() as session:
        session.execute(update(Study).where(Study.id == sample).values(is_sample=True))
        session.execute(update(Study).where(Study.id == prior).values(purpose="prior"))
    with transaction() as session:
        [row] = reviewed(session, blobs)
        assert row["patient_key"] == "TAKEN"
        assert left_out(session, blobs) == [
            "Sample studies, left out: 1.",
            "Priors, left out: 1.",
            "Studies whose signature can still be undone, left out: 1.",
            "Studies of which their reader was uncertain, left out: 1.",
        ]


def test_a_dispute_is_left_out_until_it_is_adjudicated(database: str, blobs: Blobs) -> None:
    study = a_signed_study(blobs, patient_id="DISPUTED")
    a_signed_study(blobs, patient_id="CLEAR")
    said(study, reader("dr.kim"), Statement.ABSENT)
    with transaction() as session:
        assert [row["patient_key"] for row in reviewed(session, blobs)] == ["CLEAR"]
    third = reader("dr.roy")
    with transaction() as session:
        adjudication.adjudicate(
            session,
            study_id=study,
            by=third,
            revision=revision_of(study),
            findings={"pneumonia": Statement.ABSENT},
        )
    with transaction() as session:
        rows = {row["patient_key"]: row for row in reviewed(session, blobs)}
    assert (rows["DISPUTED"]["source"], rows["DISPUTED"]["label"]) == ("adjudicated", "NORMAL")


def test_a_header_that_was_replaced_is_left_out_and_its_newest_taken(database: str, blobs: Blobs) -> None:
    uids = {"study_instance_uid": "1.2.3.1", "series_instance_uid": "1.2.3.2", "sop_instance_uid": "1.2.3.3"}
    same = {**uids, "patient_id": "MRN-7", "seed": 7}
    study = a_signed_study(blobs, **same)
    with transaction() as session:
        newer = admit(session, blobs, a_dicom(**same, tags={"StudyDescription": "Another words"}))
    assert newer.study_id == study
    with transaction() as session:
        state = session.get_one(Study, study).state
        rows = reviewed(session, blobs) if state == "signed" else []
        assert state == "signed"
        assert [row["path"] for row in rows] == [session.get_one(Image, newer.image_id).sha256]


def test_a_dispute_across_a_corrected_header_is_left_out(database: str, blobs: Blobs) -> None:
    uids = {"study_instance_uid": "1.2.826.0.1.3680043.8.498.8", "sop_instance_uid": "1.2.826.0.1.3680043.9"}
    same = {**uids, "patient_id": "MRN-8", "seed": 8}
    study_id = a_signed_study(blobs, **same)
    an_admitted_study(blobs, **same, tags={"AccessionNumber": "A8"})
    said(study_id, reader("dr.kim"), Statement.ABSENT)
    undisputed = a_screened_study(blobs).study_id
    said(undisputed, reader("dr.roy"), Statement.PRESENT)
    with transaction() as session:
        assert [row["study_id"] for row in reviewed(session, blobs)] == [str(undisputed)]
        assert left_out(session, blobs) == [
            "Studies whose readers disagree, left out until one adjudicates: 1."
        ]


def test_assisted_verdicts_never_enter_the_locked_test(database: str, blobs: Blobs) -> None:
    for number in range(20):
        a_signed_study(blobs, patient_id=f"MRN-{number}")
    with transaction() as session:
        assert {row["split"] for row in reviewed(session, blobs)} <= {"train", "val"}
        assert session.scalar(select(LockedPatient)) is None


def test_an_assisted_verdict_on_a_locked_patient_is_left_out(database: str, blobs: Blobs) -> None:
    a_signed_study(blobs, patient_id="JUDGE")
    a_signed_study(blobs, patient_id="OTHER")
    with transaction() as session:
        files = [
            {"path": "judge.png", "patient_key": "JUDGE", "label": "PNEUMONIA", "split": "test"},
            {"path": "learns.png", "patient_key": "LEARNS", "split": "train"},
        ]
        snapshot = taken(session, blobs, a_dataset(session, files), reviews=True)
        rows = rows_of(blobs, snapshot)
        assert [(row["source"], row["split"]) for row in rows if row["patient_key"] == "JUDGE"] == [
            ("import", "test")
        ]
        assert record_of(session, snapshot).counts["left_out"] == [
            "Images of patients of the locked test whose reader had seen the network’s opinion, left out: 1."
        ]


def test_a_blind_read_counts_above_an_import_and_an_import_above_an_assisted_verdict(
    database: str, blobs: Blobs
) -> None:
    assisted = a_signed_study(blobs, patient_id="A")
    unread = an_admitted_study(blobs, patient_id="B").study_id
    said(unread, reader("dr.kim"), Statement.PRESENT)
    with transaction() as session:
        images = {image.study_id: image.sha256 for image in session.scalars(select(Image))}
        files = [
            {"path": "a.dcm", "patient_key": "A", "sha256": images[assisted], "label": "NORMAL"},
            {"path": "b.dcm", "patient_key": "B", "sha256": images[unread], "label": "NORMAL"},
        ]
        snapshot = taken(session, blobs, a_dataset(session, files), reviews=True)
        rows = {row["patient_key"]: row for row in rows_of(blobs, snapshot)}
        assert (rows["A"]["source"], rows["A"]["label"]) == ("import", "NORMAL")
        assert (rows["B"]["source"], rows["B"]["label"]) == ("read", "pneumonia")
        assert record_of(session, snapshot).counts["left_out"] == [
            "Labels that a stronger one of the same image overrules: 2."
        ]


def test_an_image_of_the_locked_test_that_comes_again_as_a_study_is_never_learnt_from(
    database: str, blobs: Blobs
) -> None:
    assisted = a_signed_study(blobs, patient_id="MRN-1")
    unread = an_admitted_study(blobs, patient_id="MRN-2").study_id
    said(unread, reader("dr.kim"), Statement.PRESENT)
    a_signed_study(blobs, patient_id="MRN-3")
    with transaction() as session:
        images = {image.study_id: image.sha256 for image in session.scalars(select(Image))}
        files = [
            {"path": f"{at}.dcm", "patient_key": f"child-{at}", "sha256": images[study], "split": "test"}
            for at, study in enumerate((assisted, unread))
        ]
        learns = {"path": "learns.png", "patient_key": "learns", "split": "train"}
        taken(session, blobs, a_dataset(session, [*files, learns]))
    with transaction() as session:
        rows = {row["patient_key"]: row["split"] for row in reviewed(session, blobs)}
        assert rows.pop("MRN-3") in ("train", "val")
        assert rows == {"child-1": "test"}
        locked = set(session.scalars(select(LockedPatient.patient_key)))
        assert locked == {"child-0", "child-1", "MRN-1", "MRN-2"}


def test_a_study_without_a_patient_is_of_nobody_else(database: str, blobs: Blobs) -> None:
    nameless = a_dicom(tags={"PatientID": None, "PatientName": None, "PatientBirthDate": None})
    named = a_dicom(tags={"PatientID": None, "PatientName": "DOE^JANE", "PatientBirthDate": "20200101"})
    with transaction() as session:
        studies = [admit(session, blobs, data).study_id for data in (nameless, named)]
    kim = reader("dr.kim")
    for study in studies:
        said(study, kim, Statement.ABSENT)
    with transaction() as session:
        keys = {row["study_id"]: row["patient_key"] for row in reviewed(session, blobs)}
    assert keys[str(studies[0])] == f"study|{studies[0]}"
    assert keys[str(studies[1])].startswith("unidentified|")
    assert "DOE" not in keys[str(studies[1])]
