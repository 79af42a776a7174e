"""Sending radiographs over REST."""

from __future__ import annotations

import hashlib
import resource
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.domain.roles import Role, Scope
from app.records import AuditEvent, Image, Study
from app.settings import settings
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import a_dicom, a_png

Files = list[tuple[str, tuple[str, bytes, str]]]


def files(*contents: bytes) -> Files:
    return [
        ("files", (f"image{number}.dcm", data, "application/octet-stream"))
        for number, data in enumerate(contents, start=1)
    ]


def post(client: TestClient, headers: dict[str, str], *contents: bytes, **fields: str) -> Any:
    return client.post("/api/v1/studies", files=files(*contents), data=fields, headers=headers)


def test_a_dicom_file_makes_a_study_and_its_bytes_are_kept(
    client: TestClient, sender: dict[str, str], blobs: Blobs
) -> None:
    data = a_dicom(patient_id="P1")
    answer = post(client, sender, data)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body["files"][0]["outcome"] == "admitted"
    assert blobs.read(hashlib.sha256(data).hexdigest()) == data
    study = client.get(body["url"], headers=sender).json()
    assert study["patient"]["id"] == "P1"
    assert study["state"] == "admitted"
    assert study["images"][0]["id"] == body["files"][0]["image"]


def test_the_same_bytes_again_create_nothing(
    client: TestClient, sender: dict[str, str], session: Session
) -> None:
    data = a_dicom()
    first = post(client, sender, data).json()
    again = post(client, sender, data)
    assert again.status_code == 202
    assert again.json()["id"] == first["id"]
    assert again.json()["files"][0]["outcome"] == "duplicate"
    assert session.scalar(select(func.count()).select_from(Image)) == 1


def test_one_bad_file_among_good_ones_is_refused_alone(client: TestClient, sender: dict[str, str]) -> None:
    answer = post(client, sender, a_dicom(), b"<html>not an image</html>", a_png())
    assert answer.status_code == 202
    outcomes = [file["outcome"] for file in answer.json()["files"]]
    assert outcomes == ["admitted", "refused", "admitted"]
    assert answer.json()["files"][1]["problem"]["type"].startswith("/problems/")
    assert len(answer.json()["studies"]) == 2


def test_a_single_bad_file_is_answered_with_its_problem_and_leaves_only_an_audit_row(
    client: TestClient, sender: dict[str, str], session: Session
) -> None:
    answer = post(client, sender, b"<html>not an image</html>")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/not-an-image"
    assert session.scalar(select(func.count()).select_from(Study)) == 0
    rows = session.scalars(select(AuditEvent).where(AuditEvent.action == "refused")).all()
    assert [row.details["reason"] for row in rows] == ["not-an-image"]
    assert rows[0].actor_name == "key 1"
    assert not list((settings().blob_folder / "incoming").iterdir())


def test_when_all_files_are_bad_each_has_its_problem(client: TestClient, sender: dict[str, str]) -> None:
    answer = post(client, sender, b"<html></html>", b"")
    assert answer.status_code == 422
    assert [file["problem"]["type"] for file in answer.json()["files"]] == [
        "/problems/not-an-image",
        "/problems/unreadable-file",
    ]


