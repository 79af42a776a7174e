"""A patient is deleted: nothing of them stays, nothing of others goes, and there is proof."""

from __future__ import annotations

import hashlib
import os
import re
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from app.blobs import Blobs
from app.commands import blob_removal, deidentified, deletion, delivery, review, snapshots
from app.commands.deletion import Deleted, Found
from app.commands.deletion_patient import PatientNamed
from app.commands.review import Statement
from app.domain import deleted_patient
from app.domain.marks import Mark, Shape
from app.domain.roles import SYSTEM, Actor, Role
from app.errors import Conflict, NotFound, Unprocessable
from app.queries import audit_chain
from app.records import (
    AuditEvent,
    Base,
    Deletion,
    Draft,
    Evaluation,
    IdentityConflict,
    Image,
    ImageReading,
    Job,
    LearnedPatient,
    LockedPatient,
    OcclusionMap,
    PlacedImage,
    Reading,
    Review,
    SecondOpinion,
    Shadow,
    ShadowReading,
    Snapshot,
    SnapshotExport,
    Study,
    Withdrawal,
)
from app.records.adjudication import Adjudication
from app.records.engine import transaction
from app.settings import settings
from tests.app.commands.candidates import an_active_bundle
from tests.app.commands.labelled import a_dataset, record_of, rows_of, taken
from tests.audited import seal_all
from tests.builders import (
    BUNDLE,
    a_bundle,
    a_dicom,
    a_signed_study,
    a_user,
    admit,
    claimed,
    image_read,
    record,
    revision_of,
)

MARKED = {
    "PatientName": "Namezqxmarked^Marked",
    "PatientID": "IDZQXMARKED-31415",
    "IssuerOfPatientID": "NORTHZQXMARKED",
    "PatientBirthDate": "20211103",
    "AccessionNumber": "ACCZQXMARKED-92",
    "StudyDescription": "DESCZQXMARKED chest",
    "PatientComments": "COMZQXMARKED lives alone",
}
PATIENT = PatientNamed(patient_id=MARKED["PatientID"], issuer=MARKED["IssuerOfPatientID"])
UID = "1.2.826.0.1.31415926.99"
SHARED = "1.2.826.0.1.99"
"""A StudyInstanceUID that another patient has too."""
_MARK = re.compile(rb"(?i)zqxmarked|20211103|2021-11-03|1\.2\.826\.0\.1\.31415926")
REFER = {
    "adjudications",
    "confirmed_cases",
    "deliveries",
    "drafts",
    "identity_conflicts",
    "image_readings",
    "images",
    "occlusion_maps",
    "readings",
    "reviews",
    "second_opinions",
    "shadow_readings",
    "withdrawals",
}
"""Tables whose rows are of a study: what deletes one knows them all."""


def look(blobs: Blobs, patient: PatientNamed = PATIENT) -> Found:
    with transaction() as session:
        return deletion.look(session, blobs, patient=patient, by=SYSTEM)


def delete(blobs: Blobs, patient: PatientNamed = PATIENT, *, reason: str = "Request 17 of 2026") -> Deleted:
    seen = look(blobs, patient).seen
    with transaction() as session:
        return deletion.delete_patient(session, blobs, patient=patient, reason=reason, seen=seen, by=SYSTEM)


def age(folder: Path, *, seconds: float = 3600.0) -> None:
    """Everything that is stored was stored so long ago."""
    moment = time.time() - seconds
    for path in (folder / "sha256").glob("*/*"):
        os.utime(path, (moment, moment))


