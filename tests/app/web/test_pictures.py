"""Pictures that the server keeps decoded go with the image, on each machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import blob_removal, deletion
from app.commands.deletion_patient import PatientNamed
from app.domain.roles import SYSTEM
from app.errors import Unavailable
from app.records.engine import transaction
from app.web import parts
from app.web.main import create_app
from tests.builders import a_dicom, admit, an_admitted_study
from tests.served import eventually

PATIENT = PatientNamed(patient_id="GOES")


def delete(blobs: Blobs) -> None:
    with transaction() as session:
        found = deletion.look(session, blobs, patient=PATIENT, by=SYSTEM)
        deletion.delete_patient(
            session, blobs, patient=PATIENT, reason="Request 17", seen=found.seen, by=SYSTEM
        )


def files_of(home: Path, sha256: str) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if sha256 in path.name)


def test_no_picture_of_a_deleted_image_is_left_in_the_home(
    archive: TestClient, blobs: Blobs, home: Path
) -> None:
    with transaction() as session:
        gone = admit(session, blobs, a_dicom(patient_id="GOES"))
        stays = admit(session, blobs, a_dicom(patient_id="STAYS"))
    for image in (gone, stays):
        for picture in ("preview", "thumbnail", "pixels"):
            answer = archive.get(f"/api/v1/images/{image.image_id}/{picture}")
            assert answer.status_code == 200, picture
    assert len(files_of(home, gone.sha256)) > 4
    theirs = files_of(home, stays.sha256)
    os.utime(blobs.path(gone.sha256), (1, 1))
    delete(blobs)
    assert blob_removal.remove_due(blobs).removed == 1
    assert files_of(home, gone.sha256) == []
    assert files_of(home, stays.sha256) == theirs


def test_a_web_process_drops_pictures_that_no_image_names_when_it_starts_and_later(
    database: str, broker: str, blobs: Blobs, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine deleted the patient, or a process was killed while it wrote."""
    monkeypatch.setattr(parts, "_DROPPED_EVERY", 0.02)
    named = an_admitted_study(blobs).sha256
    folder = home / "cache" / "pictures"
    folder.mkdir(parents=True)
    stays = [folder / f"{named}.1.preview.jpeg", folder / "being-written-now"]
    gone = [folder / f"{'a' * 64}.1.samples.gz", folder / f"{'a' * 64}.1.frame3", folder / "half-written"]

    def put() -> None:
        for path in (*stays, *gone):
            path.write_bytes(b"pixels")
        os.utime(gone[-1], (1, 1))

    put()
    with TestClient(create_app()):
        eventually(lambda: not any(path.exists() for path in gone))
        put()
        eventually(lambda: not any(path.exists() for path in gone))
    assert all(path.exists() for path in stays)


def test_a_database_that_is_away_costs_no_picture_and_no_start(
    database: str, broker: str, blobs: Blobs, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "cache" / "pictures"
    folder.mkdir(parents=True)
    kept = folder / f"{'a' * 64}.1.preview.jpeg"
    kept.write_bytes(b"pixels")
    asked: list[object] = []

    def away(digests: object) -> set[str]:
        asked.append(digests)
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(parts, "images_among", away)
    monkeypatch.setattr(parts, "_DROPPED_EVERY", 0.02)
    with TestClient(create_app()):
        eventually(lambda: len(asked) > 2)
    assert kept.exists()
