"""The REST interface: worklist, studies, review, results, models, pictures, and its own description."""

from __future__ import annotations

import gzip
import io
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from pydicom import dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import delivery
from app.domain.roles import SYSTEM, Role, Scope
from app.records import AuditEvent, Delivery, Destination, Image
from app.records.engine import transaction
from app.web.static import static_url
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import a_bundle, a_dicom, a_screened_study, an_admitted_study


def test_the_worklist_comes_in_order_page_by_page(
    client: TestClient, sender: dict[str, str], blobs: Blobs
) -> None:
    admitted = [an_admitted_study(blobs).study_id for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        parameters: dict[str, Any] = {"size": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/v1/worklist", params=parameters, headers=sender).json()
        seen += [row["id"] for row in page["studies"]]
        cursor = page["next_cursor"]
    assert seen == [str(study_id) for study_id in admitted]
    assert cursor is None
    assert "Not a diagnosis" in page["use"]


def test_a_study_shows_its_reading_and_the_look_is_on_record(
    client: TestClient, sender: dict[str, str], blobs: Blobs, session: Session
) -> None:
    study_id = a_screened_study(blobs, probability=0.9).study_id
    study = client.get(f"/api/v1/studies/{study_id}", headers=sender).json()
    assert study["state"] == "screened"
    assert study["reading"]["findings"]["pneumonia"]["lane"] == "rule-in"
    assert study["images"][0]["outcome"] == "screened"
    row = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.viewed")).one()
    assert (row.study_id, row.actor_name, row.details) == (study_id, "key 1", {"via": "api"})


def test_a_map_that_was_not_tested_is_not_handed_out_and_the_reading_says_why(
    client: TestClient, sender: dict[str, str], blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs, explanations=None).study_id
    study = client.get(f"/api/v1/studies/{study_id}", headers=sender).json()
    assert study["reading"]["map_withheld"].startswith("The heat map is withheld: nobody has tested")
    [picture] = study["images"]
    assert picture["findings"]["pneumonia"]["logit"] == 2.0
    assert "activation_map" not in picture["findings"]["pneumonia"]


def test_a_map_that_passed_its_test_is_handed_out(
    client: TestClient, sender: dict[str, str], blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    study = client.get(f"/api/v1/studies/{study_id}", headers=sender).json()
    assert study["reading"]["map_withheld"] is None
    assert len(study["images"][0]["findings"]["pneumonia"]["activation_map"]) == 7


def test_studies_are_found_by_uid_and_accession_number(
    client: TestClient, sender: dict[str, str], blobs: Blobs
) -> None:
    study_id = an_admitted_study(blobs, study_instance_uid="1.2.3", tags={"AccessionNumber": "A17"}).study_id
    an_admitted_study(blobs)
    for parameters in (
        {"study_instance_uid": "1.2.3"},
        {"accession_number": "A17"},
        {"study_instance_uid": "1.2.3", "accession_number": "A17"},
    ):
        found = client.get("/api/v1/studies", params=parameters, headers=sender).json()["studies"]
        assert [study["id"] for study in found] == [str(study_id)]
    nothing = client.get("/api/v1/studies", params={"accession_number": "A18"}, headers=sender)
    assert nothing.json()["studies"] == []


def test_a_look_for_an_accession_number_is_on_record_without_it_also_where_nothing_was_found(
    client: TestClient, sender: dict[str, str], session: Session, blobs: Blobs
) -> None:
    study_id = an_admitted_study(blobs, tags={"AccessionNumber": "A17"}).study_id
    for number in ("A17", "A18", "x" * 65):
        client.get("/api/v1/studies", params={"accession_number": number}, headers=sender)
    client.get("/api/v1/studies", headers=sender)  # says nothing to look for
    looked = ("studies.searched", "study.viewed")
    rows = session.scalars(
        select(AuditEvent).where(AuditEvent.action.in_(looked)).order_by(AuditEvent.id)
    ).all()
    assert [(row.action, row.study_id, row.details) for row in rows] == [
        ("studies.searched", None, {"level": "api", "found": 1}),
        ("study.viewed", study_id, {"via": "api"}),
        ("studies.searched", None, {"level": "api", "found": 0}),
    ]


def test_a_radiologist_claims_corrects_and_amends(sign_in: SignIn, blobs: Blobs) -> None:
    study = f"/api/v1/studies/{a_screened_study(blobs).study_id}"
    client = sign_in(Role.RADIOLOGIST)
    assert client.post(f"{study}/claim").status_code == 204
    assert client.get(study).json()["held_by"] == "person1"
    revision = client.get(study).json()["revision"]
    stale = client.post(f"{study}/reviews", json={"revision": revision - 1, "confirm": True})
    assert stale.status_code == 409
    body = {"revision": revision, "findings": {"pneumonia": "absent"}, "comment": "Artefact."}
    signed = client.post(f"{study}/reviews", json=body)
    assert (signed.status_code, signed.json()["verdict"]) == (201, "corrected")
    body = {"revision": signed.json()["revision"], "findings": {"pneumonia": "uncertain"}}
    amended = client.post(f"{study}/reviews", json=body)
    assert amended.json()["state"] == "amended"
    reviews = client.get(study).json()["reviews"]
    assert [review["findings"]["pneumonia"] for review in reviews] == ["uncertain", "absent"]
    assert client.get("/api/v1/worklist").json()["studies"] == []


@pytest.mark.parametrize("said", [{"confirm": True}, {"findings": {"pneumonia": "absent"}}])
@pytest.mark.parametrize("revision", [{}, {"revision": None}])
def test_nobody_signs_without_saying_which_revision_they_had_read(
    sign_in: SignIn, blobs: Blobs, said: dict[str, object], revision: dict[str, object]
) -> None:
    study = f"/api/v1/studies/{a_screened_study(blobs).study_id}"
    client = sign_in(Role.RADIOLOGIST)
    answer = client.post(f"{study}/reviews", json=said | revision)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/invalid-value"
    assert "send the `revision` of the study" in answer.json()["detail"]
    assert client.get(study).json()["state"] == "screened"


def test_the_interface_description_says_that_a_review_needs_its_revision(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()["components"]["schemas"]["ReviewInput"]
    assert schema["required"] == ["revision"]
    assert "GET /api/v1/studies/{id}" in schema["properties"]["revision"]["description"]


def test_two_people_never_hold_the_same_study(sign_in: SignIn, blobs: Blobs) -> None:
    study = f"/api/v1/studies/{a_screened_study(blobs).study_id}"
    assert sign_in(Role.RADIOLOGIST).post(f"{study}/claim").status_code == 204
    other = sign_in(Role.RADIOLOGIST)
    assert other.post(f"{study}/claim").status_code == 409
    assert other.post(f"{study}/release").status_code == 409
    assert "person1 holds this study" in other.post(f"{study}/claim").json()["detail"]


def test_only_what_failed_or_was_withheld_is_screened_again(sign_in: SignIn, blobs: Blobs) -> None:
    client = sign_in(Role.RADIOLOGIST)
    assert client.post(f"/api/v1/studies/{a_screened_study(blobs).study_id}/retry").status_code == 409
    assert client.post(f"/api/v1/studies/{uuid4()}/retry").status_code == 404


def test_a_destination_shows_its_secret_once(sign_in: SignIn) -> None:
    client = sign_in(Role.INTEGRATOR)
    body = {"name": "RIS", "url": "https://ris.example/hook"}
    in_clear = client.post("/api/v1/destinations", json=body | {"url": "http://ris.example/hook"})
    assert in_clear.status_code == 422
    assert in_clear.json()["detail"].endswith("Give an https address.")
    added = client.post("/api/v1/destinations", json=body)
    assert added.status_code == 201
    assert len(added.json()["secret"]) > 30
    [listed] = client.get("/api/v1/destinations").json()
    assert listed["name"] == "RIS" and "secret" not in listed
    assert client.post("/api/v1/destinations", json=body).status_code == 409
    assert client.delete(f"/api/v1/destinations/{listed['id']}").status_code == 204
    assert client.get("/api/v1/destinations").json()[0]["disabled_by"] == "person1"


def test_a_dead_letter_is_listed_and_sent_again(sign_in: SignIn, blobs: Blobs) -> None:
    with transaction() as session:
        delivery.add_destination(session, name="RIS", url="https://ris.example", by=SYSTEM)
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        message = session.scalars(select(Delivery)).one()
        assert session.scalars(select(Destination)).one()
        message.state, message.last_error = "dead", "It did not answer."
    client = sign_in(Role.INTEGRATOR)
    [letter] = client.get("/api/v1/deliveries?state=dead").json()
    assert (letter["study_id"], letter["destination"]) == (str(study_id), "RIS")
    assert client.get("/api/v1/deliveries?state=pending").json() == []
    assert client.get(f"/api/v1/deliveries?before={letter['id']}").json() == []
    assert client.post(f"/api/v1/deliveries/{letter['id']}/resend").status_code == 202
    assert client.post(f"/api/v1/deliveries/{letter['id']}/resend").status_code == 409


def test_the_models_say_which_one_reads(sign_in: SignIn) -> None:
    with transaction() as session:
        a_bundle(session, "a" * 64)
        a_bundle(session, "c" * 64)
    models = sign_in(Role.RADIOLOGIST).get("/api/v1/models").json()
    assert {model["sha256"][0]: model["active"] for model in models} == {"a": False, "c": True}


def test_pixels_come_at_full_depth_with_what_it_takes_to_show_them(
    client: TestClient, sender: dict[str, str]
) -> None:
    data = a_dicom()
    answer = client.post("/api/v1/studies", files={"files": ("a.dcm", data)}, headers=sender)
    image = f"/api/v1/images/{answer.json()['files'][0]['image']}"
    info = client.get(f"{image}/pixels/info", headers=sender).json()
    expected = dcmread(io.BytesIO(data))
    assert (info["rows"], info["columns"]) == (expected.Rows, expected.Columns)
    assert info["byte_length"] == expected.Rows * expected.Columns * 2
    packed = client.get(f"{image}/pixels", headers=sender | {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    plain = client.get(f"{image}/pixels", headers=sender | {"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    samples = np.frombuffer(plain.content, "<u2").reshape(info["rows"], info["columns"])
    values = samples * info["slope"] + info["intercept"]
    assert np.array_equal(values, expected.pixel_array)
    preview = client.get(f"{image}/preview", headers=sender)
    assert preview.headers["content-type"] == "image/jpeg"
    assert preview.content[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("tags", "spacing", "at_detector"),
    [
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.3, 0.3]}, [0.2, 0.1], False),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": None}, [0.2, 0.1], False),
        ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}, [0.2, 0.2], True),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.2, 0.2]}, [0.2, 0.2], True),
        ({"PixelSpacing": None, "ImagerPixelSpacing": None}, None, False),
    ],
)
def test_a_spacing_is_at_the_detector_where_nothing_corrects_it(
    client: TestClient,
    sender: dict[str, str],
    blobs: Blobs,
    tags: dict[str, Any],
    spacing: list[float] | None,
    at_detector: bool,
) -> None:
    image_id = an_admitted_study(blobs, tags=tags).image_id
    info = client.get(f"/api/v1/images/{image_id}/pixels/info", headers=sender).json()
    assert (info["pixel_spacing_mm"], info["spacing_at_detector"]) == (spacing, at_detector)