def everything(database: str) -> bytes:
    """Every row of every table in words; bytes as they are besides."""
    with create_engine(database, poolclass=NullPool).connect() as connection:
        columns = connection.execute(
            text(
                "SELECT table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'public'"
            )
        ).all()
        assert len(columns) > 200
        found = []
        for table in sorted({row.table_name for row in columns}):
            rows = connection.execute(text(f'SELECT to_jsonb({table})::text FROM "{table}"')).scalars()
            found += [row.encode() for row in rows]
        for table, column, kind in columns:
            if kind == "bytea":
                rows = connection.execute(text(f'SELECT "{column}" FROM "{table}"')).scalars()
                found += [bytes(row) for row in rows if row is not None]
    return b"\n".join(found)


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def a_whole_story(blobs: Blobs) -> UUID:
    """A study of the marked patient with a row in every table that refers to one."""
    with transaction() as session:
        a_bundle(session)
        reader = a_user(session, "dr.lee", Role.RADIOLOGIST)
        other = a_user(session, "dr.okafor", Role.RADIOLOGIST)
        delivery.add_destination(session, name="ris", url="https://ris.example/in", by=SYSTEM)
        admitted = admit(session, blobs, a_dicom(tags=MARKED, study_instance_uid=UID))
        stranger = admit(session, blobs, a_dicom(patient_id="P-OTHER", study_instance_uid=SHARED))
        admit(session, blobs, a_dicom(tags=MARKED, study_instance_uid=SHARED))
    preview = blobs.put(b"a preview")
    with transaction() as session:
        for study in claimed(session):
            record(
                session,
                study,
                *(
                    image_read(image.image_id, preview_sha256=preview, embedding=(1.0,) + (0.0,) * 127)
                    for image in study.images
                ),
            )
    _signed(admitted.study_id, reader, marks=(_mark(admitted.image_id),))
    with transaction() as session:
        _more_rows(session, admitted.study_id, reader, other)
    assert stranger.created
    return admitted.study_id


def _mark(image: UUID) -> Mark:
    return Mark(image_id=image, finding="pneumonia", shape=Shape.BOX, x=1, y=1, width=50, height=50)


def _signed(study: UUID, reader: Actor, *, marks: tuple[Mark, ...] = ()) -> None:
    with transaction() as session:
        review.sign(
            session,
            study_id=study,
            by=reader,
            revision=revision_of(study),
            confirm=False,
            findings={"pneumonia": Statement.PRESENT},
            comment="WORDZQXMARKED spoke with her mother",
            marks=marks,
        )


def _more_rows(session: Any, study: UUID, reader: Actor, other: Actor) -> None:
    [reading] = session.scalars(select(Reading).where(Reading.study_id == study))
    [of_image] = session.scalars(select(ImageReading).where(ImageReading.reading_id == reading.id))
    [signed] = session.scalars(select(Review).where(Review.study_id == study))
    shadow = Shadow(bundle_sha256=BUNDLE, begun_by_name="ada")
    session.add(shadow)
    session.flush()
    session.add_all(
        [
            OcclusionMap(image_reading_id=of_image.id, finding="pneumonia", cells=[[1.0]], runtime="test"),
            SecondOpinion(
                study_id=study,
                asked_by=reader.id,
                asked_by_name=reader.name,
                asked_of=other.id,
                asked_of_name=other.name,
                question="QUESTIONZQXMARKED?",
            ),
            Draft(
                user_id=other.id,
                study_id=study,
                revision=1,
                findings={"pneumonia": "present"},
                comment="DRAFTZQXMARKED not signed",
                marks=[],
            ),
            Adjudication(review_id=signed.id, study_id=study, between=[str(signed.id)], by_a_party=False),
            Withdrawal(study_id=study, review_id=signed.id, withdrawn_by_name=reader.name),
            ShadowReading(
                shadow_id=shadow.id, reading_id=reading.id, outcome="screened", findings={}, runtime="test"
            ),
        ]
    )


def test_every_table_that_refers_to_studies_is_known_to_what_deletes_them() -> None:
    reached = {"studies"}
    while True:
        more = {
            table.name
            for table in Base.metadata.sorted_tables
            if any(key.column.table.name in reached for key in table.foreign_keys)
        } - reached
        if not more:
            break
        reached |= more
    assert reached - {"studies"} == REFER


def test_nothing_of_a_deleted_patient_is_in_any_table_or_stored_file_and_the_others_are_whole(
    database: str, blobs: Blobs
) -> None:
    a_whole_story(blobs)
    folder = settings().blob_folder
    with transaction() as session:
        mine = select(Study.id).where(Study.patient_id == MARKED["PatientID"])
        gone = session.scalars(select(Image.sha256).where(Image.study_id.in_(mine))).all()
        theirs = session.scalars(select(Image.sha256).where(Image.study_id.not_in(mine))).all()
        assert {
            table.name
            for table in Base.metadata.sorted_tables
            if session.execute(select(table).limit(1)).first()
        } >= REFER, "there was something to delete everywhere"
    assert _MARK.search(everything(database))
    age(folder)
    deleted = delete(blobs)
    removed = blob_removal.remove_due(blobs)
    assert not _MARK.search(everything(database))
    assert not any(_MARK.search(data) for data in stored(folder).values())
    assert not set(gone) & stored(folder).keys()
    assert (removed.removed, removed.named) == (2, 1), "the preview is another patient's too"
    assert set(theirs) <= stored(folder).keys()
    assert (deleted.studies, deleted.images) == (2, 2)
    with transaction() as session:
        assert session.scalars(select(Study.patient_id)).all() == ["P-OTHER"]
        assert session.scalars(select(IdentityConflict)).all() == []


