"""WADO-RS as PS3.18 10.4 has it."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.records import AuditEvent
from tests.app.web.instances import INSTANCE, an_instance, parts_of
from tests.app.web.test_stow import store
from tests.builders import a_png


def test_what_was_stored_under_a_hashed_uid_comes_back(archive: TestClient) -> None:
    uid = "dccc9599087131742838cc1162a630fea87ba9bf61ac09bfda90d4adfa5ddaed"
    data = an_instance(study_instance_uid=uid)
    assert store(archive, {}, data).status_code == 200
    answer = archive.get(f"/dicomweb/studies/{uid}", headers={"Accept": "multipart/related; type=*/*"})
    assert answer.status_code == 200
    [(_, body)] = parts_of(answer)
    assert body == data


def test_an_instance_comes_back_byte_for_byte(archive: TestClient) -> None:
    data = an_instance()
    store(archive, {}, data)
    answer = archive.get(INSTANCE, headers={"Accept": 'multipart/related; type="application/dicom"'})
    assert answer.status_code == 200
    [(head, body)] = parts_of(answer)
    assert body == data
    assert "application/dicom; transfer-syntax=1.2.840.10008.1.2.1" in head
    assert archive.get(INSTANCE, headers={"Accept": "application/dicom"}).content == data


def test_a_dataset_that_came_without_preamble_goes_out_as_part_10(archive: TestClient) -> None:
    whole = dcmread(io.BytesIO(an_instance(transfer_syntax=ImplicitVRLittleEndian)))
    bare = io.BytesIO()
    whole.save_as(bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
    body = bare.getvalue()
    body = body[body.index(b"\x08\x00\x05\x00") :] if body[128:132] == b"DICM" else body
    assert store(archive, {}, body).status_code == 200
    again = dcmread(io.BytesIO(archive.get(INSTANCE, headers={"Accept": "application/dicom"}).content))
    assert again.SOPInstanceUID == "1.1.1.1"
    assert np.array_equal(again.pixel_array, whole.pixel_array)


def test_a_study_and_a_series_come_as_one_part_for_each_instance(archive: TestClient) -> None:
    first = an_instance(patient_id="P1")
    second = an_instance(series_instance_uid="1.1.2", sop_instance_uid="1.1.2.1", patient_id="P1")
    store(archive, {}, first, second)
    assert {body for _, body in parts_of(archive.get("/dicomweb/studies/1.1"))} == {first, second}
    [(_, body)] = parts_of(archive.get("/dicomweb/studies/1.1/series/1.1.2"))
    assert body == second


def test_metadata_say_all_but_the_pixels(archive: TestClient) -> None:
    store(archive, {}, an_instance(patient_id="P9"))
    [model] = archive.get(f"{INSTANCE}/metadata").json()
    assert model["00100020"]["Value"] == ["P9"]
    address = model["7FE00010"]["BulkDataURI"]
    [(_, pixels)] = parts_of(archive.get(address))
    assert len(pixels) == 320 * 270 * 2
    assert len(archive.get("/dicomweb/studies/1.1/metadata").json()) == 1
    assert len(archive.get("/dicomweb/studies/1.1/series/1.1.1/metadata").json()) == 1


def test_frames_come_as_stored_or_uncompressed(archive: TestClient) -> None:
    data = an_instance(transfer_syntax=JPEG2000Lossless)
    store(archive, {}, data)
    [(head, stored)] = parts_of(archive.get(f"{INSTANCE}/frames/1"))
    assert "image/jp2" in head
    assert stored[:4] == b"\xff\x4f\xff\x51"
    accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1'
    [(head, plain)] = parts_of(archive.get(f"{INSTANCE}/frames/1", headers={"Accept": accept}))
    expected = dcmread(io.BytesIO(data)).pixel_array
    assert np.array_equal(np.frombuffer(plain, "<u2").reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("frames", "status"),
    [("0", 404), ("2", 404), ("1,2", 404), ("x", 400), ("-1", 400), ("9" * 30, 400), ("1,", 400)],
)
def test_frames_that_are_not_there(archive: TestClient, frames: str, status: int) -> None:
    store(archive, {}, an_instance())
    assert archive.get(f"{INSTANCE}/frames/{frames}").status_code == status


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90',
        "image/jpeg",
        'multipart/related; type="video/mp4"',
        "application/dicom;q=0",
    ],
)
def test_what_cannot_be_made_is_not_acceptable(archive: TestClient, accept: str) -> None:
    store(archive, {}, an_instance())
    answer = archive.get(INSTANCE, headers={"Accept": accept})
    assert answer.status_code == 406
    assert "multipart/related" in answer.json()["detail"]


def test_a_rendered_picture_is_a_jpeg_or_a_png_by_the_window_that_was_asked_for(archive: TestClient) -> None:
    store(archive, {}, an_instance())
    jpeg = archive.get(f"{INSTANCE}/rendered")
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert picture(jpeg.content).shape == (320, 270)
    png = archive.get(f"{INSTANCE}/rendered", headers={"Accept": "image/png"})
    assert png.headers["content-type"] == "image/png"
    dark = archive.get(f"{INSTANCE}/rendered?window=100000,10,linear", headers={"Accept": "image/png"})
    assert picture(dark.content).max() == 0 < picture(png.content).max()
    small = archive.get(f"{INSTANCE}/rendered?viewport=100,100")
    assert max(picture(small.content).shape) == 100
    assert max(picture(archive.get(f"{INSTANCE}/thumbnail").content).shape) == 256


def picture(data: bytes) -> Any:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert decoded is not None
    return decoded


@pytest.mark.parametrize(
    "query",
    [
        "window=1",
        "window=1,2,3,4",
        "window=1,0,linear",
        "window=1,-5,linear",
        "window=nan,2,linear",
        "window=1e300,2,linear",
        "window=1,2,cubic",
        "viewport=0,0",
        "viewport=5",
        "viewport=1,2,3,4,5,6",
        "viewport=99999999,1",
        "quality=0",
        "quality=high",
    ],
)
def test_a_picture_that_makes_no_sense_is_refused(archive: TestClient, query: str) -> None:
    store(archive, {}, an_instance())
    assert archive.get(f"{INSTANCE}/rendered?{query}").status_code in (400, 422)


def test_png_images_are_rendered_and_otherwise_not_acceptable(archive: TestClient) -> None:
    answer = archive.post("/api/v1/studies", files=[("files", ("a.png", a_png(), "image/png"))])
    study = archive.get(answer.json()["url"]).json()
    [image] = study["images"]
    address = (
        f"{study['dicomweb_url']}/series/{image['series_instance_uid']}/instances/{image['sop_instance_uid']}"
    )
    assert archive.get(f"{address}/rendered").headers["content-type"] == "image/jpeg"
    assert archive.get(address).status_code == 406
    assert "rendered" in archive.get(f"{address}/metadata").json()["detail"]


def test_what_is_not_there_is_not_found(archive: TestClient) -> None:
    for path in (
        "studies/9.9",
        "studies/9.9/metadata",
        "studies/9.9/series/1",
        INSTANCE.removeprefix("/dicomweb/"),
    ):
        answer = archive.get(f"/dicomweb/{path}")
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"


def test_an_address_without_uids_is_a_bad_request(archive: TestClient) -> None:
    assert archive.get("/dicomweb/studies/a%25b").status_code == 400
    assert archive.get("/dicomweb/studies/1.1/series/../metadata").status_code in (400, 404)


def test_one_look_at_a_study_is_one_row_of_the_audit(archive: TestClient, session: Session) -> None:
    store(archive, {}, an_instance())
    for path in (INSTANCE, f"{INSTANCE}/metadata", f"{INSTANCE}/frames/1", "/dicomweb/studies/1.1"):
        assert archive.get(path).status_code == 200
    rows = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.viewed")).all()
    assert [row.details for row in rows] == [{"via": "dicomweb"}]


@pytest.mark.parametrize(
    ("asked", "status", "kind"),
    [("bytes=x", 400, "bad-request"), ("bytes=99999999-", 416, "range-not-satisfiable")],
)
def test_a_range_that_cannot_be_sent_is_a_problem_document(
    archive: TestClient, asked: str, status: int, kind: str
) -> None:
    store(archive, {}, an_instance())
    [study] = archive.get("/api/v1/studies", params={"study_instance_uid": "1.1"}).json()["studies"]
    [image] = archive.get(f"/api/v1/studies/{study['id']}").json()["images"]
    for path in (
        f"{INSTANCE}/rendered",
        f"/api/v1/images/{image['id']}/preview",
        f"/api/v1/images/{image['id']}/pixels",
    ):
        answer = archive.get(path, headers={"Range": asked, "Accept-Encoding": "gzip"})
        assert answer.status_code == status, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"/problems/{kind}"
        size = int(archive.get(path).headers["content-length"])
        assert status == 400 or answer.headers["content-range"] == f"bytes */{size}"
        part = archive.get(path, headers={"Range": "bytes=0-9", "Accept-Encoding": "gzip"})
        assert (part.status_code, part.headers["content-length"]) == (206, "10")