def test_metadata_of_a_png_comes_from_the_form(client: TestClient, sender: dict[str, str]) -> None:
    answer = post(
        client,
        sender,
        a_png(bits=16),
        patient_id="P7",
        patient_name="Kind^Ein",
        accession_number="ACC",
        age="18M",
        sex="f",
        view="ap",
        priority="stat",
    )
    study = client.get(answer.json()["url"], headers=sender).json()
    assert study["patient"] == {
        "id": "P7",
        "issuer": "",
        "name": "Kind^Ein",
        "birth_date": None,
        "sex": "F",
        "age_years": 1.5,
    }
    assert (study["accession_number"], study["priority"]) == ("ACC", "stat")
    assert study["images"][0]["view_position"] == "AP"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("age", "old"),
        ("age", "400Y"),
        ("sex", "neither"),
        ("priority", "soon"),
        ("purpose", "future"),
        ("view", "A" * 17),
        ("patient_id", "x" * 65),
        ("patient_id", "a\x01b"),
        ("colour", "red"),
    ],
)
def test_metadata_that_is_not_right_is_refused_in_words(
    client: TestClient, sender: dict[str, str], field: str, value: str
) -> None:
    answer = post(client, sender, a_png(), **{field: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == field
    assert value not in answer.text or field == "colour"


def test_a_nul_in_a_field_is_a_bad_request(client: TestClient, sender: dict[str, str]) -> None:
    assert post(client, sender, a_png(), patient_id="a\0b").status_code == 400


def test_a_body_of_another_kind_is_refused(client: TestClient, sender: dict[str, str]) -> None:
    answer = client.post(
        "/api/v1/studies", content=a_dicom(), headers=sender | {"Content-Type": "application/dicom"}
    )
    assert answer.status_code == 415
    assert client.post("/api/v1/studies", data={"age": "3"}, headers=sender).status_code == 415


def test_a_multipart_that_is_cut_off_admits_nothing(
    client: TestClient, sender: dict[str, str], session: Session
) -> None:
    whole = client.build_request("POST", "/api/v1/studies", files=files(a_dicom()), headers=sender)
    body = whole.read()
    for end in (0, 10, 100, len(body) // 2, len(body) - 10):
        answer = client.post(
            "/api/v1/studies",
            content=body[:end],
            headers=sender | {"Content-Type": whole.headers["content-type"]},
        )
        assert answer.status_code == 400, (end, answer.text)
    assert session.scalar(select(func.count()).select_from(Study)) == 0
    assert not list((settings().blob_folder / "incoming").iterdir())


def test_a_form_of_more_fields_than_any_has_is_refused(
    client: TestClient, sender: dict[str, str], session: Session
) -> None:
    field = b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n' + b"y" * 16_000 + b"\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    body = b"".join(field % number for number in range(65)) + b"--x--\r\n"
    answer = client.post("/api/v1/studies", content=body, headers=sender | kind)
    assert answer.status_code == 413
    assert answer.json()["detail"] == "A form may have at most 64 fields beside its files."
    assert session.scalar(select(func.count()).select_from(Study)) == 0


def test_a_body_that_says_it_is_too_large_is_refused_unread(
    client: TestClient, sender: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_MAX_UPLOAD_BYTES", "10000")
    settings.cache_clear()
    answer = post(client, sender, a_dicom())
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"


def test_a_body_that_grows_too_large_is_refused(
    client: TestClient, sender: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_MAX_UPLOAD_BYTES", "10000")
    settings.cache_clear()
    whole = client.build_request("POST", "/api/v1/studies", files=files(a_dicom()))
    answer = client.post(
        "/api/v1/studies",
        content=iter([whole.read()[:9000], whole.read()[9000:]]),
        headers=sender | {"Content-Type": whole.headers["content-type"]},
    )
    assert answer.status_code == 413


def test_a_file_that_is_too_large_is_refused_alone(
    client: TestClient, sender: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_MAX_FILE_BYTES", "200000")
    settings.cache_clear()
    small, large = a_dicom(), a_dicom() + bytes(300_000)
    answer = post(client, sender, large, small)
    assert [file["outcome"] for file in answer.json()["files"]] == ["refused", "admitted"]
    assert answer.json()["files"][0]["problem"]["type"] == "/problems/too-large"


def test_a_request_without_files_is_refused(client: TestClient, sender: dict[str, str]) -> None:
    answer = client.post("/api/v1/studies", files={"age": (None, "3")}, headers=sender)
    assert answer.status_code == 422


def test_a_key_without_the_scope_may_not_send(client: TestClient, key: KeyMaker) -> None:
    answer = post(client, key(Scope.READ), a_dicom())
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/forbidden"


def test_a_browser_sends_with_its_session_and_token(client: TestClient, sign_in: SignIn) -> None:
    signed_in = sign_in(Role.RADIOLOGIST)
    answer = signed_in.post("/api/v1/studies?via=browser", files=files(a_dicom()))
    assert answer.status_code == 202, answer.text
    assert signed_in.get(answer.json()["url"]).json()["received_via"] == "browser"
    del signed_in.headers["X-CSRF-Token"]
    assert signed_in.post("/api/v1/studies", files=files(a_dicom())).status_code == 403


def test_a_form_is_not_read_where_radiographs_are_sent(
    client: TestClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(Role.AUDITOR)
    del client.headers["X-CSRF-Token"]

    def read(_: Request) -> None:
        raise AssertionError("a form as large as an upload was read of somebody who may send nothing")

    monkeypatch.setattr(Request, "form", read)
    for address in ("/api/v1/studies", "/dicomweb/studies", "/api/v1/layers"):
        assert client.post(address, data={"a": "b"}).status_code == 403


def test_priors_are_stored_without_a_place_on_the_worklist(
    client: TestClient, sender: dict[str, str]
) -> None:
    answer = post(client, sender, a_dicom(), purpose="prior")
    assert client.get(answer.json()["url"], headers=sender).json()["purpose"] == "prior"
    assert client.get("/api/v1/worklist", headers=sender).json()["studies"] == []


def test_a_request_of_many_files_does_not_hold_them_all_open(
    client: TestClient, sender: dict[str, str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    already_open = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (already_open + 200, hard))
    try:
        answer = post(client, sender, *(b"no image %d" % number for number in range(400)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answer.status_code == 422
    assert len(answer.json()["files"]) == 400