def test_the_proof_says_who_why_and_which_files_and_the_trail_is_whole(database: str, blobs: Blobs) -> None:
    data = a_dicom(tags=MARKED)
    with transaction() as session:
        admitted = admit(session, blobs, data)
    seal_all()
    deleted = delete(blobs)
    seal_all()
    with transaction() as session:
        assert audit_chain.verify(session).findings == []
        [event] = session.scalars(select(AuditEvent).where(AuditEvent.action == "patient.deleted"))
        [proof] = session.scalars(select(Deletion))
        [last] = session.scalars(
            select(AuditEvent).where(
                AuditEvent.study_id == admitted.study_id, AuditEvent.action == "study.deleted"
            )
        )
    assert proof.images == [hashlib.sha256(data).hexdigest()]
    assert event.details["images_sha256"] == hashlib.sha256(f"{proof.images[0]}\n".encode()).hexdigest()
    assert (event.details["reason"], event.details["studies"], event.subject_id) == (
        "Request 17 of 2026",
        1,
        str(deleted.id),
    )
    assert last.subject_id == str(deleted.id)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM readings",
        "UPDATE reviews SET comment = ''",
        "DELETE FROM deletions",
        "SET LOCAL firstread.deleting = 'on'; DELETE FROM audit_events",
        "SET LOCAL firstread.deleting = 'on'; DELETE FROM deletions",
        "SET LOCAL firstread.deleting = 'on'; DELETE FROM promotions",
        "SET LOCAL firstread.deleting = 'on'; TRUNCATE readings CASCADE",
    ],
)
def test_only_a_deletion_changes_what_is_append_only_and_never_the_proof(
    database: str, statement: str
) -> None:
    with pytest.raises(IntegrityError, match="append-only"), transaction() as session:
        for part in statement.split(";"):
            session.execute(text(part))


def test_the_same_bytes_are_taken_again_as_a_new_study(database: str, blobs: Blobs) -> None:
    data = a_dicom(tags=MARKED)
    with transaction() as session:
        before = admit(session, blobs, data)
    age(settings().blob_folder)
    delete(blobs)
    with transaction() as session:
        again = admit(session, blobs, data)
    assert again.created
    assert again.study_id != before.study_id
    assert blob_removal.remove_due(blobs).named == 1
    assert blobs.read(again.sha256) == data


def test_a_study_that_somebody_holds_or_the_network_reads_is_not_deleted(database: str, blobs: Blobs) -> None:
    study = a_signed_study(blobs, tags=MARKED)
    with transaction() as session:
        session.execute(text("UPDATE studies SET screening_due = true"))
        claimed(session)
    with pytest.raises(Conflict, match=r"The network reads one of the studies"):
        delete(blobs)
    with transaction() as session:
        session.execute(
            text(
                "UPDATE studies SET screening_lease = NULL, screening_lease_expires_at = NULL,"
                " state = 'signed'"
            )
        )
        user = a_user(session, "dr.okafor", Role.RADIOLOGIST)
        session.execute(
            text(
                "UPDATE studies SET state = 'claimed', claimed_by_name = 'dr.okafor', claimed_at = now(),"
                " claim_expires_at = now(), state_before_claim = 'screened', claimed_by = :id"
            ),
            {"id": user.id},
        )
    with pytest.raises(Conflict, match=r"^dr\.okafor holds one of the studies"):
        delete(blobs)
    with transaction() as session:
        assert session.get(Study, study) is not None


def test_a_study_that_a_transaction_holds_is_refused_in_seconds_and_not_waited_for(
    database: str, blobs: Blobs
) -> None:
    a_signed_study(blobs, tags=MARKED)
    seen = look(blobs).seen
    with transaction() as other, transaction() as session:
        other.execute(text("SELECT FROM studies FOR UPDATE"))
        with pytest.raises(Conflict, match=r"is at work on one of the studies at this moment"):
            deletion.delete_patient(
                session, blobs, patient=PATIENT, reason="Request 17", seen=seen, by=SYSTEM
            )
        session.rollback()