def test_the_preview_that_the_worker_made_is_the_one_shown(
    client: TestClient, sender: dict[str, str], blobs: Blobs
) -> None:
    admission = an_admitted_study(blobs)
    with transaction() as session:
        image = session.get(Image, admission.image_id)
        assert image is not None
        image.preview_sha256 = blobs.put(b"\xff\xd8 the worker's")
    answer = client.get(f"/api/v1/images/{admission.image_id}/preview", headers=sender)
    assert answer.content == b"\xff\xd8 the worker's"


def test_health_says_what_is_broken(client: TestClient, key: KeyMaker, blobs: Blobs) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "ready": True,
        "database": "ok",
        "disk": "ok",
        "broker": "ok",
        "screening": "ok",
    }
    an_admitted_study(blobs)
    metrics = client.get("/metrics", headers=key(Scope.OPERATIONS)).text
    assert 'firstread_studies{state="admitted"} 1.0' in metrics
    assert 'firstread_http_requests_total{method="GET",route="/healthz",status="200"}' in metrics


def test_the_description_is_whole_and_every_reference_leads_somewhere(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    known = set(document["components"]["schemas"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["tags"] and operation["summary"], where
            assert operation.get("description"), where
            statuses = set(operation["responses"])
            if path not in ("/healthz", "/readyz"):
                assert {"401", "403", "422", "503"} <= statuses, where
    references = set(_references(document))
    assert references <= {f"#/components/schemas/{name}" for name in known}


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_documentation_loads_nothing_from_elsewhere(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    if path == "/docs":
        assert "http" not in answer.text.replace("http-equiv", "")
        for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "page.js"):
            assert f"/static/swagger/{asset}?v=" in answer.text


def test_a_static_file_with_its_hash_is_kept_for_ever(client: TestClient) -> None:
    fresh = client.get(static_url("swagger/page.js"))
    assert "immutable" in fresh.headers["cache-control"]
    stale = client.get("/static/swagger/page.js?v=000000000000")
    assert stale.headers["cache-control"] == "no-cache"
    unchanged = client.get("/static/swagger/page.js", headers={"If-None-Match": stale.headers["etag"]})
    assert unchanged.status_code == 304


def test_ids_are_uuids(client: TestClient, sender: dict[str, str], blobs: Blobs) -> None:
    an_admitted_study(blobs)
    [row] = client.get("/api/v1/worklist", headers=sender).json()["studies"]
    assert UUID(row["id"]).version == 4


def test_gzip_of_the_pixels_is_really_smaller(client: TestClient, sender: dict[str, str]) -> None:
    answer = client.post("/api/v1/studies", files={"files": ("a.dcm", a_dicom())}, headers=sender)
    image = f"/api/v1/images/{answer.json()['files'][0]['image']}"
    with client.stream("GET", f"{image}/pixels", headers=sender | {"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert len(raw) < len(gzip.decompress(raw))
