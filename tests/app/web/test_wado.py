"""WADO-RS as PS3.18 10.4 has it."""

from __future__ import annotations

import asyncio
import io
import os
import tracemalloc
from email import message_from_bytes
from importlib import import_module
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.records import AuditEvent, Image
from app.records.engine import transaction
from tests.app.web.test_stow import store
from tests.builders import a_dicom, a_png

INSTANCE = "/dicomweb/studies/1.1/series/1.1.1/instances/1.1.1.1"


def an_instance(**arguments: Any) -> bytes:
    return a_dicom(
        **{"study_instance_uid": "1.1", "series_instance_uid": "1.1.1", "sop_instance_uid": "1.1.1.1"}
        | arguments
    )


@pytest.fixture
def archive(client: TestClient, sender: dict[str, str]) -> TestClient:
    client.headers.update(sender)
    return client


def parts_of(answer: Any) -> list[tuple[str, bytes]]:
    kind = answer.headers["content-type"]
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + answer.content)
    boundary = message.get_boundary()
    assert boundary is not None
    found = []
    for part in answer.content.split(b"--" + boundary.encode())[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        found.append((head.decode().strip(), body[:-2]))
    return found


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


# One StudyInstanceUID, two patients


@pytest.fixture
def shared(archive: TestClient) -> dict[str, str]:
    """Study 1.1 of Ada and of Bo, with a series each; the ids of their studies by PatientID."""
    for number, patient in enumerate(("Ada", "Bo"), start=1):
        data = an_instance(
            patient_id=patient, series_instance_uid=f"1.1.{number}", sop_instance_uid=f"1.1.{number}.1"
        )
        assert store(archive, {}, data).status_code == 200
    studies = archive.get("/api/v1/studies", params={"study_instance_uid": "1.1"}).json()["studies"]
    return {study["patient"]["id"]: study["id"] for study in studies}


def patients_of(models: Any) -> list[str]:
    return [model["00100020"]["Value"][0] for model in models]


@pytest.mark.parametrize("path", ["", "/metadata", "/series", "/instances"])
def test_an_address_that_would_mix_two_patients_is_a_conflict_that_says_how_to_ask(
    archive: TestClient, shared: dict[str, str], path: str
) -> None:
    answer = archive.get(f"/dicomweb/studies/1.1{path}")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/shared-study-uid"
    assert "study_id" in problem["detail"]
    assert {study["id"] for study in problem["studies"]} == set(shared.values())
    assert "Ada" not in answer.text
    for study in problem["studies"]:
        assert archive.get(study["url"]).json()["id"] == study["id"]
        assert archive.get(study["retrieve"]).status_code == 200


def test_rest_and_stow_lead_to_the_study_that_is_meant(archive: TestClient, shared: dict[str, str]) -> None:
    for study_id in shared.values():
        address = archive.get(f"/api/v1/studies/{study_id}").json()["dicomweb_url"]
        assert address == f"/dicomweb/studies/1.1?study_id={study_id}"
        assert archive.get(address).status_code == 200
    for patient in ("Third", "Ada"):
        stored = archive.post(
            "/dicomweb/studies",
            content=a_dicom(study_instance_uid="1.1", patient_id=patient),
            headers={"Content-Type": "application/dicom"},
        ).json()
        instance = stored["00081199"]["Value"][0]["00081190"]["Value"][0]
        for address in (stored["00081190"]["Value"][0], instance):
            assert patients_of(archive.get(f"{address.replace('?', '/metadata?')}").json()) in (
                [patient],
                [patient] * 2,
            )


def test_study_id_says_whose_study_is_meant(archive: TestClient, shared: dict[str, str]) -> None:
    for patient, study_id in shared.items():
        asked = {"study_id": study_id}
        assert patients_of(archive.get("/dicomweb/studies/1.1/metadata", params=asked).json()) == [patient]
        [(_, body)] = parts_of(archive.get("/dicomweb/studies/1.1", params=asked))
        assert dcmread(io.BytesIO(body)).PatientID == patient
        assert len(archive.get("/dicomweb/studies/1.1/series", params=asked).json()) == 1
        assert len(archive.get("/dicomweb/studies/1.1/instances", params=asked).json()) == 1
    assert archive.get("/dicomweb/studies/1.1", params={"study_id": "x"}).status_code == 400


def test_a_search_lists_each_patients_study_and_leads_to_it(
    archive: TestClient, shared: dict[str, str]
) -> None:
    found = archive.get("/dicomweb/studies", params={"StudyInstanceUID": "1.1"}).json()
    assert sorted(patients_of(found)) == ["Ada", "Bo"]
    for level in ("studies", "series", "instances"):
        for model in archive.get(f"/dicomweb/{level}", params={"StudyInstanceUID": "1.1"}).json():
            address = model["00081190"]["Value"][0]
            assert address.endswith(f"?study_id={shared[patients_of([model])[0]]}")
            answer = archive.get(address)
            [(_, body)] = parts_of(answer)
            assert dcmread(io.BytesIO(body)).PatientID == patients_of([model])[0]


def test_a_series_or_instance_of_one_patient_is_found_under_a_shared_study_uid(
    archive: TestClient, shared: dict[str, str]
) -> None:
    [ada] = archive.get("/dicomweb/studies/1.1/series/1.1.1/metadata").json()
    assert patients_of([ada]) == ["Ada"]
    assert archive.get("/dicomweb/studies/1.1/series/1.1.2/instances/1.1.2.1/rendered").status_code == 200
    assert len(archive.get("/dicomweb/studies/1.1/series", params={"PatientID": "Bo"}).json()) == 1


def test_a_refused_mixture_is_no_look_at_a_study(
    archive: TestClient, shared: dict[str, str], session: Session
) -> None:
    assert archive.get("/dicomweb/studies/1.1").status_code == 409
    looks = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.viewed")).all()
    assert all(look.details["via"] == "api" for look in looks)  # those of the fixture


# Studies of many instances


def many(blobs: Blobs, count: int) -> None:
    """The one stored image once more `count` times: other UIDs and rows, the same bytes under other names."""
    with transaction() as session:
        stored = session.scalars(select(Image)).one()
        path = blobs.path(stored.sha256)
        columns = [column.name for column in Image.__table__.columns]
        new = {
            "id": "gen_random_uuid()",
            "sha256": "encode(sha256(number::text::bytea), 'hex')",
            "sop_instance_uid": "'1.1.1.' || number",
        }
        values = ", ".join(new.get(column, column) for column in columns)
        names = session.scalars(
            text(
                f"INSERT INTO images ({', '.join(columns)}) SELECT {values} FROM images,"
                f" generate_series(2, {count + 1}) AS number RETURNING sha256"
            )
        ).all()
    for name in names:
        link = blobs._path(name)
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, link)