def test_what_arrived_since_somebody_looked_is_not_deleted_unseen(database: str, blobs: Blobs) -> None:
    with transaction() as session:
        admit(session, blobs, a_dicom(tags=MARKED))
    seen = look(blobs).seen
    with transaction() as session:
        admit(session, blobs, a_dicom(tags=MARKED))
    with pytest.raises(Conflict, match=r"has changed since you looked"), transaction() as session:
        deletion.delete_patient(session, blobs, patient=PATIENT, reason="Request 17", seen=seen, by=SYSTEM)


@pytest.mark.parametrize("reason", ["", " ", "x" * 301, "of Namezqxmarked", "idzqxmarked-31415", "one\ntwo"])
def test_a_deletion_needs_a_reason_and_one_that_names_no_patient(
    reason: str, database: str, blobs: Blobs
) -> None:
    with transaction() as session:
        admit(session, blobs, a_dicom(tags=MARKED))
    with pytest.raises(Unprocessable, match=r"reason"):
        delete(blobs, reason=reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Müller^Zoë", "Mueller asked"),
        ("Müller^Zoë", "Mu\u0308ller asked"),
        ("Müller^Zoë", "for ZOE"),
        ("Mueller^Zoe", "Müller asked"),
        ("O\u2019Brien^Ann", "O'Brien asked"),
        ("O'Brien^Ann", "asked by OBrien"),
        ("Garcia-Lopez^X", "Garcia Lopez asked"),
        ("Garcia-Lopez^X", "Lopez, asked"),
        ("Garcia^Will", "We told Will of it"),
        ("Wang^XiaoDong=王^小东", "王小东的要求"),
        ("Other^Name", "born 3.11.2021"),
        ("Other^Name", "born 2021-11-03"),
        ("Other^Name", "born 11/03/21"),
        ("Other^Name", "born 20211103, so"),
        ("Other^Name", "of idzqxmarked 31415"),
    ],
)
def test_a_reason_names_the_patient_however_it_is_spelt(name: str, reason: str) -> None:
    assert _is_named(name, reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Garcia^Will", "The patient will not have it"),
        ("Garcia^Will", "Will not have it kept"),
        ("Ester^Rea", "Request 17 of 2026, reason: not needed"),
        ("Li^An", "An error; listed twice"),
        ("Other^Name^^Dr", "Request of 2026-11-04"),
    ],
)
def test_a_reason_that_only_looks_like_the_name_is_taken(name: str, reason: str) -> None:
    assert not _is_named(name, reason)


def _is_named(name: str, reason: str) -> bool:
    numbers = (MARKED["PatientID"], "", "1.2.3")
    return deleted_patient.is_named_in(reason, name=name, numbers=numbers, born=date(2021, 11, 3))


def test_what_is_on_its_way_to_another_system_is_waited_for_and_then_counted(
    database: str, blobs: Blobs
) -> None:
    with transaction() as session:
        delivery.add_destination(session, name="ris", url="https://ris.example/in", by=SYSTEM)
    a_signed_study(blobs, tags=MARKED)
    with transaction() as session:
        session.execute(text("UPDATE deliveries SET not_before = now()"))
        never = look(blobs).counts
        assert (never.pending > 0, never.uncertain) == (True, 0)
        sent = delivery.claim_next(session, lease=timedelta(minutes=5))
        assert sent is not None
    with pytest.raises(Conflict, match=r"on its way to another system at this moment"):
        delete(blobs)
    with transaction() as session:
        delivery.refused(
            session, delivery_id=sent.delivery_id, error="No answer.", attempts=8, backoff=timedelta(hours=1)
        )
    counts = look(blobs).counts
    assert (counts.pending, counts.uncertain) == (never.pending - 1, 1)
    with transaction() as session:
        session.execute(text("UPDATE deliveries SET not_before = now() WHERE last_error IS NOT NULL"))
        session.execute(text("UPDATE deliveries SET state = 'withdrawn' WHERE last_error IS NULL"))
        assert delivery.claim_next(session, lease=timedelta(minutes=5)) is not None
    with pytest.raises(Conflict, match=r"on its way to another system at this moment"):
        delete(blobs)
    with transaction() as session:
        session.execute(text("UPDATE deliveries SET not_before = now()"))  # the sender died
    delete(blobs)


