"""An export without patients: asked for, made by the child, searched for everything that named anybody."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from sqlalchemy import select

from app.blobs import Blobs
from app.commands import deidentified
from app.dicom.write import wrap
from app.domain.roles import SYSTEM
from app.errors import NotFound, Unprocessable
from app.records import AuditEvent, Job, SiteChoice, SnapshotExport
from app.records.engine import transaction
from tests.app.commands.labelled import a_dataset, taken
from tests.app.dicom.planted import PLANTED, STUDY_DATE, a_chest, a_name_in_the_white, planted
from worker.learning.kinds import KINDS

KEY = "PID-774411"


def a_snapshot_of_named_files(blobs: Blobs) -> UUID:
    """Two DICOM files of one patient, a JPEG with a comment, one that says it has letters, one with letters,
    one whose letters are white in white as displayed, and one that is broken.
    """
    grey = (a_chest(1200, 1000) / 16).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", grey)[1].tobytes()
    lettered = grey.copy()
    cv2.putText(lettered, "OBERHUBER ANNA 17.03.2021", (60, 1100), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    files = {
        "one.dcm": planted(),
        "two.dcm": planted(tags={"SOPInstanceUID": "1.2.276.0.7230010.3.1.4.774411.1.7"}),
        "says.dcm": planted(tags={"SOPInstanceUID": "1.2.276.7", "BurnedInAnnotation": "YES"}),
        "white.dcm": wrap(
            a_name_in_the_white(), bits_stored=12, tags={"WindowCenter": 1750, "WindowWidth": 3500}
        ),
        "OBERHUBER.jpg": jpeg[:2] + b"\xff\xfe" + (11).to_bytes(2, "big") + b"OBERHUBER" + jpeg[2:],
        "lettered.png": cv2.imencode(".png", lettered)[1].tobytes(),
        "broken.dcm": planted()[:900],
    }
    with transaction() as session:
        dataset = a_dataset(
            session,
            [
                {"path": path, "sha256": blobs.put(data), "patient_key": KEY, "split": split}
                for (path, data), split in zip(files.items(), ["test"] * 7, strict=True)
            ],
        )
        return taken(session, blobs, dataset).id


def asked(snapshot: UUID, **options: str) -> UUID:
    with transaction() as session:
        how = {"dates": "removed", "burned_in": "left-out"} | options
        return deidentified.ask(session, snapshot_id=snapshot, by=SYSTEM, **how)[0]


def made(export: UUID, blobs: Blobs, folder: Path) -> zipfile.ZipFile:
    """The export as the training worker makes it: order, child, record."""
    folder.mkdir()
    with transaction() as session:
        order = deidentified.order(session, blobs=blobs, subject_id=export, folder=folder)
    child = subprocess.run(
        [sys.executable, "-P", "-m", "worker.learning.child"],
        input=json.dumps(order | {"run": KINDS["deidentify"][1], "folder": str(folder), "attempt": 1}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    said: list[dict[str, Any]] = [json.loads(line) for line in child.stdout.splitlines()]
    assert said[-2]["progress"]["done"] == said[-2]["progress"]["of"] == 7
    with transaction() as session:
        deidentified.record(session, blobs=blobs, subject_id=export, answer=said[-1]["answer"])
        found = session.get_one(SnapshotExport, export)
        assert found.sha256 is not None
        return zipfile.ZipFile(io.BytesIO(blobs.read(found.sha256)))


def everything_in(archive: zipfile.ZipFile) -> bytes:
    return b"\n".join(
        [*(name.encode() for name in archive.namelist()), *map(archive.read, archive.namelist())]
    )


def test_nothing_in_the_whole_export_names_anybody(database: str, blobs: Blobs, tmp_path: Path) -> None:
    export = asked(a_snapshot_of_named_files(blobs))
    archive = made(export, blobs, tmp_path / "job")
    whole = everything_in(archive)
    assert [word for word in (*PLANTED, KEY, STUDY_DATE) if word.lower().encode() in whole.lower()] == []
    rows = list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode())))
    assert sorted(Path(row["path"]).suffix for row in rows) == [".dcm", ".dcm", ".png"]
    assert len({row["patient_key"] for row in rows}) == 1
    first = dcmread(io.BytesIO(archive.read(next(row["path"] for row in rows if "dcm" in row["path"]))))
    assert first.PatientID == rows[0]["patient_key"]
    with transaction() as session:
        found = session.get_one(SnapshotExport, export)
        assert found.images == 3
        assert found.left_out == [
            "Images in which letters are burned, or seem to be, left out: 3.",
            "Images that could not be read, left out: 1.",
        ]
        asked_for = session.scalars(
            select(AuditEvent).where(AuditEvent.action == "snapshot.export-asked")
        ).one()
        assert asked_for.details["images"] == 7


def test_letters_are_painted_over_where_asked(database: str, blobs: Blobs, tmp_path: Path) -> None:
    archive = made(asked(a_snapshot_of_named_files(blobs), burned_in="masked"), blobs, tmp_path / "job")
    pictures = [
        cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
        for name in archive.namelist()
        if name.endswith(".png")
    ]
    assert len(pictures) == 2
    assert max(int(picture[1085:1095, 60:400].max()) == 0 for picture in pictures)


def test_two_exports_of_a_site_name_a_patient_alike(database: str, blobs: Blobs, tmp_path: Path) -> None:
    snapshot = a_snapshot_of_named_files(blobs)
    one = made(asked(snapshot), blobs, tmp_path / "one")
    other = made(asked(snapshot), blobs, tmp_path / "other")
    assert one.read("manifest.csv") == other.read("manifest.csv")
    with transaction() as session:
        secret = session.scalars(select(SiteChoice.value).where(SiteChoice.name == "pseudonym_key")).one()
        audited = [str(event.details) for event in session.scalars(select(AuditEvent))]
        kept = [str(job.progress) + str(job.told) for job in session.scalars(select(Job))]
    assert len(secret) == 64
    assert not any(secret in text for text in [*audited, *kept])
    assert secret.encode() not in everything_in(one)


def test_what_is_no_option_and_what_is_not_made_are_refused(database: str, blobs: Blobs) -> None:
    snapshot = a_snapshot_of_named_files(blobs)
    with pytest.raises(Unprocessable):
        asked(snapshot, dates="kept")
    with pytest.raises(NotFound):
        asked(UUID(int=0))
    export = asked(snapshot)
    with transaction() as session, pytest.raises(NotFound):
        deidentified.fetch(session, snapshot_id=snapshot, export_id=export, by=SYSTEM)
