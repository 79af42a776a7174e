"""What the layers see, over REST and without scripts: asked by an administrator, answered by a real look."""

from __future__ import annotations

import base64
import re
import threading
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app import looks
from app.blobs import Blobs
from app.commands import registry
from app.commands.deletion_patient import PatientNamed
from app.domain.explanation import UNTESTED
from app.domain.roles import SYSTEM, Role
from app.records import AuditEvent, Image
from app.records.engine import transaction
from app.settings import settings
from models.bundle import default_bundle_path
from tests.app.commands.test_deletion import delete
from tests.app.web.conftest import SignIn
from tests.app.web.pages.forms import get, post, words
from tests.builders import a_dicom, an_admitted_study
from worker.inside import Glass


@pytest.fixture
def admin(sign_in: SignIn) -> TestClient:
    return sign_in(Role.ADMINISTRATOR)


def promoted(blobs: Blobs, **manifest: object) -> None:
    """The shipped bundle reads; `manifest` is what the records say of it besides."""
    sha256 = blobs.put(default_bundle_path().read_bytes())
    known = {"name": "shipped", "version": "1", **manifest}
    with transaction() as session:
        registry.register(session, sha256=sha256, manifest=known, by=SYSTEM)
        registry.promote(session, sha256=sha256, by=SYSTEM, reason="test")


def looked(blobs: Blobs) -> int:
    return Glass(settings(), blobs=blobs).drain(stop=threading.Event())


def events(action: str) -> list[AuditEvent]:
    with transaction() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.action == action)))


def image_of(study_id: UUID) -> UUID:
    with transaction() as session:
        return session.scalars(select(Image.id).where(Image.study_id == study_id)).one()


def test_a_stored_image_is_asked_for_and_shown(admin: TestClient, blobs: Blobs) -> None:
    promoted(blobs, explanations={"passes": True, "finding": "pneumonia"})
    study = an_admitted_study(blobs).study_id
    image = image_of(study)
    asked = admin.post(f"/api/v1/images/{image}/layers")
    assert asked.status_code == 202, asked.text
    url = asked.json()["url"]
    assert admin.get(url).json()["state"] == "waiting"
    assert looked(blobs) == 1
    said = admin.get(url).json()
    assert (said["state"], said["study"], said["image"]) == ("done", str(study), str(image))
    assert [layer["depth"] for layer in said["layers"]] == ["early", "middle", "late"]
    assert all(layer["sentence"].endswith(".") for layer in said["layers"])
    assert base64.b64decode(said["given"]).startswith(b"\x89PNG")
    assert list(said["contributions"]) == ["pneumonia"]
    assert said["map_withheld"] is None
    [event] = events("network.looked-inside")
    assert (event.study_id, event.subject_id) == (study, str(image))
    assert {view.details["via"] for view in events("study.viewed")} == {"layers"}


def test_of_an_image_that_was_deleted_meanwhile_nothing_is_shown(admin: TestClient, blobs: Blobs) -> None:
    promoted(blobs, explanations={"passes": True, "finding": "pneumonia"})
    asked = admin.post(
        f"/api/v1/images/{image_of(an_admitted_study(blobs, patient_id='P-9').study_id)}/layers"
    )
    assert looked(blobs) == 1
    delete(blobs, PatientNamed(patient_id="P-9"))
    for address in (asked.json()["url"], asked.json()["page_url"]):
        assert admin.get(address).status_code == 404


def test_a_map_that_readers_may_not_see_is_not_shown_here_either(admin: TestClient, blobs: Blobs) -> None:
    promoted(blobs)
    asked = admin.post(f"/api/v1/images/{image_of(an_admitted_study(blobs).study_id)}/layers").json()
    looked(blobs)
    said = admin.get(asked["url"]).json()
    assert (said["contributions"], said["map_withheld"]) == ({}, UNTESTED)
    assert UNTESTED in words(get(admin, asked["page_url"]))


