"""A bundle is exported by the training worker and fetched as a zip."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.blobs import Blobs
from app.commands import exporting, registry
from app.domain.roles import SYSTEM, Role
from app.errors import NotFound, Unprocessable
from app.records import AuditEvent, Job
from app.records.engine import transaction
from models.bundle import default_bundle_path
from models.bundle_file import read_bundle
from models.manifest import to_json
from tests.app.web.conftest import SignIn, client, sign_in  # noqa: F401  (fixtures)
from tests.worker.here import LearnerHere
from worker.learning.learner import Learner


@pytest.fixture
def learner(database: str, broker: str, blobs: Blobs, tmp_path: Path) -> Iterator[Learner]:
    yield LearnerHere(blobs=blobs, folder=tmp_path / "jobs", name="tested")


@pytest.fixture
def shipped(database: str, blobs: Blobs) -> str:
    """The shipped bundle, registered."""
    _, manifest = read_bundle(default_bundle_path())
    sha256 = blobs.put(default_bundle_path().read_bytes())
    with transaction() as session:
        registry.register(session, sha256=sha256, manifest=json.loads(to_json(manifest)), by=SYSTEM)
    return sha256


def test_an_export_is_asked_for_on_the_page_made_and_fetched(
    client: TestClient,  # noqa: F811
    sign_in: SignIn,  # noqa: F811
    learner: Learner,
    shipped: str,
) -> None:
    admin = sign_in(Role.ADMINISTRATOR)
    page = f"/models/{shipped}/export"
    assert "For apps on iPhone" in admin.get(page).text
    for _ in range(2):
        answer = admin.post(page, data={"format": "openvino"}, follow_redirects=False)
        assert answer.status_code == 303
    [waiting] = admin.get(f"/api/v1/models/{shipped}/exports").json()
    assert waiting["state"] == "waiting" and waiting["byte_size"] is None
    assert admin.get(f"{page}/{waiting['id']}").status_code == 404
    learner.drain(stop=threading.Event())
    [made] = admin.get(f"/api/v1/models/{shipped}/exports").json()
    assert made["state"] == "done", made["said"]
    assert made["agreement"]["pictures"] == 100
    assert "On 100 drawn chests" in admin.get(page).text
    zipped = admin.get(f"{page}/{made['id']}")
    assert zipped.headers["content-disposition"].endswith('-openvino.zip"')
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        assert {"openvino/network.xml", "openvino/export.json", "openvino/README.md"} <= set(
            archive.namelist()
        )
    assert admin.get(f"/api/v1/models/{shipped}/exports/{made['id']}").content == zipped.content
    with transaction() as session:
        actions = session.scalars(
            select(AuditEvent.action).where(AuditEvent.action.like("bundle.export%")).order_by(AuditEvent.id)
        ).all()
    assert sorted(actions) == sorted(
        ["bundle.export-asked", "bundle.exported", "bundle.export-fetched", "bundle.export-fetched"]
    )


def test_a_damaged_bundle_is_refused_with_a_sentence(blobs: Blobs, learner: Learner, shipped: str) -> None:
    blobs.path(shipped).chmod(0o644)
    blobs.path(shipped).write_bytes(b"damaged")
    with transaction() as session:
        exporting.ask(session, sha256=shipped, format="torch", by=SYSTEM)
    learner.drain(stop=threading.Event())
    with transaction() as session:
        [job] = session.scalars(select(Job)).all()
        assert job.state == "refused"
        assert job.said is not None and "is not a whole bundle" in job.said


def test_no_bundle_and_no_format_are_refused(shipped: str) -> None:
    with transaction() as session, pytest.raises(NotFound):
        exporting.ask(session, sha256="f" * 64, format="onnx", by=SYSTEM)
    with transaction() as session, pytest.raises(Unprocessable):
        exporting.ask(session, sha256=shipped, format="tflite", by=SYSTEM)