def test_all_pages_of_a_large_study_are_sent_in_order_and_once(
    archive: TestClient, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(archive, {}, an_instance())
    many(blobs, 22)
    expected = {f"1.1.1.{number}" for number in range(2, 24)} | {"1.1.1.1"}
    for page in (1, 7, 23, 100):
        monkeypatch.setattr(import_module("app.web.dicomweb.wado"), "PAGE", page)
        assert len(archive.get("/dicomweb/studies/1.1/metadata").json()) == 23
        parts = parts_of(archive.get("/dicomweb/studies/1.1"))
        assert len(parts) == 23
        places = [head.partition("Content-Location: ")[2] for head, _ in parts]
        assert {place.rpartition("/")[2] for place in places} == expected
    xml = archive.get("/dicomweb/studies/1.1/metadata", headers={"Accept": "application/dicom+xml"})
    assert len(parts_of(xml)) == 23


def test_metadata_of_a_large_study_are_never_whole_in_memory(archive: TestClient, blobs: Blobs) -> None:
    words = "x" * 10_000
    store(archive, {}, an_instance(tags={"ImageComments": words}))
    many(blobs, 600)
    sent, largest, peak = drained(archive, "/dicomweb/studies/1.1/metadata")
    assert sent > 601 * len(words)
    assert largest < 5 * len(words)
    assert peak < sent / 2


def drained(archive: TestClient, path: str) -> tuple[int, int, int]:
    """Bytes sent, the largest piece of them, and the most memory held while they were sent and dropped."""
    sent, largest = 0, 0

    async def send(message: Any) -> None:
        nonlocal sent, largest
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            tracemalloc.reset_peak()
        body = message.get("body", b"")
        sent, largest = sent + len(body), max(largest, len(body))

    async def receive() -> Any:
        await asyncio.sleep(60)

    headers = [(name.lower().encode(), value.encode()) for name, value in archive.headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("firstread.test", 80),
        "client": ("127.0.0.1", 1),
        "headers": [*headers, (b"host", b"firstread.test")],
        "state": {},
    }
    tracemalloc.start()
    try:
        assert archive.portal is not None
        archive.portal.call(archive.app, scope, receive, send)
        return sent, largest, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


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