def test_a_file_is_looked_at_and_nothing_of_it_is_kept(admin: TestClient, blobs: Blobs) -> None:
    promoted(blobs)
    asked = admin.post("/api/v1/layers", files={"file": ("chest.dcm", a_dicom())})
    assert asked.status_code == 202, asked.text
    incoming = settings().blob_folder / "incoming"
    assert len(list(incoming.iterdir())) == 1
    looked(blobs)
    assert admin.get(asked.json()["url"]).json()["state"] == "done"
    assert list(incoming.iterdir()) == []
    with transaction() as session:
        assert session.scalars(select(Image)).all() == []
    assert len(events("network.looked-inside")) == 1


def test_a_file_that_is_no_radiograph_is_a_problem_and_leaves_nothing(
    admin: TestClient, blobs: Blobs
) -> None:
    page = b"<!doctype html><title>Sign in</title>" + b" " * 2000
    refused = admin.post("/api/v1/layers", files={"file": ("chest.dcm", page)})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/not-an-image")
    two = admin.post("/api/v1/layers", files=[("file", ("a", a_dicom())), ("file", ("b", a_dicom()))])
    assert two.status_code == 422
    assert admin.post("/api/v1/layers", json={}).status_code == 415
    assert list((settings().blob_folder / "incoming").iterdir()) == []


def test_a_larger_file_than_a_form_may_be_is_taken(admin: TestClient, blobs: Blobs) -> None:
    data = a_dicom(rows=1400, columns=1200)
    assert len(data) > 1024**2
    assert admin.post("/api/v1/layers", files={"file": ("chest.dcm", data)}).status_code == 202


def test_others_do_not_see_the_look(client: TestClient, sign_in: SignIn, blobs: Blobs) -> None:
    image = image_of(an_admitted_study(blobs).study_id)
    url = sign_in(Role.ADMINISTRATOR).post(f"/api/v1/images/{image}/layers").json()["url"]
    assert sign_in(Role.ADMINISTRATOR).get(url).status_code == 404
    assert sign_in(Role.RADIOLOGIST).get(url).status_code == 403


def test_a_crowd_is_asked_to_come_back(admin: TestClient, blobs: Blobs) -> None:
    image = image_of(an_admitted_study(blobs).study_id)
    answers = [admin.post(f"/api/v1/images/{image}/layers") for _ in range(looks.MOST_WAITING + 1)]
    assert [answer.status_code for answer in answers] == [202] * looks.MOST_WAITING + [429]
    assert answers[-1].headers["retry-after"]
    unknown = admin.post(f"/api/v1/images/{uuid4()}/layers")
    assert unknown.status_code == 404


def test_without_scripts_an_image_is_chosen_waited_for_and_seen(admin: TestClient, blobs: Blobs) -> None:
    promoted(blobs, explanations={"passes": True, "finding": "pneumonia"})
    study = an_admitted_study(blobs).study_id
    assert f'href="/models/layers?study={study}"' in get(admin, f"/studies/{study}")
    chooser = get(admin, f"/models/layers?study={study}")
    answer = post(admin, "/models/layers", chooser, image=str(image_of(study)))
    assert answer.status_code == 303
    address = answer.headers["location"]
    waiting = get(admin, address)
    assert 'id="looking"' in waiting
    assert '<meta http-equiv="refresh"' not in waiting, "a page that loads itself again takes the focus along"
    assert "A worker is looking" in words(waiting)
    looked(blobs)
    shown = get(admin, address)
    assert "http-equiv" not in shown
    for sentence in ("Early layers", "Middle layers", "Late layers", "What it adds up to"):
        assert sentence in words(shown)
    assert len(re.findall(r"<img src=\"data:image/png", shown)) > 20


def test_a_look_that_failed_says_why(admin: TestClient, blobs: Blobs) -> None:
    image = image_of(an_admitted_study(blobs).study_id)
    address = admin.post(f"/api/v1/images/{image}/layers").json()["page_url"]
    looked(blobs)
    assert "No network has been promoted" in words(get(admin, address))