def test_a_dataset_that_has_the_number_of_the_patient_is_left_alone(database: str, blobs: Blobs) -> None:
    """It may be another hospital's: the number alone says nothing."""
    with transaction() as session:
        brought = a_dataset(
            session, [{"patient_key": "7", "split": "train"}, {"patient_key": "8", "split": "train"}]
        )
        snapshot = taken(session, blobs, brought)
        admit(session, blobs, a_dicom(tags={"PatientID": "7", "IssuerOfPatientID": "NORTH"}))
        placed = set(session.scalars(select(PlacedImage.patient_key)))
        assert "7" in placed
    found = look(blobs, PatientNamed(patient_id="7"))
    assert (found.snapshots, found.keeps_place, found.dataset_files) == (0, False, 1)
    delete(blobs, PatientNamed(patient_id="7"))
    with transaction() as session:
        assert record_of(session, snapshot).sha256 == snapshot.sha256
        assert set(session.scalars(select(PlacedImage.patient_key))) == placed


def test_one_patient_is_named_and_no_other_goes_with_them(database: str, blobs: Blobs) -> None:
    number = {"PatientID": "7"}
    with transaction() as session:
        for issuer in ("NORTH", "SOUTH"):
            admit(session, blobs, a_dicom(tags=number | {"IssuerOfPatientID": issuer}))
    with pytest.raises(Unprocessable, match=r"from several issuers"):
        look(blobs, PatientNamed(patient_id="7"))
    with pytest.raises(NotFound):
        look(blobs, PatientNamed(patient_id="7", issuer=""))
    found = look(blobs, PatientNamed(patient_id="7", issuer="NORTH"))
    assert (found.counts.studies, found.others_of_the_number) == (1, 1)
    delete(blobs, PatientNamed(patient_id="7", issuer="NORTH"))
    with transaction() as session:
        assert session.scalars(select(Study.issuer_of_patient_id)).all() == ["SOUTH"]


def a_snapshot_with_the_patient(blobs: Blobs) -> tuple[UUID, snapshots.Taken]:
    """The marked patient, and so many others that a snapshot of them is one."""
    study = a_signed_study(blobs, tags=MARKED)
    others = [a_signed_study(blobs, patient_id=f"P{at}") for at in range(3)]
    assert others
    with transaction() as session:
        return study, taken(session, blobs, reviews=True)


def test_a_snapshot_loses_the_patients_images_and_says_so_and_their_place_stays(
    database: str, blobs: Blobs
) -> None:
    study, snapshot = a_snapshot_with_the_patient(blobs)
    with transaction() as session:
        [sha256] = session.scalars(select(Image.sha256).where(Image.study_id == study))
        place = {row["study_id"]: row["split"] for row in rows_of(blobs, snapshot)}[str(study)]
        export, _ = deidentified.ask(
            session, snapshot_id=snapshot.id, dates="removed", burned_in="left-out", by=SYSTEM
        )
        zipped = blobs.put(b"a zip with the patient's image")
        session.execute(
            text("UPDATE snapshot_exports SET sha256 = :zip, byte_size = 1, images = 1"), {"zip": zipped}
        )
        active = an_active_bundle(session, blobs)
        picture = blobs.put(b"a picture of the patient")
        session.add(
            Evaluation(
                snapshot_id=snapshot.id,
                test_sha256="e" * 64,
                candidate_sha256=active,
                active_sha256=active,
                asked_by_name="ada",
                outcome={
                    "detail": {
                        "mistakes": [{"sha256": sha256, "picture_sha256": picture}, {"sha256": "f" * 64}]
                    }
                },
                gate=[],
                may_be_promoted=False,
            )
        )
    found = look(blobs)
    assert (found.snapshots, found.snapshot_images, found.keeps_place) == (1, 1, True)
    age(settings().blob_folder)
    delete(blobs)
    blob_removal.remove_due(blobs)
    assert not _MARK.search(everything(database))
    assert not any(_MARK.search(data) for data in stored(settings().blob_folder).values())
    assert not {sha256, snapshot.sha256, zipped, picture} & stored(settings().blob_folder).keys()
    with transaction() as session:
        row = record_of(session, snapshot)
        assert (row.images, row.counts["deleted"]) == (3, 1)
        assert row.counts["left_out"][-1] == "Images of deleted patients that are in it no more: 1."
        rows = rows_of(blobs, snapshots.Taken(id=row.id, sha256=row.sha256, created=True))
        assert {one["patient_key"] for one in rows} == {"P0", "P1", "P2"}
        assert session.get(SnapshotExport, export) is None
        [evaluation] = session.scalars(select(Evaluation))
        assert evaluation.outcome == {"detail": {"mistakes": [{"sha256": "f" * 64}]}}
    _is_known_again(blobs, place)


