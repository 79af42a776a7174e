"""Snapshots by their addresses: taken, looked at, fetched."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import deidentified
from app.domain.roles import Role, Scope
from app.records import AuditEvent, Snapshot, SnapshotExport
from app.records.engine import transaction
from tests.app.commands.labelled import a_dataset, patients
from worker.count_snapshot import SnapshotCounter

SignIn = Callable[..., TestClient]
FILES = [*patients(120), *patients(120, label="NORMAL", prefix="n")]


@pytest.fixture
def dataset(database: str) -> UUID:
    with transaction() as session:
        return a_dataset(session, FILES, name="Children")


@pytest.fixture
def trainer(client: TestClient, key: Callable[..., dict[str, str]]) -> TestClient:
    client.headers.update(key(Scope.TRAINING))
    return client


def take(trainer: TestClient, dataset: UUID, **body: Any) -> Any:
    return trainer.post(
        "/api/v1/snapshots", json={"name": "First", "datasets": [str(dataset)], "reviews": False} | body
    )


def test_a_snapshot_is_taken_and_shown(trainer: TestClient, dataset: UUID) -> None:
    answer = take(trainer, dataset)
    assert answer.status_code == 201
    found = answer.json()
    assert found["images"] == 240
    assert found["test"] == {"sha256": found["test_sha256"], "uses": 0, "limit": 10, "exhausted": False}
    assert found["datasets"] == ["Children"]
    assert trainer.get(f"/api/v1/snapshots/{found['id']}").json() == found
    assert [one["id"] for one in trainer.get("/api/v1/snapshots").json()] == [found["id"]]
    again = take(trainer, dataset, name="Second")
    assert (again.status_code, again.json()["id"]) == (200, found["id"])


def test_a_preview_changes_nothing(trainer: TestClient, dataset: UUID) -> None:
    body = {"name": "x", "datasets": [str(dataset)], "reviews": True}
    seen = trainer.post("/api/v1/snapshots/preview", json=body).json()
    assert seen["images"] == 240
    with transaction() as session:
        assert session.scalar(select(Snapshot)) is None
    assert seen["splits"] == take(trainer, dataset).json()["splits"]


def test_the_manifest_is_fetched_and_that_is_on_record(
    trainer: TestClient, key: Callable[..., dict[str, str]], dataset: UUID
) -> None:
    taken = take(trainer, dataset).json()["id"]
    assert trainer.get(f"/api/v1/snapshots/{taken}/manifest").status_code == 403, "it names patients"
    trainer.headers.update(key(Scope.TRAINING, Scope.READ))
    answer = trainer.get(f"/api/v1/snapshots/{taken}/manifest")
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="First.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 240
    with transaction() as session:
        event = session.scalars(
            select(AuditEvent).where(AuditEvent.action == "snapshot.manifest-fetched")
        ).one()
        assert (event.subject_id, event.details["images"]) == (taken, 240)


def test_what_is_wrong_is_a_problem_and_no_crash(
    trainer: TestClient, key: Callable[..., dict[str, str]], dataset: UUID
) -> None:
    assert take(trainer, UUID(int=1)).status_code == 404
    assert take(trainer, dataset, name="").status_code == 422
    assert take(trainer, dataset, name="two\nlines").status_code == 422
    assert take(trainer, dataset, datasets=[]).status_code == 422
    assert trainer.get(f"/api/v1/snapshots/{UUID(int=1)}").status_code == 404
    trainer.headers.update(key(Scope.TRAINING, Scope.READ))
    assert trainer.get(f"/api/v1/snapshots/{UUID(int=1)}/manifest").status_code == 404


def test_an_export_is_asked_for_and_fetched_once_it_is_made(
    trainer: TestClient, dataset: UUID, blobs: Blobs
) -> None:
    taken = take(trainer, dataset).json()["id"]
    asked = trainer.post(f"/api/v1/snapshots/{taken}/exports", json={"dates": "shifted"})
    assert asked.status_code == 202
    export = asked.json()
    assert export["job"]["state"] == "waiting"
    assert trainer.get(export["url"]).status_code == 404
    assert trainer.post(f"/api/v1/snapshots/{taken}/exports", json={"dates": "kept"}).status_code == 422
    answer = {"sha256": blobs.put(b"PK"), "byte_size": 2, "images": 240, "left_out": []}
    with transaction() as session:
        deidentified.record(session, blobs=blobs, subject_id=UUID(export["id"]), answer=answer)
    fetched = trainer.get(export["url"])
    assert (fetched.content, fetched.headers["content-type"]) == (b"PK", "application/zip")
    with transaction() as session:
        assert session.get_one(SnapshotExport, UUID(export["id"])).dates == "shifted"
        actions = set(session.scalars(select(AuditEvent.action)))
    assert {"snapshot.export-asked", "snapshot.exported", "snapshot.export-fetched"} <= actions


def test_the_pages_lead_from_a_dataset_to_a_snapshot(sign_in: SignIn, dataset: UUID, blobs: Blobs) -> None:
    admin = sign_in(Role.ADMINISTRATOR)
    assert "Dataset Children" in admin.get("/training/snapshots").text
    asked = admin.post("/training/snapshots/looks", data={"dataset": str(dataset)}, follow_redirects=False)
    look = asked.headers["location"]
    assert "The duty worker is counting." in admin.get(look).text, "no page waits for a count"
    SnapshotCounter(blobs=blobs).drain(stop=threading.Event())
    looked = admin.get(look).text
    assert "It would hold 240 images" in looked
    assert looked.count("checked") == 1, "what was not ticked stays so"
    wanted = dict(re.findall(r'type="hidden" name="(look|dataset)" value="([^"]+)"', looked))
    assert wanted["dataset"] == str(dataset)
    nameless = admin.post("/training/snapshots", data={"name": ""} | wanted)
    assert nameless.status_code == 422
    assert "Give the snapshot a name" in nameless.text
    assert "It would hold 240 images" in nameless.text
    answer = admin.post(
        "/training/snapshots", data={"name": "First", "dataset": str(dataset)}, follow_redirects=False
    )
    assert answer.status_code == 303
    page = admin.get(answer.headers["location"])
    assert "240 labelled images, frozen" in page.text
    assert "Used 0 of 10 times." in page.text
    again = admin.post("/training/snapshots", data={"name": "Again", "dataset": str(dataset)})
    assert "The same content had been taken before" in again.text
    asked = admin.post(
        f"{answer.headers['location']}/exports", data={"dates": "removed", "burned_in": "masked"}
    )
    assert "Waits for the training worker" in asked.text


def test_a_look_says_what_came_of_it(sign_in: SignIn, blobs: Blobs) -> None:
    admin = sign_in(Role.ADMINISTRATOR)
    empty, unknown = (
        admin.post("/training/snapshots/looks", data=data, follow_redirects=False).headers["location"]
        for data in ({}, {"dataset": str(UUID(int=1))})
    )
    SnapshotCounter(blobs=blobs).drain(stop=threading.Event())
    assert "It would hold no image" in admin.get(empty).text
    assert "There is no such dataset." in admin.get(unknown).text
    gone = admin.get(f"/training/snapshots?look={UUID(int=2)}")
    assert gone.status_code == 404
    assert "Ask again" in gone.text
    assert "See what it would hold" in gone.text, "so that it can be asked again at once"
    assert admin.post("/training/snapshots/looks", data={"dataset": "x"}).status_code == 404
    assert sign_in(Role.ADMINISTRATOR).get(empty).status_code == 404, "it is another administrator's"


def test_radiologists_take_no_snapshots(sign_in: SignIn, dataset: UUID) -> None:
    radiologist = sign_in(Role.RADIOLOGIST)
    assert radiologist.get("/training/snapshots").status_code == 403
    assert radiologist.post("/training/snapshots", data={"name": "First"}).status_code == 403
