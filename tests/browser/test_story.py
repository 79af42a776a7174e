"""The main job as one story, with nothing left out and nobody played.

A modality stores a radiograph by STOW, a Celery worker screens it with the shipped bundle, a radiologist
opens it in a browser, corrects it and signs; the correction and its trail are in the database.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from sqlalchemy import select

from app.dicom.write import wrap
from app.domain.roles import Role, Scope
from app.records import AuditEvent, Bundle, Image, ImageReading, Reading, Review, Study
from app.records.engine import transaction
from models.bundle import default_bundle_path
from tests.browser.conftest import SignIn
from tests.builders import a_dicom, a_key

_SCREENED_WITHIN = 120_000
COMMENT = "Motion; <i>no</i> consolidation. Seen with the mother."


def a_phantom(_request: pytest.FixtureRequest) -> bytes:
    """Anybody can tell this story."""
    return a_dicom(rows=1280, columns=1080, patient_id="STORY-1", tags={"PatientName": "Story^Told"})


def a_real_radiograph(request: pytest.FixtureRequest) -> bytes:
    """A child's chest radiograph at full size (Kermany et al., CC BY 4.0), as a modality would send it."""
    folder: Path = request.getfixturevalue("shared_data")
    source = sorted((folder / "kermany_originals" / "train" / "PNEUMONIA").glob("*.jpeg"))[0]
    return wrap(source, patient_age="003Y", patient_id="STORY-1", patient_name="Story^Told")


@pytest.mark.parametrize("radiograph", [a_phantom, a_real_radiograph])
def test_a_radiograph_is_stored_screened_opened_corrected_signed_and_audited(
    request: pytest.FixtureRequest,
    radiograph: Any,
    server: str,
    worker: Callable[[], None],
    signed_in: SignIn,
) -> None:
    data = radiograph(request)

    # The radiologist sits before an empty worklist. A worker runs.
    page = signed_in("alice", Role.RADIOLOGIST)
    assert "Nothing waits to be read." in page.inner_text("main")
    page.wait_for_selector("#live[data-live=on]")
    worker()

    # The modality stores the image, and is told that it is safe.
    with transaction() as session:
        key = a_key(session, "ct 1", Scope.INTAKE, Scope.READ)
    modality = DICOMwebClient(f"{server}/dicomweb", headers={"Authorization": f"Bearer {key}"})
    sent = pydicom.dcmread(io.BytesIO(data))
    answer = modality.store_instances([sent])
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [sent.SOPInstanceUID]
    assert "FailedSOPSequence" not in answer

    # It appears on the open page by itself, and the reading follows without a key being pressed.
    page.wait_for_selector("#rows tr[data-study]", timeout=30_000)
    page.wait_for_selector("#rows tr[data-study]:not([data-lane=unread])", timeout=_SCREENED_WITHIN)
    with transaction() as session:
        study = session.scalars(select(Study)).one()
        reading = session.scalars(select(Reading)).one()
        image_reading = session.scalars(select(ImageReading)).one()
        bundle = session.scalars(select(Bundle)).one()
    assert study.study_instance_uid == sent.StudyInstanceUID
    assert (reading.outcome, reading.bundle_sha256) == ("screened", bundle.sha256)
    assert bundle.name in default_bundle_path().name
    said = reading.findings["pneumonia"]
    row = page.locator("#rows tr[data-study]").inner_text()
    assert "Story, Told" in row
    assert f"{said['probability']:.2f}" in row
    assert "Placed " in row

    # Opened, the image is there at full depth, and the heat map is the network's own, if it passed its test.
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer[data-state=full]")
    assert f"{bundle.name} {bundle.version}" in page.inner_text(".words")
    assert "Not a diagnosis; not a cleared medical device." in page.inner_text(".words")
    shown = json.loads(page.inner_text("#study-images") or page.text_content("#study-images"))
    told = image_reading.findings["pneumonia"]
    bias = next(f for f in bundle.manifest["findings"] if f["name"] == "pneumonia")["bias"]
    contributions = sum(sum(row) for row in told["activation_map"])
    assert contributions + bias == pytest.approx(told["logit"], abs=0.05), "the map adds up to the logit"
    if bundle.manifest.get("explanations", {}).get("passes"):
        assert shown[0]["heat"][0]["map"] == told["activation_map"]
        page.keyboard.press("h")
        page.wait_for_selector("#viewer[data-heat=true]")
        page.keyboard.press("h")
    else:
        assert shown[0]["heat"] == []
        page.click("[data-map-withheld] summary")
        assert "The heat map is withheld:" in page.inner_text(".words")
        assert page.locator('button[data-do="heat"]').is_disabled()

    # The radiologist disagrees, says so, and signs.
    statement, key_pressed = ("absent", "n") if said["present"] else ("present", "y")
    page.wait_for_timeout(600)
    page.keyboard.press("2")
    page.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by you')")
    page.keyboard.press(key_pressed)
    page.fill("#comment", COMMENT)
    page.click("#correct button[data-signs]")
    page.wait_for_url("**/?signed=*")

    # What was said can be trained on, and who did what is on record.
    with transaction() as session:
        review = session.scalars(select(Review)).one()
        signed = session.get_one(Study, study.id)
        image = session.scalars(select(Image)).one()
        trail = [
            (event.action, event.actor_name)
            for event in session.scalars(
                select(AuditEvent).where(AuditEvent.study_id == study.id).order_by(AuditEvent.id)
            )
        ]
    assert (review.verdict, review.findings) == ("corrected", {"pneumonia": statement})
    assert (review.reviewer_name, review.comment) == ("alice", COMMENT)
    assert review.network_findings == reading.findings
    assert (review.bundle_sha256, review.reading_id) == (bundle.sha256, reading.id)
    assert review.image_ids == [str(image.id)]
    assert (signed.state, signed.signed_by_name) == ("signed", "alice")
    assert trail == [
        ("image.admitted", "ct 1"),
        ("study.screening", "firstread"),
        ("study.screened", "firstread"),
        ("study.viewed", "alice"),
        ("study.claimed", "alice"),
        ("study.signed", "alice"),
    ]

    # The page tells the same story to whoever comes later, with the comment as text.
    page.goto(f"/studies/{study.id}")
    history = page.inner_text(".history")
    assert "alice corrected and signed" in history
    assert COMMENT in history
    assert f"({said['probability']:.2f})" in history