def _is_known_again(blobs: Blobs, place: str) -> None:
    """A new study of the patient, with or without the issuer, has the place the old one had."""
    other = MARKED | {"IssuerOfPatientID": ""}
    for tags in (MARKED, other):
        study = a_signed_study(blobs, tags=tags)
        with transaction() as session:
            again = taken(session, blobs, reviews=True, name="Again")
            rows = {row["study_id"]: row for row in rows_of(blobs, again)}
        assert rows[str(study)]["split"] == place
        assert rows[str(study)]["patient_key"].startswith("deleted|")


def test_whoever_judged_never_teaches_after_a_deletion(database: str, blobs: Blobs) -> None:
    with transaction() as session:
        a_dataset_id = a_dataset(
            session, [{"patient_key": "JUDGE-1", "split": "test"}, {"patient_key": "L", "split": "train"}]
        )
        taken(session, blobs, a_dataset_id)
        session.execute(text("DELETE FROM dataset_files WHERE patient_key = 'JUDGE-1'"))
    a_signed_study(blobs, patient_id="JUDGE-1")
    delete(blobs, PatientNamed(patient_id="JUDGE-1"))
    with transaction() as session:
        [name] = session.scalars(select(LockedPatient.patient_key))
    assert name.startswith("deleted|")
    a_signed_study(blobs, patient_id="JUDGE-1")
    with transaction() as session:
        brought = a_dataset(
            session, [{"patient_key": "JUDGE-1", "split": "train", "path": "new.png"}], name="New"
        )
        again = taken(session, blobs, brought, reviews=True, name="Again")
        splits = {row["split"] for row in rows_of(blobs, again)}
        taught = set(session.scalars(select(LearnedPatient.patient_key)))
    assert splits == {"test"}
    assert taught == {"L"}


def test_a_snapshot_that_a_worker_is_at_is_waited_for(database: str, blobs: Blobs) -> None:
    _, snapshot = a_snapshot_with_the_patient(blobs)
    with transaction() as session:
        _, job = deidentified.ask(
            session, snapshot_id=snapshot.id, dates="removed", burned_in="left-out", by=SYSTEM
        )
        session.execute(
            text(
                "UPDATE jobs SET state = 'running', worker = 'w', lease_expires_at = now(), begun_at = now()"
            )
        )
    with pytest.raises(Conflict, match=r"The training worker is at work on a snapshot"):
        delete(blobs)
    with transaction() as session:
        assert session.get_one(Snapshot, snapshot.id).sha256 == snapshot.sha256
        assert session.get(Job, job) is not None


def test_bytes_that_a_dataset_names_too_stay(database: str, blobs: Blobs) -> None:
    with transaction() as session:
        admitted = admit(session, blobs, a_dicom(tags=MARKED))
        a_dataset(session, [{"sha256": admitted.sha256}])
    assert look(blobs).dataset_files == 1
    age(settings().blob_folder)
    delete(blobs)
    assert blob_removal.remove_due(blobs).removed == 0
    assert blobs.has(admitted.sha256)


def test_deleted_studies_that_a_restore_brought_back_go_again_by_their_ids(
    database: str, blobs: Blobs
) -> None:
    with transaction() as session:
        admitted = admit(session, blobs, a_dicom(tags=MARKED))
        stays = admit(session, blobs, a_dicom())
    ids = [admitted.study_id, UUID(int=1)]
    for gone in (1, None):
        with transaction() as session:
            found = deletion.delete_again(
                session,
                blobs,
                ids=ids,
                kind="patient",
                reason="Request 17 of 2026",
                was=UUID(int=2),
                by=SYSTEM,
            )
        assert (found and found.studies) == gone
    with transaction() as session:
        assert session.scalars(select(Study.id)).all() == [stays.study_id]
